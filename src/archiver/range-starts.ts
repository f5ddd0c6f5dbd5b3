/**
 * Where each range of a large file begins. Ranges lie at fixed places, so threads read them at the same time; but a range
 * begins at the last cut of the one before it, which its thread tells as soon as it has cut, before the slow work of
 * compressing. So all threads work on one file, and its cuts are those of a pass from its start.
 *
 * Shared memory, one number a range: threads wait for it and main does not have to pass it on. Ranges are handed out in order,
 * so whoever waits, waits for a thread that is at work.
 */
export class RangeStarts {
  /** 0 while unknown, `ENDED`, or the offset plus 1. */
  readonly #values: BigInt64Array<SharedArrayBuffer>

  /** @param memory what another thread's `memory` gave */
  constructor(memory: SharedArrayBuffer) {
    this.#values = new BigInt64Array(memory)
  }

  static create(ranges: number): RangeStarts {
    const starts = new RangeStarts(new SharedArrayBuffer(ranges * 8))
    starts.set(0, 0)
    return starts
  }

  get memory(): SharedArrayBuffer {
    return this.#values.buffer
  }

  /** Blocks the thread until it is known where a range begins; `undefined` when the file ended before. */
  wait(range: number): number | undefined {
    let value = Atomics.load(this.#values, range)
    while (value === UNKNOWN) {
      Atomics.wait(this.#values, range, UNKNOWN)
      value = Atomics.load(this.#values, range)
    }
    return value === ENDED ? undefined : Number(value) - 1
  }

  /** Tells where a range begins, or that the file has ended. The first word counts; ranges past the last are nobody's. */
  set(range: number, offset: number | undefined): void {
    if (range >= this.#values.length) return
    Atomics.compareExchange(this.#values, range, UNKNOWN, offset === undefined ? ENDED : BigInt(offset) + 1n)
    Atomics.notify(this.#values, range)
  }
}

const UNKNOWN = 0n
const ENDED = -1n
