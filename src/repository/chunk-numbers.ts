import { CairnError } from '../base/errors.ts'
import { type ChunkTable, MAX_CHUNK_NUMBERS } from './chunk-table.ts'
import { HEADER_BYTES } from './sealed-object.ts'

/**
 * Where a chunk lies: `pack` says how many packs the index listed before, the segment is `segmentBytes` sealed bytes at
 * `segmentOffset` of that pack, and the chunk is the `position`-th in it.
 */
export interface ChunkLocation {
  readonly pack: number
  readonly segmentOffset: number
  readonly segmentBytes: number
  readonly position: number
}

/**
 * Where chunks lie, by number. They are numbered in the order in which packs and their tables list them, so what is kept is a
 * few numbers a segment and a pack, and none a chunk: 8 bytes each, 2.5 bytes a chunk of 1 MiB, 10 bytes where chunks are as
 * large as segments. Belongs to the thread that loads the index.
 */
export class ChunkNumbers {
  /** Of each pack: the number of its first chunk, and that of its first segment. */
  readonly #packs = new PairList()
  /** Of each segment: the number of its first chunk, and where it ends in its pack; the next begins there. */
  readonly #segments = new PairList()
  #chunks = 0
  #end = 0

  get memoryBytes(): number {
    return this.#packs.memoryBytes + this.#segments.memoryBytes
  }

  /** The segments added from now on are those of the next pack. */
  beginPack(): void {
    this.#packs.push(this.#chunks, this.#segments.length)
    this.#end = HEADER_BYTES
  }

  /** Adds the next segment of the pack, in the order of its table; returns the number of its first chunk. */
  addSegment(sealedBytes: number, chunks: number): number {
    const first = this.#chunks
    if (first + chunks > MAX_CHUNK_NUMBERS)
      throw new CairnError('INTERNAL', `Cannot load the index: it lists more than ${MAX_CHUNK_NUMBERS} chunks`)
    this.#chunks += chunks
    this.#end += sealedBytes
    this.#segments.push(first, this.#end)
    return first
  }

  /** Where a chunk lies, by the number that `table` has for it; `undefined` when it has none. The id is 32 bytes from `offset` on. */
  find(table: ChunkTable, bytes: Uint8Array, offset = 0): ChunkLocation | undefined {
    const number = table.numberOf(bytes, offset)
    return number < 0 ? undefined : this.#locate(number)
  }

  #locate(number: number): ChunkLocation {
    const packs = this.#packs
    const segments = this.#segments
    const pack = packs.lastUpTo(number, 0, packs.length)
    const firstSegment = packs.second(pack)
    const segmentsEnd = pack + 1 < packs.length ? packs.second(pack + 1) : segments.length
    const segment = segments.lastUpTo(number, firstSegment, segmentsEnd)
    const segmentOffset = segment === firstSegment ? HEADER_BYTES : segments.second(segment - 1)
    return {
      pack,
      segmentOffset,
      segmentBytes: segments.second(segment) - segmentOffset,
      position: number - segments.first(segment),
    }
  }
}

const BLOCK_BITS = 13
const BLOCK_PAIRS = 1 << BLOCK_BITS

/** Pairs of 32-bit numbers, in blocks: growing copies nothing and leaves at most one block unused. */
class PairList {
  readonly #blocks: Uint32Array[] = []
  #length = 0

  get length(): number {
    return this.#length
  }

  get memoryBytes(): number {
    return this.#blocks.length * BLOCK_PAIRS * 8
  }

  push(first: number, second: number): void {
    const at = (this.#length & (BLOCK_PAIRS - 1)) * 2
    if (at === 0) this.#blocks.push(new Uint32Array(BLOCK_PAIRS * 2))
    const block = this.#blocks[this.#length >>> BLOCK_BITS] as Uint32Array
    block[at] = first
    block[at + 1] = second
    this.#length++
  }

  first(i: number): number {
    return (this.#blocks[i >>> BLOCK_BITS] as Uint32Array)[(i & (BLOCK_PAIRS - 1)) * 2] as number
  }

  second(i: number): number {
    return (this.#blocks[i >>> BLOCK_BITS] as Uint32Array)[(i & (BLOCK_PAIRS - 1)) * 2 + 1] as number
  }

  /** The last of the pairs from `start` up to `end` whose first number is at most `limit`, by bisection: they ascend. */
  lastUpTo(limit: number, start: number, end: number): number {
    let low = start
    let high = end
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if (this.first(middle) <= limit) low = middle
      else high = middle
    }
    return low
  }
}
