/** The algorithms that Node has built in: zstd (RFC 8878) frames and zlib (RFC 1950) streams. */
import { constants, deflateSync, inflateSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { CairnError } from '../base/errors.ts'

/** A single zstd frame that states its content size and has no checksum, since what is stored is authenticated anyway. */
export function compressZstd(data: Uint8Array, level: number): Buffer {
  const params: Record<number, number> = {
    [constants.ZSTD_c_compressionLevel]: level,
    [constants.ZSTD_c_contentSizeFlag]: 1,
    [constants.ZSTD_c_checksumFlag]: 0,
  }
  if (level === -1) {
    // Node takes the value -1 for "not set", which would give level 3. Negative levels differ in nothing but the target
    // length, which is the level's absolute value (zstd 1.5.7, ZSTD_getCParams_internal).
    params[constants.ZSTD_c_compressionLevel] = -2
    params[constants.ZSTD_c_targetLength] = 1
  }
  return zstdCompressSync(data, { params, chunkSize: enoughFor(data.length) })
}

/** @throws any error of zlib, or a `CairnError` `DATA_CORRUPT` when input is left over */
export function decompressZstd(data: Uint8Array, rawLength: number): Buffer {
  return allOf(data, zstdDecompressSync(data, exactly(rawLength)))
}

export function compressZlib(data: Uint8Array, level: number): Buffer {
  return deflateSync(data, { level, chunkSize: enoughFor(data.length) })
}

/** @throws any error of zlib, or a `CairnError` `DATA_CORRUPT` when input is left over */
export function decompressZlib(data: Uint8Array, rawLength: number): Buffer {
  return allOf(data, inflateSync(data, exactly(rawLength)))
}

/** Output buffer in bytes that holds even what does not compress: one buffer is filled, never a list of them joined. */
function enoughFor(length: number): number {
  return length + (length >> 7) + 1024
}

interface DecompressOptions {
  readonly info: true
  readonly maxOutputLength: number
  readonly chunkSize: number
}

/** Options that end in an error at the first byte beyond `rawLength`; smaller values than these are refused by Node. */
function exactly(rawLength: number): DecompressOptions {
  return { info: true, maxOutputLength: Math.max(1, rawLength), chunkSize: Math.max(64, rawLength + 1) }
}

/** The output, provided that all input was used: zlib itself ignores what follows the end of a stream. */
function allOf(data: Uint8Array, result: unknown): Buffer {
  // With the option `info` the result is this pair; the types do not know it.
  const { buffer, engine } = result as { buffer: Buffer; engine: { bytesWritten: number } }
  const left = data.length - engine.bytesWritten
  if (left > 0) throw new CairnError('DATA_CORRUPT', `Cannot read compressed data: ${left} bytes follow its end`)
  return buffer
}
