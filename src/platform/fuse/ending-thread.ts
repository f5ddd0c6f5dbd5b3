import { readFileSync } from 'node:fs'
import { constants } from 'node:os'

/**
 * Signals that are sent to end a program. Any other that ends it, since it does nothing about it, shows as SIGKILL in all its
 * threads (the kernel's complete_signal).
 */
const ENDING = (['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGKILL'] as const).reduce(
  (mask, name) => mask | (1n << BigInt(constants.signals[name] - 1)),
  0n,
)

/**
 * Whether a thread has been sent a signal that is to end its program, and has not got it yet (proc(5)). Other signals interrupt
 * system calls too, timers and terminals that change their size among them, and few programs know that reading a file can end so.
 *
 * @param thread its number, 0 for one that cannot be seen from here, of which nothing is known
 */
export function isEnding(thread: number): boolean {
  try {
    const status = readFileSync(`/proc/${thread}/status`, 'latin1')
    const masks = [...status.matchAll(/^(?:SigPnd|ShdPnd):\s+([0-9a-f]+)$/gm)].map(([, mask]) => BigInt(`0x${mask}`))
    return masks.some((mask) => (mask & ENDING) !== 0n)
  } catch {
    return true
  }
}
