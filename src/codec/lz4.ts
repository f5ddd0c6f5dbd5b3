/**
 * LZ4 frames (lz4_Frame_format.md 1.6.4) of independent blocks of 4 MiB without checksums, which any LZ4 tool reads.
 *
 * The frame is written here around the library's blocks, because its own frame decoder has no bound for its output.
 */
import { createRequire } from 'node:module'
import { ByteReader } from '../base/binary.ts'

/** Magic number, flags (version 1, independent blocks), block size code 7, and the checksum of these two bytes. */
const HEADER = Buffer.from('04224d18607073', 'hex')
/** Loaded when first used: 10 ms that most runs do not need. */
const lz4 = (): typeof import('lz4-napi') => require('lz4-napi') as typeof import('lz4-napi')
const require = createRequire(import.meta.url)
const END_MARK = Buffer.alloc(4)
const BLOCK_BYTES = 4 << 20
/** In the size of a block: the block is stored as it is. */
const STORED = 0x8000_0000
/** A block of the library begins with the length of its content, u32le. */
const PREFIX_BYTES = 4

export function compressLz4(data: Uint8Array): Buffer {
  const parts: Uint8Array[] = [HEADER]
  for (let start = 0; start < data.length; start += BLOCK_BYTES) {
    const raw = data.subarray(start, start + BLOCK_BYTES)
    const block = lz4()
      .compressSync(Buffer.from(raw.buffer, raw.byteOffset, raw.length))
      .subarray(PREFIX_BYTES)
    if (block.length < raw.length) parts.push(u32(block.length), block)
    else parts.push(u32(STORED + raw.length), raw)
  }
  parts.push(END_MARK)
  return Buffer.concat(parts)
}

/** @throws {CairnError} `DATA_CORRUPT`, or any error of the library for a damaged block */
export function decompressLz4(data: Uint8Array, rawLength: number): Buffer {
  const reader = new ByteReader(data, 'LZ4 data')
  if (!reader.raw(HEADER.length).equals(HEADER)) throw reader.corrupt('an unknown header')
  const parts: Buffer[] = []
  let left = rawLength
  for (let size = reader.u32(); size !== 0; size = reader.u32()) {
    const wanted = Math.min(left, BLOCK_BYTES) // every block but the last is full
    const block = reader.raw(size % STORED)
    const part = size >= STORED ? block : lz4().uncompressSync(Buffer.concat([u32(wanted), block]))
    if (wanted === 0 || part.length !== wanted) throw reader.corrupt(`a block without the wanted ${wanted} bytes`)
    parts.push(part)
    left -= wanted
  }
  if (!reader.done) throw reader.corrupt('more bytes after the end mark')
  const [first] = parts
  return first && parts.length === 1 ? first : Buffer.concat(parts)
}

function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32LE(value)
  return bytes
}
