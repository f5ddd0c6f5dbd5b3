import { setFlagsFromString } from 'node:v8'

/**
 * For a process that stays for days, before it has much to do: lets less garbage gather, for 6 % more time in what makes much of it. While
 * all of 300,000 files was listed again and again, a mount took 490 to 580 MB, and 300 with this.
 */
export function boundGarbage(): void {
  setFlagsFromString('--heap-growing-percent=40')
  setFlagsFromString('--semi-space-growth-factor=1')
}
