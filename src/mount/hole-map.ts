import { type HoleTable, toHoles } from '../snapshot/hole-table.ts'

/** What lies in a stretch of a file: a hole, or content from one of its bytes on. */
export interface Piece {
  readonly length: number
  /** Where the content begins, which has no holes; `undefined` for a hole. */
  readonly contentOffset: number | undefined
}

/** A hole, or the stretch of content before it; the last one is content to the end. */
interface Stretch {
  readonly end: number
  /** Bytes in holes before it. */
  readonly skipped: number
  readonly isHole: boolean
}

/** Where the data of a file lies, and where its holes. */
export class HoleMap {
  readonly #sizeBytes: number
  /** Of each hole: where it begins, where it ends, and the bytes of holes before it. */
  readonly #holes: readonly (readonly [start: number, end: number, skipped: number])[]

  constructor(holes: HoleTable | undefined, sizeBytes: number) {
    this.#sizeBytes = sizeBytes
    let skipped = 0
    this.#holes = (holes ? toHoles(holes) : []).map(({ offset, length }) => {
      skipped += length
      return [offset, offset + length, skipped - length]
    })
  }

  /** The pieces of `length` bytes from `offset` on, fewer where the file ends. */
  *pieces(offset: number, length: number): Generator<Piece> {
    const end = Math.min(this.#sizeBytes, offset + length)
    for (let at = offset; at < end;) {
      const stretch = this.#stretchAt(at)
      const stop = Math.min(stretch.end, end)
      yield { length: stop - at, contentOffset: stretch.isHole ? undefined : at - stretch.skipped }
      at = stop
    }
  }

  /** As lseek(2) with `SEEK_DATA` and `SEEK_HOLE`; `undefined` at the end, and where no data follows. */
  seek(offset: number, what: 'data' | 'hole'): number | undefined {
    if (offset >= this.#sizeBytes) return undefined
    const { isHole, end } = this.#stretchAt(offset)
    if (isHole === (what === 'hole')) return offset
    // Two holes are never adjacent, and the end of the file is one.
    return what === 'data' && end >= this.#sizeBytes ? undefined : end
  }

  #stretchAt(offset: number): Stretch {
    const holes = this.#holes
    let low = 0
    let high = holes.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((holes[middle]?.[1] ?? 0) <= offset) low = middle + 1
      else high = middle
    }
    const next = holes[low] // the first that ends behind it
    const before = holes[low - 1]
    if (next && next[0] <= offset) return { end: next[1], skipped: next[2], isHole: true }
    const skipped = before ? before[2] + before[1] - before[0] : 0
    return { end: next?.[0] ?? this.#sizeBytes, skipped, isHole: false }
  }
}
