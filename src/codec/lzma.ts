/**
 * Raw LZMA2 chunks with a dictionary of 8 MiB, as `xz --format=raw --lzma2=preset=6` writes them and
 * `xz --format=raw --lzma2=dict=8MiB -d` reads them.
 *
 * Of the library's formats this one says how much comes out before anything is decoded: each chunk states both lengths.
 */
import { createRequire } from 'node:module'
import { ByteReader } from '../base/binary.ts'

const require = createRequire(import.meta.url)
/** Loaded when first used: 10 ms that most runs do not need. */
const library = (): typeof import('@napi-rs/lzma') => require('@napi-rs/lzma') as typeof import('@napi-rs/lzma')

/** As `xz -6`: the only strength that the library has without going asynchronous. */
export function compressLzma(data: Uint8Array): Buffer {
  return library().lzma2.compressSync(data)
}

/** @throws {CairnError} `DATA_CORRUPT`, or any error of the library for a damaged chunk */
export function decompressLzma(data: Uint8Array, rawLength: number): Buffer {
  requireRawLength(data, rawLength)
  return library().lzma2.decompressSync(data)
}

/** Walks the chunk headers (xz-5.6, liblzma/lzma/lzma2_decoder.c) to know that `rawLength` bytes will come out, no more. */
function requireRawLength(data: Uint8Array, rawLength: number): void {
  const reader = new ByteReader(data, 'LZMA2 data')
  const u16be = (): number => reader.u8() * 256 + reader.u8()
  let total = 0
  for (let control = reader.u8(); control !== 0; control = reader.u8()) {
    if (control >= 0x80) {
      total += (control % 0x20) * 65_536 + u16be() + 1
      const packedBytes = u16be() + 1
      const propertyBytes = control >= 0xc0 ? 1 : 0
      reader.raw(propertyBytes + packedBytes)
    } else if (control <= 2) {
      const storedBytes = u16be() + 1
      total += storedBytes
      reader.raw(storedBytes)
    } else {
      throw reader.corrupt(`an unknown kind of chunk (${control})`)
    }
  }
  if (!reader.done) throw reader.corrupt('more bytes after the end mark')
  if (total !== rawLength) throw reader.corrupt(`${total} bytes instead of ${rawLength}`)
}
