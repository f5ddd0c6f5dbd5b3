import { InvalidArgumentError } from 'commander'

/** A whole number of at least 1, for an option. */
export function parseCount(value: string): number {
  const count = Number(value)
  if (!/^\d+$/.test(value) || count < 1 || count > 10_000) {
    throw new InvalidArgumentError('It must be a whole number from 1 to 10000.')
  }
  return count
}
