import { type ChunkId, type PackId, asChunkId, toHex } from '../base/ids.ts'
import { type Aead, TAG_BYTES } from '../codec/aead.ts'
import { COMPRESSION_CODES, type Compression, compress } from '../codec/compression.ts'
import { ChunkHasher, blake3 } from '../codec/hash.ts'
import { release } from '../codec/release.ts'
import { encodeSegmentHead } from './pack/segment.ts'
import {
  MAX_CHUNKS,
  MAX_TABLE_BYTES,
  PACK_BYTES,
  PackTableWriter,
  TABLE_LENGTH_BYTES,
  packData,
} from './pack/pack-format.ts'
import { HEADER_BYTES, newHeader, openHeader } from './sealed-object.ts'
import type { PackKind, RepositoryKeys } from './keys.ts'
import type { ChunkTable } from './chunk-table.ts'

export type { Compression }

/** A finished pack, ready to be stored under its id. */
export interface SealedPack {
  readonly id: PackId
  /** The whole object, at the start of its own `ArrayBuffer`. */
  readonly bytes: Buffer<ArrayBuffer>
  /** The table in plain, as the index wants it. */
  readonly table: Buffer
}

/**
 * Stores a pack durably. The memory of `pack.bytes` belongs to the sink until the promise resolves, which gives memory of the
 * same size back (or nothing, when it was kept).
 */
export type PackSink = (pack: SealedPack) => Promise<ArrayBuffer | undefined>

export interface ChunkWriterOptions {
  readonly kind: PackKind
  readonly keys: RepositoryKeys
  /** Decides which chunks are new. */
  readonly table: ChunkTable
  readonly compression: Compression
  /** Largest chunk that will be saved. */
  readonly maxChunkBytes: number
  readonly storePack: PackSink
}

export interface WriterStats {
  /** Chunks saved, and how many of them were new. */
  chunks: number
  newChunks: number
  /** Bytes of new chunks, and what their packs take on the store. */
  newBytes: number
  storedBytes: number
}

/**
 * Plaintext per segment. Bigger segments compress better and cost more to read one file back: 4 MiB against 1 MiB gave 4 %
 * smaller repositories and 10 % more speed at the same zstd level (docs/decisions.md, "Segment size"). Trees are read one
 * directory at a time, so theirs are small.
 */
const SEGMENT_BYTES: Readonly<Record<PackKind, number>> = { dataPack: 4 << 20, treePack: 1 << 20 }
/** A small file read into `room` at the end of a full segment may pass its target by this much. */
const SEGMENT_SLACK_BYTES = 1 << 20
/** Packs on their way to the store per writer before `ready` makes the caller wait. */
const MAX_PACKS_IN_FLIGHT = 1

/**
 * Chunks in, sealed packs out: hashes each chunk, claims its id, and packs the new ones into segments, compressed and sealed
 * once each. One writer per thread; memory is one segment plus two packs.
 *
 * `save` never waits. Between chunks callers await `ready()` when it is not `undefined`, so that a slow store slows them down.
 * An error of the sink is thrown by the next `ready` or `flush`, and by every one after it.
 */
export class ChunkWriter {
  readonly #options: ChunkWriterOptions
  readonly #hasher: ChunkHasher
  readonly #segmentBytes: number
  readonly #segment: Buffer
  #segmentUsed = 0
  #ids: Uint8Array[] = []
  #lengths: number[] = []

  readonly #packCapacity: number
  #pack: Buffer<ArrayBuffer> | undefined
  #packUsed = 0
  #header: Buffer = Buffer.alloc(0)
  #aead: Aead | undefined
  readonly #packTable = new PackTableWriter()
  readonly #spare: ArrayBuffer[] = []
  readonly #inFlight = new Set<Promise<void>>()
  #failure: { error: unknown } | undefined
  /** Ids of what was saved since `distrustStored`. */
  #storedAgain: Set<string> | undefined

  readonly stats: WriterStats = { chunks: 0, newChunks: 0, newBytes: 0, storedBytes: 0 }

  constructor(options: ChunkWriterOptions) {
    this.#options = options
    this.#hasher = new ChunkHasher(options.keys.chunkId)
    this.#segmentBytes = SEGMENT_BYTES[options.kind]
    this.#segment = Buffer.allocUnsafeSlow(this.#segmentBytes + SEGMENT_SLACK_BYTES)
    const largestSegment = Math.max(this.#segment.length, options.maxChunkBytes) + MAX_CHUNKS * 4 + 16 + TAG_BYTES
    this.#packCapacity = HEADER_BYTES + PACK_BYTES + largestSegment + MAX_TABLE_BYTES + TAG_BYTES + TABLE_LENGTH_BYTES
  }

  /** Largest chunk that `room` can take. */
  get roomBytes(): number {
    return SEGMENT_SLACK_BYTES
  }

  /**
   * Where the caller may put a chunk of up to `bytes` (at most `roomBytes`) before `saveRoom`: inside the open segment, so that a small file is
   * read from the disk straight to where it is compressed. Valid until the next call of any other method.
   */
  room(bytes: number): Buffer {
    if (this.#segmentUsed + bytes > this.#segment.length) this.#sealSegment()
    return this.#segment.subarray(this.#segmentUsed, this.#segmentUsed + bytes)
  }

  /** Saves the first `bytes` bytes of the last `room` as a chunk. */
  saveRoom(bytes: number): ChunkId {
    const chunk = this.#segment.subarray(this.#segmentUsed, this.#segmentUsed + bytes)
    const id = asChunkId(this.#hasher.hash(chunk))
    if (this.#claim(id, bytes)) this.#append(id, bytes)
    return id
  }

  /** Saves one chunk; `data` may be reused as soon as this returns. */
  save(data: Uint8Array): ChunkId {
    const id = asChunkId(this.#hasher.hash(data))
    if (!this.#claim(id, data.length)) return id
    if (this.#segmentUsed + data.length > this.#segment.length) this.#sealSegment()
    if (data.length > this.#segment.length) {
      this.#sealChunks(data, [id], [data.length])
      return id
    }
    this.#segment.set(data, this.#segmentUsed)
    this.#append(id, data.length)
    return id
  }

  /** A promise to await before saving more, while too many packs are on their way. */
  ready(): Promise<void> | undefined {
    this.#throwFailure()
    return this.#inFlight.size < MAX_PACKS_IN_FLIGHT ? undefined : this.#oneStored()
  }

  /** Seals what is open and waits until every pack is stored. The writer can be used again afterwards. */
  async flush(): Promise<void> {
    this.#sealSegment()
    this.#finishPack()
    await Promise.all(this.#inFlight)
    this.#throwFailure()
  }

  async #oneStored(): Promise<void> {
    await Promise.race(this.#inFlight)
    this.#throwFailure()
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error
  }

  /**
   * From now on each chunk is stored once by this writer, whether or not it is known: the pack that holds it may be damaged.
   * Readers find the second copy when they cannot read the first.
   */
  distrustStored(): void {
    this.#storedAgain ??= new Set()
  }

  #claim(id: ChunkId, bytes: number): boolean {
    this.stats.chunks++
    const isNew = this.#options.table.claim(id)
    if (this.#storedAgain ? !addTo(this.#storedAgain, toHex(id)) : !isNew) return false
    this.stats.newChunks++
    this.stats.newBytes += bytes
    return true
  }

  #append(id: ChunkId, bytes: number): void {
    this.#segmentUsed += bytes
    this.#ids.push(id)
    this.#lengths.push(bytes)
    if (this.#segmentUsed >= this.#segmentBytes || this.#ids.length === MAX_CHUNKS) this.#sealSegment()
  }

  #sealSegment(): void {
    if (this.#ids.length === 0) return
    this.#sealChunks(this.#segment.subarray(0, this.#segmentUsed), this.#ids, this.#lengths)
    this.#segmentUsed = 0
    this.#ids = []
    this.#lengths = []
  }

  #sealChunks(plain: Uint8Array, ids: readonly Uint8Array[], lengths: readonly number[]): void {
    const { compression } = this.#options
    const compressed = compress(compression, plain)
    const smaller = compressed.length < plain.length
    const head = encodeSegmentHead(smaller ? COMPRESSION_CODES[compression.name] : COMPRESSION_CODES.none, lengths)
    const { pack, aead } = this.#openPack()
    const offset = this.#packUsed
    const sealedBytes = aead.seal(
      offset,
      packData(this.#header, 'segment'),
      [head, smaller ? compressed : plain],
      pack,
      offset,
    )
    if (compressed.buffer !== plain.buffer) release(compressed)
    this.#packUsed += sealedBytes
    this.#packTable.addSegment(sealedBytes, ids, lengths)
    if (this.#packUsed >= PACK_BYTES || this.#packTable.chunks >= MAX_CHUNKS) this.#finishPack()
  }

  #openPack(): { pack: Buffer<ArrayBuffer>; aead: Aead } {
    if (!this.#pack || !this.#aead) {
      const { kind, keys } = this.#options
      const memory = this.#spare.pop()
      this.#pack = Buffer.from(memory ?? newPackMemory(this.#packCapacity), 0, this.#packCapacity)
      this.#header = newHeader(kind, keys)
      this.#aead = openHeader(this.#header, kind, keys, 'a new pack')
      this.#header.copy(this.#pack)
      this.#packUsed = HEADER_BYTES
    }
    return { pack: this.#pack, aead: this.#aead }
  }

  #finishPack(): void {
    if (!this.#pack || !this.#aead) return
    const table = this.#packTable.take()
    const offset = this.#packUsed
    const sealedBytes = this.#aead.seal(offset, packData(this.#header, 'table'), [table], this.#pack, offset)
    const end = this.#pack.writeUInt32LE(sealedBytes, offset + sealedBytes)
    const bytes = this.#pack.subarray(0, end)
    this.#pack = undefined
    this.#aead = undefined
    this.stats.storedBytes += end
    this.#handOver({ id: toHex(blake3(bytes)) as PackId, bytes, table })
  }

  #handOver(pack: SealedPack): void {
    const stored = this.#options.storePack(pack).then(
      (memory) => {
        if (memory && memory.byteLength === this.#packCapacity) this.#spare.push(memory)
      },
      (error: unknown) => {
        this.#failure ??= { error }
      },
    )
    const done: Promise<void> = stored.finally(() => this.#inFlight.delete(done))
    this.#inFlight.add(done)
  }
}

/** Memory that begins at a page, as resizable memory does, so that a local store can write it past the page cache. */
function newPackMemory(bytes: number): ArrayBuffer {
  return new ArrayBuffer(bytes, { maxByteLength: bytes })
}

/** Adds a value and returns whether it was not there. */
function addTo<T>(set: Set<T>, value: T): boolean {
  return set.size < set.add(value).size
}
