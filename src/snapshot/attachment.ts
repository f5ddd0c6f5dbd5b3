import { ByteReader, ByteWriter } from '../base/binary.ts'
import type { Hole } from '../base/hole.ts'
import { fromRawName, toRawName } from '../base/raw-name.ts'
import { type ChunkRef, type LoadChunk, type SaveChunk, encodeContent, readContent } from './content.ts'

/**
 * Attachments: what a node carries besides its fixed fields and may be long, such as extended attributes. Up to `INLINE_BYTES`
 * it stands in the node itself; anything longer lies in chunks of its own, so that nodes stay small whatever a file has.
 */
const INLINE = 0
const IN_CHUNKS = 1
const INLINE_BYTES = 1024
const CHUNK_BYTES = 256 << 10

/** The field of a node for these bytes, storing chunks if there are many. */
export function encodeAttachment(bytes: Uint8Array, save: SaveChunk): Buffer {
  if (bytes.length <= INLINE_BYTES) return Buffer.concat([Buffer.of(INLINE), bytes])
  const refs: ChunkRef[] = []
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    const piece = bytes.subarray(start, start + CHUNK_BYTES)
    refs.push({ id: save(piece), bytes: piece.length })
  }
  return Buffer.concat([Buffer.of(IN_CHUNKS), encodeContent(refs, save)])
}

/**
 * The bytes of a field that `encodeAttachment` made.
 *
 * @throws {CairnError} `DATA_CORRUPT` when it makes no sense or has more than `maxBytes`
 */
export async function readAttachment(
  field: Uint8Array,
  load: LoadChunk,
  what: string,
  maxBytes = 64 << 20,
): Promise<Buffer> {
  const content = contentOfAttachment(field, what)
  if (!content) return Buffer.from(field.buffer, field.byteOffset + 1, field.length - 1)
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const ref of readContent(content, load, what)) {
    const piece = await load(ref.id)
    bytes += piece.length
    if (piece.length !== ref.bytes || bytes > maxBytes) throw new ByteReader(field, what).corrupt('its length is wrong')
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

/** The encoded content an attachment lies in; `undefined` when it stands in the node. */
export function contentOfAttachment(field: Uint8Array, what: string): Uint8Array | undefined {
  const kind = new ByteReader(field, what).u8()
  if (kind !== INLINE && kind !== IN_CHUNKS) throw new ByteReader(field, what).corrupt(`an attachment of kind ${kind}`)
  return kind === IN_CHUNKS ? field.subarray(1) : undefined
}

/** An extended attribute: its name, raw-name text with namespace (`user.…`), and its value. */
export interface NodeXattr {
  readonly name: string
  readonly value: Uint8Array
}

/** Extended attributes as an attachment holds them; they come sorted by raw name, so that equal sets are equal bytes. */
export function encodeXattrs(xattrs: readonly NodeXattr[]): Buffer {
  const writer = new ByteWriter(256)
  for (const { name, value } of xattrs) {
    writer.bytes(toRawName(name))
    writer.bytes(value)
  }
  return writer.copy()
}

export function decodeXattrs(bytes: Uint8Array, what: string): NodeXattr[] {
  const reader = new ByteReader(bytes, what)
  const xattrs: NodeXattr[] = []
  while (!reader.done) xattrs.push({ name: fromRawName(reader.bytes()), value: reader.bytes() })
  return xattrs
}

/** Holes, ascending, as an attachment holds them: of each the bytes of data before it, since the last hole, and its length. */
export function encodeHoles(holes: readonly Hole[]): Buffer {
  const writer = new ByteWriter(64)
  let end = 0
  for (const { offset, length } of holes) {
    writer.varint(offset - end)
    writer.varint(length)
    end = offset + length
  }
  return writer.copy()
}

/** @throws {CairnError} `DATA_CORRUPT` when they pass the end of the file */
export function decodeHoles(bytes: Uint8Array, sizeBytes: number, what: string): Hole[] {
  const reader = new ByteReader(bytes, what)
  const holes: Hole[] = []
  let end = 0
  while (!reader.done) {
    const offset = end + reader.varint()
    const length = reader.varint()
    end = offset + length
    if (end > sizeBytes || length === 0) throw reader.corrupt('a hole lies outside the file')
    holes.push({ offset, length })
  }
  return holes
}
