import { ByteReader, ByteWriter } from '../../base/binary.ts'
import { CHUNK_ID_BYTES } from '../../base/ids.ts'
import { TAG_BYTES } from '../../codec/aead.ts'
import { HEADER_BYTES } from '../sealed-object.ts'

/**
 * The bytes of a pack (docs/format.md, "Packs"): header · segments · table · length of the table.
 *
 * A segment is sealed as: compression code, number of chunks and their lengths, then the chunks, compressed as one.
 * The table repeats what the segments hold, with chunk ids, so that the index can be rebuilt from packs alone.
 */

/** A pack is closed when it holds this many bytes; the last segment and the table come on top. */
export const PACK_BYTES = 16 << 20
/** Packs are never larger. */
export const MAX_PACK_BYTES = 128 << 20
/** A segment has at most this many chunks, and a pack is closed when it has as many: bounds the table to about 2.5 MiB. */
export const MAX_CHUNKS = 1 << 15
/** Bytes of the table at most: two segments' worth of chunks. */
export const MAX_TABLE_BYTES = 2 * MAX_CHUNKS * (CHUNK_ID_BYTES + 4)
/** The pack ends with the length of its sealed table. */
export const TABLE_LENGTH_BYTES = 4

/** Storage key of a pack: fanned out by the first two digits, as file systems like it. */
export function packKey(pack: string): string {
  return `packs/${pack.slice(0, 2)}/${pack}`
}

export interface SegmentRecord {
  /** Where the sealed segment begins in the pack. */
  readonly offset: number
  /** Bytes of the sealed segment, tag included. */
  readonly sealedBytes: number
  readonly chunks: number
  /** The ids of its chunks, 32 bytes each, in order. */
  readonly ids: Uint8Array
  /** Bytes of its chunks together. */
  readonly rawBytes: number
  /** Where their lengths stand in the table. */
  readonly lengthsOffset: number
}

/**
 * Associated data of a segment or the table. Their nonce is the offset in the pack, so position is authenticated too, and no
 * nonce can occur twice under the pack's key.
 */
export function packData(header: Uint8Array, part: 'segment' | 'table'): Buffer {
  return Buffer.concat([header, Buffer.from(part)])
}

/** Collects the table of a pack while it is written. */
export class PackTableWriter {
  readonly #writer = new ByteWriter(16 << 10)
  #chunks = 0

  get chunks(): number {
    return this.#chunks
  }

  addSegment(sealedBytes: number, ids: readonly Uint8Array[], lengths: readonly number[]): void {
    this.#writer.varint(sealedBytes)
    this.#writer.varint(ids.length)
    for (const id of ids) this.#writer.raw(id)
    for (const length of lengths) this.#writer.varint(length)
    this.#chunks += ids.length
  }

  /** The finished table, and a fresh start. */
  take(): Buffer {
    const table = this.#writer.copy()
    this.#writer.reset()
    this.#chunks = 0
    return table
  }
}

/**
 * The segments a pack's table lists, in order; `packBytes` bounds what a damaged table can claim.
 *
 * @throws {CairnError} `DATA_CORRUPT` naming `what`
 */
export function* readPackTable(table: Uint8Array, packBytes: number, what: string): Generator<SegmentRecord> {
  const reader = new ByteReader(table, what)
  let offset = HEADER_BYTES
  while (!reader.done) {
    const sealedBytes = reader.varint()
    const count = reader.varint()
    if (sealedBytes <= TAG_BYTES || offset + sealedBytes > packBytes)
      throw reader.corrupt('a segment lies outside the pack')
    if (count === 0 || count > MAX_CHUNKS) throw reader.corrupt(`a segment has ${count} chunks`)
    const ids = reader.raw(count * CHUNK_ID_BYTES)
    const lengthsOffset = reader.offset
    let rawBytes = 0
    for (let i = 0; i < count; i++) rawBytes += reader.varint()
    yield { offset, sealedBytes, chunks: count, ids, rawBytes, lengthsOffset }
    offset += sealedBytes
  }
}

/** The lengths of the chunks of a segment that `readPackTable` found in this table. */
export function* chunkLengths(table: Uint8Array, { lengthsOffset, chunks }: SegmentRecord): Generator<number> {
  const reader = new ByteReader(table.subarray(lengthsOffset), 'a table that was read before')
  for (let i = 0; i < chunks; i++) yield reader.varint()
}
