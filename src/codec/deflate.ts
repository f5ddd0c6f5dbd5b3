/** Deflate without any frame (RFC 1951), as zip has it. */
import { Readable } from 'node:stream'
import { createDeflateRaw, createInflateRaw, deflateRawSync, inflateRawSync } from 'node:zlib'
import type { ByteSource } from '../base/byte-stream.ts'
import { ReadableSource } from '../base/readable-source.ts'

const PIECE_BYTES = 256 << 10

export function deflate(data: Uint8Array): Buffer {
  return deflateRawSync(data)
}

/** Deflates pieces as they come. */
export async function* deflated(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const input = Readable.from(pieces, { objectMode: false, highWaterMark: PIECE_BYTES })
  const output = createDeflateRaw({ chunkSize: PIECE_BYTES })
  input.on('error', (error) => output.destroy(error))
  for await (const piece of input.pipe(output)) yield piece as Buffer
}

/** Throws any error of zlib, also when there are more than `rawBytes`. */
export function inflate(data: Uint8Array, rawBytes: number): Buffer {
  return inflateRawSync(data, { maxOutputLength: Math.max(1, rawBytes) })
}

/** Inflates what a stream of Node gives. Throws any error of zlib. */
export function inflated(input: Readable): ByteSource {
  const output = createInflateRaw({ chunkSize: PIECE_BYTES })
  input.on('error', (error) => output.destroy(error))
  return new ReadableSource(input.pipe(output))
}
