import type { Chunker } from '../chunker/chunker.ts'
import type { ChunkWriter } from '../repository/chunk-writer.ts'
import { RefList } from './refs.ts'

/** Content that lies in the buffer of a `Cutter`. */
export interface Stretch {
  /** How many bytes of the buffer it takes. */
  readonly bytes: number
  /** Where it is enough: the last chunk ends at the first cut at or after this. */
  readonly end: number
  /** Nothing comes after it. */
  readonly final: boolean
  /** Where the first chunk begins; `undefined` when none does. */
  readonly first: number | undefined
}

/** Cuts content and saves the chunks, in a worker thread. */
export class Cutter {
  readonly #chunker: Chunker
  readonly writer: ChunkWriter
  /** The chunks saved since they were taken last. */
  readonly refs = new RefList()

  /** @param chunker with a buffer of at least `RANGE_BYTES` plus its largest chunk */
  constructor(chunker: Chunker, writer: ChunkWriter) {
    this.#chunker = chunker
    this.writer = writer
  }

  /** Where the content to be cut is put. */
  get buffer(): Buffer {
    return this.#chunker.buffer
  }

  /** Content up to this size is one chunk. */
  get minBytes(): number {
    return this.#chunker.minBytes
  }

  /**
   * Cuts and saves a stretch. Returns the cut where the next one goes on, `undefined` when the content ends in this one;
   * `onCut` hears it before the slow work begins.
   */
  async save(
    { bytes, end, final, first }: Stretch,
    onCut?: (next: number | undefined) => void,
  ): Promise<number | undefined> {
    const cuts: number[] = first === undefined ? [] : [first]
    for (let at = first ?? bytes; at < end && at < bytes; cuts.push(at)) at = this.#chunker.cut(at, bytes, final)
    const last = cuts.at(-1)
    const next = last === undefined || (final && last >= bytes) ? undefined : last
    onCut?.(next)
    for (const [i, cut] of cuts.entries()) {
      const begin = cuts[i - 1]
      if (begin === undefined) continue
      this.refs.add(this.writer.save(this.buffer.subarray(begin, cut)), cut - begin)
      await this.writer.ready()
    }
    return next
  }
}
