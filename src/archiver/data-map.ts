import { readFully } from '../platform/files.ts'
import type { Hole } from '../platform/sparse.ts'

/**
 * What a sparse file has between its holes, as one run of bytes: position p of the data lies where as many bytes of data, and
 * the holes among them, come before. Past the last hole data goes on as far as the file does.
 */
export class DataMap {
  /** Pairs of offset and length, ascending, none adjacent. */
  readonly holes: Float64Array
  /** For each hole the position of the data behind it. */
  readonly #behind: Float64Array

  constructor(holes: Float64Array) {
    this.holes = holes
    this.#behind = new Float64Array(holes.length / 2)
    let skipped = 0
    for (let i = 0; i < this.#behind.length; i++) {
      this.#behind[i] = (holes[i * 2] as number) - skipped
      skipped += holes[i * 2 + 1] as number
    }
  }

  /** Bytes of data in a file of this size. */
  dataBytes(sizeBytes: number): number {
    let bytes = sizeBytes
    for (let i = 1; i < this.holes.length; i += 2) bytes -= this.holes[i] as number
    return bytes
  }

  /**
   * Reads data until `length` bytes are in `buffer` from `offset` on, or the file ends, starting at a position of the data.
   *
   * @returns the number of bytes read
   */
  read(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): number {
    if (this.holes.length === 0) return readFully(fd, buffer, offset, length, position)
    let done = 0
    for (let next = this.#holesBefore(position); done < length; next++) {
      // Holes before `next` lie before the bytes to be read now.
      const skipped = next === 0 ? 0 : this.#endOf(next - 1) - (this.#behind[next - 1] as number)
      const end = next < this.#behind.length ? (this.#behind[next] as number) : Infinity
      const wanted = Math.min(length - done, end - position - done)
      const count = readFully(fd, buffer, offset + done, wanted, position + done + skipped)
      done += count
      if (count < wanted) break
    }
    return done
  }

  /** How many holes lie before the byte at a position of the data. */
  #holesBefore(position: number): number {
    let low = 0
    let high = this.#behind.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#behind[middle] as number) <= position) low = middle + 1
      else high = middle
    }
    return low
  }

  #endOf(hole: number): number {
    return (this.holes[hole * 2] as number) + (this.holes[hole * 2 + 1] as number)
  }
}

export const NO_HOLES = new DataMap(new Float64Array(0))

export function toPairs(holes: readonly Hole[]): Float64Array {
  const pairs = new Float64Array(holes.length * 2)
  for (const [i, { offset, length }] of holes.entries()) pairs.set([offset, length], i * 2)
  return pairs
}

export function toHoles(pairs: Float64Array): Hole[] {
  return Array.from({ length: pairs.length / 2 }, (_, i) => ({
    offset: pairs[i * 2] as number,
    length: pairs[i * 2 + 1] as number,
  }))
}
