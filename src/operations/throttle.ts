import type { Clock } from '../base/clock.ts'

/** Time between two progress events. */
const PROGRESS_MS = 100

/** Keeps progress events apart, so that they cost nothing worth speaking of. */
export class Throttle {
  readonly #clock: Clock
  #lastMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether it is time for the next event, which then counts as given. */
  isDue(): boolean {
    const now = this.#clock.now()
    // Either way round: a clock may jump back.
    if (Math.abs(now - this.#lastMs) < PROGRESS_MS) return false
    this.#lastMs = now
    return true
  }
}
