import { CairnError } from '../base/errors.ts'
import { type ChunkRef, type LoadChunk, type SaveChunk, encodeContent, readContent } from './content.ts'

/**
 * Stamps: what change detection compares besides type, size and mtime. They are kept apart from trees, so that trees depend on
 * what there is and not on where it lay: a restored, copied or imported folder has the same tree id.
 *
 * One stamp per node that is not a directory, in the order of a walk, so the n-th stamp belongs to the n-th such node; a
 * directory's `leaves` count tells how many to skip with it. Stored as chunks like long content, cut at stamp boundaries.
 */
export interface Stamp {
  /** ns since 1970, modulo 2^64 once stored. */
  readonly ctimeNs: bigint
  readonly inode: bigint
}

const STAMP_BYTES = 16
const WHAT = 'the stamps of the parent snapshot'
/** Stamps per chunk: about 4096 + 1024, cut after an inode whose hash has 12 zero bits, so that chunks of long lists recur. */
const MIN_STAMPS = 1024
const MAX_STAMPS = 16384
const CUT_MASK = 0xfff

/** A ctime as a stamp holds it: modulo 2^64, which is as good to compare with. */
export function toStampTime(ns: bigint): bigint {
  return BigInt.asIntN(64, ns)
}

/** A stamp that matches no file: what it is written for is read again in the next run. */
export const NO_STAMP: Stamp = { ctimeNs: 0n, inode: 0n }

/** Collects stamps in walk order. */
export class StampWriter {
  readonly #save: SaveChunk
  readonly #buffer = Buffer.allocUnsafe(MAX_STAMPS * STAMP_BYTES)
  #used = 0
  readonly #refs: ChunkRef[] = []

  constructor(save: SaveChunk) {
    this.#save = save
  }

  add(stamp: Stamp): void {
    this.#buffer.writeBigInt64LE(toStampTime(stamp.ctimeNs), this.#used)
    this.#buffer.writeBigUInt64LE(stamp.inode, this.#used + 8)
    const inodeHash = Math.imul(this.#buffer.readUInt32LE(this.#used + 8), 0x9e3779b1) >>> 20
    this.#used += STAMP_BYTES
    const count = this.#used / STAMP_BYTES
    if (count === MAX_STAMPS || (count >= MIN_STAMPS && (inodeHash & CUT_MASK) === 0)) this.#cut()
  }

  /** Stores what is left, and returns all stamps as encoded content. The writer is used up. */
  finish(): Buffer {
    this.#cut()
    return encodeContent(this.#refs, this.#save)
  }

  #cut(): void {
    if (this.#used === 0) return
    this.#refs.push({ id: this.#save(this.#buffer.subarray(0, this.#used)), bytes: this.#used })
    this.#used = 0
  }
}

/** Reads stamps by position, forwards, holding one chunk at a time. */
export class StampReader {
  readonly #chunks: AsyncGenerator<ChunkRef>
  readonly #load: LoadChunk
  #first = 0
  #bytes: Buffer = Buffer.alloc(0)

  /** @param content what `StampWriter.finish` returned */
  constructor(content: Uint8Array, load: LoadChunk) {
    this.#chunks = readContent(content, load, WHAT)
    this.#load = load
  }

  /** The stamp at `position`, if it lies in the chunk at hand; else `seek` there first. */
  at(position: number): Stamp | undefined {
    const offset = (position - this.#first) * STAMP_BYTES
    if (offset < 0 || offset >= this.#bytes.length) return undefined
    return { ctimeNs: this.#bytes.readBigInt64LE(offset), inode: this.#bytes.readBigUInt64LE(offset + 8) }
  }

  /**
   * Moves on to the chunk that holds `position`; positions only grow. Past the end, `at` finds nothing.
   *
   * @throws {CairnError} `DATA_CORRUPT` when a chunk does not hold whole stamps, as many as the content says
   */
  async seek(position: number): Promise<void> {
    while ((position - this.#first) * STAMP_BYTES >= this.#bytes.length) {
      this.#first += this.#bytes.length / STAMP_BYTES
      this.#bytes = Buffer.alloc(0)
      const next = await this.#chunks.next()
      if (next.done) return
      const { id, bytes } = next.value
      if (bytes % STAMP_BYTES !== 0) throw corrupt(`a chunk of ${bytes} bytes`)
      if ((position - this.#first) * STAMP_BYTES >= bytes) {
        this.#first += bytes / STAMP_BYTES // wholly before the position: not even loaded
        continue
      }
      const loaded = await this.#load(id)
      if (loaded.length !== bytes) throw corrupt(`${loaded.length} bytes instead of ${bytes}`)
      this.#bytes = Buffer.from(loaded.buffer, loaded.byteOffset, bytes)
    }
  }
}

function corrupt(found: string): CairnError {
  return new CairnError('DATA_CORRUPT', `Cannot read ${WHAT}: found ${found}`)
}
