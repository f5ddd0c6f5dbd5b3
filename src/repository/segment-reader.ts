import type { Aead } from '../codec/aead.ts'
import { type Segment, chunkAt, decodeSegment } from './pack/segment.ts'
import { packData } from './pack/pack-format.ts'
import { HEADER_BYTES, openHeader } from './sealed-object.ts'
import { OBJECT_KINDS, type PackKind, type RepositoryKeys } from './keys.ts'
import { CairnError } from '../base/errors.ts'
import { release } from '../codec/release.ts'
import { CHUNK_ID_BYTES, toHex } from '../base/ids.ts'
import { ChunkHasher } from '../codec/hash.ts'

export { chunkAt }
export type { Segment }

/** Sealed bytes of a segment, and what is needed to open them; can be posted to worker threads. */
export interface SealedSegment {
  /** Name of the pack, for messages. */
  readonly pack: string
  readonly header: Uint8Array
  readonly offset: number
  readonly bytes: Uint8Array
}

/** Opens segments: authenticates, decrypts, decompresses, and verifies chunks by their ids. One per thread. */
export class SegmentReader {
  readonly #keys: RepositoryKeys
  readonly #hasher: ChunkHasher
  /** The pack opened last: segments come pack by pack. */
  #open: { header: string; aead: Aead } | undefined

  constructor(keys: RepositoryKeys) {
    this.#keys = keys
    this.#hasher = new ChunkHasher(keys.chunkId)
  }

  /**
   * The chunks of a segment, in memory that the caller owns and may `release`.
   *
   * @throws {CairnError} `DATA_CORRUPT` naming the pack and the position when a byte of the segment is not what was written
   */
  read(segment: SealedSegment): Segment {
    const what = `pack ${segment.pack} at byte ${segment.offset}`
    const aead = this.#aeadOf(segment.header, what)
    const unsealed = aead.open(segment.offset, packData(segment.header, 'segment'), segment.bytes, what)
    const decoded = decodeSegment(unsealed, what)
    if (decoded.bytes.buffer !== unsealed.buffer) release(unsealed)
    return decoded
  }

  /** @throws {CairnError} `DATA_CORRUPT` when these bytes are not the chunk's, or there are none */
  verify(chunk: Uint8Array | undefined, id: Uint8Array, pack: string): Uint8Array {
    if (chunk && this.#hasher.hash(chunk).equals(id)) return chunk
    throw new CairnError('DATA_CORRUPT', `Cannot read chunk ${toHex(id)}: pack ${pack} holds other bytes in its place`)
  }

  /** The ids that the chunks of a segment have, one after the other: for those who verify chunks in another thread. */
  idsOf(segment: Segment): Uint8Array {
    const ids = new Uint8Array(segment.ends.length * CHUNK_ID_BYTES)
    for (const i of segment.ends.keys())
      ids.set(this.#hasher.hash(chunkAt(segment, i) as Uint8Array), i * CHUNK_ID_BYTES)
    return ids
  }

  #aeadOf(header: Uint8Array, what: string): Aead {
    const name = toHex(header.subarray(0, HEADER_BYTES))
    if (this.#open?.header !== name) {
      this.#open = { header: name, aead: openHeader(header, packKindOf(header), this.#keys, what) }
    }
    return this.#open.aead
  }
}

/** Whether a pack header says data or trees; a wrong one fails when the header is opened. */
export function packKindOf(header: Uint8Array): PackKind {
  return header[6] === OBJECT_KINDS.treePack ? 'treePack' : 'dataPack'
}
