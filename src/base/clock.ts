/** The only caller of `Date.now()`: everything else takes a `Clock`, so that tests decide what time it is. */
export interface Clock {
  /** Milliseconds since 1970-01-01 UTC; may jump in both directions. */
  now(): number
}

export const systemClock: Clock = { now: () => Date.now() }

/** A clock that stands still until it is told otherwise, for tests. */
export function fixedClock(ms: number): Clock & { set(ms: number): void } {
  let current = ms
  return {
    now: () => current,
    set(value) {
      current = value
    },
  }
}
