import { InvalidArgumentError } from 'commander'
import { parseBytes } from '../base/sizes.ts'
import type { SortKey } from '../operations/snapshot-filter.ts'

/** A whole number of at least 1, for an option. */
export function parseCount(value: string): number {
  const count = Number(value)
  if (!/^\d+$/.test(value) || count < 1 || count > 10_000) {
    throw new InvalidArgumentError('It must be a whole number from 1 to 10000.')
  }
  return count
}

/** A size like `64M`, in bytes. */
export function parseSize(value: string): number {
  try {
    return parseBytes(value)
  } catch {
    throw new InvalidArgumentError('It must be a size like 500K, 64M or 2G.')
  }
}

const SORT_KEYS = ['timestamp', 'name', 'id'] as const satisfies readonly SortKey[]

/** Keys to sort snapshots by, with commas between them. */
export function parseSortKeys(value: string): SortKey[] {
  return value.split(',').map((word) => {
    const key = SORT_KEYS.find((known) => known === word)
    if (!key) throw new InvalidArgumentError(`It must be some of ${SORT_KEYS.join(', ')}, with commas between them.`)
    return key
  })
}

const DURATION_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** A time like `500ms`, `2s` or `5m`, in milliseconds; a number by itself has the unit `unit`. */
export function parseDuration(unit: keyof typeof DURATION_MS): (value: string) => number {
  return (value) => {
    const [, number, given = unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(value.trim()) ?? []
    const ms = Math.round(Number(number) * DURATION_MS[given as keyof typeof DURATION_MS])
    // Timers take no more; nobody waits for 24 days.
    if (!Number.isSafeInteger(ms) || ms >= 2 ** 31)
      throw new InvalidArgumentError('It must be a time like 500ms, 2s or 5m.')
    return ms
  }
}

/** Tags given so far, with those of one more option, which may have several with commas between them. */
export function collectTags(value: string, given: string[] = []): string[] {
  return value === '' ? given : [...given, ...value.split(',')]
}
