import { CairnError } from '../base/errors.ts'
import { type ChunkRef, type LoadChunk, type SaveChunk, encodeContent, readContent } from './content.ts'

/**
 * Leaf columns: records of a fixed length, one per node that is not a directory, in the order of a walk, so the n-th record
 * belongs to the n-th such node; a directory's `leaves` count tells how many to skip with it. They hold what change detection
 * needs besides the trees, which depend on what there is and not on where it lay. Stored as chunks like long content, cut at
 * record boundaries.
 */

/** Records per chunk: about 4096 + 1024, cut where the last 8 bytes hash to 12 zero bits, so that chunks of long columns recur. */
const MIN_RECORDS = 1024
const MAX_RECORDS = 16384
const CUT_MASK = 0xfff

/** Collects records in walk order: write one at `next()` into `buffer`, then call `written()`. */
export class LeafColumnWriter {
  readonly #save: SaveChunk
  readonly #recordBytes: number
  readonly buffer: Buffer
  /** The same memory by 8 bytes, for those who write numbers; the format's byte order is that of every platform Node runs on. */
  readonly longs: BigUint64Array
  #used = 0
  readonly #refs: ChunkRef[]

  /** @param recordBytes a multiple of 8 */
  constructor(save: SaveChunk, recordBytes: number, refs: ChunkRef[] = []) {
    this.#save = save
    this.#recordBytes = recordBytes
    this.longs = new BigUint64Array((MAX_RECORDS * recordBytes) / 8)
    this.buffer = Buffer.from(this.longs.buffer)
    this.#refs = refs
  }

  /** Where in `buffer` the next record goes. */
  next(): number {
    return this.#used
  }

  written(): void {
    this.#used += this.#recordBytes
    const count = this.#used / this.#recordBytes
    if (count === MAX_RECORDS) this.#cut()
    else if (count >= MIN_RECORDS) {
      const hash = Math.imul(this.buffer.readUInt32LE(this.#used - 8), 0x9e3779b1) >>> 20
      if ((hash & CUT_MASK) === 0) this.#cut()
    }
  }

  /** Stores what is left, and returns the column as encoded content. The writer is used up. */
  finish(): Buffer {
    this.#cut()
    return encodeContent(this.#refs, this.#save)
  }

  /** The column as it would be if it ended here; the writer goes on. */
  peek(): Buffer {
    const ended = new LeafColumnWriter(this.#save, this.#recordBytes, [...this.#refs])
    this.buffer.copy(ended.buffer, 0, 0, this.#used)
    ended.#used = this.#used
    return ended.finish()
  }

  #cut(): void {
    if (this.#used === 0) return
    this.#refs.push({ id: this.#save(this.buffer.subarray(0, this.#used)), bytes: this.#used })
    this.#used = 0
  }
}

/** Reads records by position, forwards, holding one chunk at a time. */
export class LeafColumnReader {
  readonly #chunks: AsyncGenerator<ChunkRef>
  readonly #load: LoadChunk
  readonly #recordBytes: number
  readonly #what: string
  #first = 0
  /** The chunk at hand. */
  buffer: Buffer = Buffer.alloc(0)

  /** @param content what `LeafColumnWriter.finish` returned */
  constructor(content: Uint8Array, load: LoadChunk, recordBytes: number, what: string) {
    this.#chunks = readContent(content, load, what)
    this.#load = load
    this.#recordBytes = recordBytes
    this.#what = what
  }

  /** Where the record of `position` is in `buffer`, if it lies in the chunk at hand, else -1: `seek` there first. */
  offsetOf(position: number): number {
    const offset = (position - this.#first) * this.#recordBytes
    return offset < 0 || offset >= this.buffer.length ? -1 : offset
  }

  /**
   * Moves on to the chunk that holds `position`; positions only grow. Past the end, `offsetOf` finds nothing.
   *
   * @throws {CairnError} `DATA_CORRUPT` when a chunk does not hold whole records, as many as the content says
   */
  async seek(position: number): Promise<void> {
    while ((position - this.#first) * this.#recordBytes >= this.buffer.length) {
      this.#first += this.buffer.length / this.#recordBytes
      this.buffer = Buffer.alloc(0)
      const next = await this.#chunks.next()
      if (next.done) return
      const { id, bytes } = next.value
      if (bytes % this.#recordBytes !== 0) throw this.#corrupt(`a chunk of ${bytes} bytes`)
      if ((position - this.#first) * this.#recordBytes >= bytes) {
        this.#first += bytes / this.#recordBytes // wholly before the position: not even loaded
        continue
      }
      const loaded = await this.#load(id)
      if (loaded.length !== bytes) throw this.#corrupt(`${loaded.length} bytes instead of ${bytes}`)
      this.buffer = Buffer.from(loaded.buffer, loaded.byteOffset, bytes)
    }
  }

  #corrupt(found: string): CairnError {
    return new CairnError('DATA_CORRUPT', `Cannot read ${this.#what}: found ${found}`)
  }
}
