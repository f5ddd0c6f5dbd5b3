/**
 * `node bench/codec.ts [folder…]`: MB/s (10^6 bytes, one thread) and ratio of everything in `src/codec/` on segments of
 * 4 MiB made of real files: 64 MiB spread over `/usr/lib` and `/usr/share` unless folders are given. Takes most of a minute.
 */
import { closeSync, openSync, readSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { Aead, TAG_BYTES } from '../src/codec/aead.ts'
import { COMPRESSION_CODES, compress, decompress, parseCompression } from '../src/codec/compression.ts'
import { ChunkHasher } from '../src/codec/hash.ts'
import { DEFAULT_ARGON2, argon2id } from '../src/codec/key-derivation.ts'

const SEGMENT_BYTES = 4 << 20
const SEGMENTS = 16

/** Segments filled with the beginnings (up to 1 MiB) of files that lie evenly spread over the folders. */
function sample(folders: readonly string[]): Buffer[] {
  const files = folders.flatMap((folder) => [...filesBelow(folder)])
  const all = Buffer.alloc(SEGMENTS * SEGMENT_BYTES)
  let filled = 0
  // Whole neighbourhoods of 20 files, since files of one folder resemble each other and meet in one segment.
  const step = Math.max(20, Math.floor(files.length / 200))
  for (let round = 0; round < step / 20; round++) {
    for (let start = round * 20; start < files.length; start += step) {
      for (const file of files.slice(start, start + 20)) {
        const handle = openSync(file, 'r')
        filled += readSync(handle, all, filled, Math.min(1 << 20, all.length - filled), 0)
        closeSync(handle)
      }
    }
  }
  const segments: Buffer[] = []
  for (let end = SEGMENT_BYTES; end <= filled; end += SEGMENT_BYTES)
    segments.push(all.subarray(end - SEGMENT_BYTES, end))
  if (segments.length === 0) throw new Error(`the files hold less than ${SEGMENT_BYTES} bytes`)
  return segments
}

/** Not `readdirSync` with `recursive`, which follows links to folders (Node 26.10) and so finds some files without end. */
function* filesBelow(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const name = path.join(folder, entry.name)
    if (entry.isDirectory()) yield* filesBelow(name)
    else if (entry.isFile()) yield name
  }
}

/** MB/s of the faster of two runs over all inputs, of which each stands for `rawBytes`. */
function speed<T>(inputs: readonly T[], rawBytes: number, work: (input: T) => unknown): string {
  let bestMs = Number.POSITIVE_INFINITY
  for (let run = 0; run < 2; run++) {
    const start = performance.now()
    for (const input of inputs) work(input)
    bestMs = Math.min(bestMs, performance.now() - start)
  }
  const rate = (inputs.length * rawBytes) / 1000 / bestMs
  return rate.toFixed(rate < 100 ? 1 : 0).padStart(8)
}

const folders = process.argv.slice(2)
const segments = sample(folders.length > 0 ? folders : ['/usr/lib', '/usr/share'])
const key = Buffer.alloc(32, 7)

const hasher = new ChunkHasher(key)
for (const size of [4 << 10, 64 << 10, 1 << 20]) {
  const chunks = segments.flatMap((segment) =>
    Array.from({ length: SEGMENT_BYTES / size }, (_, i) => segment.subarray(i * size, (i + 1) * size)),
  )
  console.log(`${`hash ${size >> 10} KiB`.padEnd(24)}${speed(chunks, size, (chunk) => hasher.hash(chunk))} MB/s`)
}

const target = Buffer.alloc(SEGMENT_BYTES + TAG_BYTES)
for (const cipher of ['aes-256-gcm', 'chacha20-poly1305', 'none'] as const) {
  const aead = new Aead(cipher, key)
  const sealing = speed(segments, SEGMENT_BYTES, (segment) => aead.seal(1, key, [segment], target, 0))
  const opening = speed(segments, SEGMENT_BYTES, () => aead.open(1, key, target, 'the benchmark'))
  console.log(`${`seal, open ${cipher}`.padEnd(30)}${sealing} ${opening} MB/s`)
}

const start = performance.now()
await argon2id(key, key, DEFAULT_ARGON2)
console.log(`argon2id${(performance.now() - start).toFixed(0).padStart(24)} ms`)

const choices = ['lz4', 'zstd,-7', 'zstd,-1', 'zstd,1', 'zstd,2', 'zstd,3', 'zstd,6', 'zstd,9', 'zstd,19']
const packWith = (choice: string, inputs: readonly Buffer[]): Uint8Array[] => {
  const compression = parseCompression(choice)
  return inputs.map((segment) => compress(compression, segment))
}
const ratioOf = (packed: readonly Uint8Array[]): string =>
  (packed.reduce((sum, bytes) => sum + bytes.length, 0) / (packed.length * SEGMENT_BYTES)).toFixed(3)
for (const choice of [...choices, 'zlib,1', 'zlib,6', 'zlib,9', 'lzma']) {
  const compression = parseCompression(choice)
  const slow = ['lzma', 'zstd,19'].includes(choice)
  const used = slow ? segments.filter((_, i) => i % 8 === 0) : segments // these take a second or more each
  const packing = speed(used, SEGMENT_BYTES, (segment) => compress(compression, segment))
  const packed = packWith(choice, used)
  const code = COMPRESSION_CODES[compression.name]
  const unpacking = speed(packed, SEGMENT_BYTES, (bytes) => decompress(code, bytes, SEGMENT_BYTES))
  const note = slow ? ` (on ${used.length} segments, where zstd,2 gives ${ratioOf(packWith('zstd,2', used))})` : ''
  console.log(`${choice.padEnd(24)}${ratioOf(packed)} ${packing} ${unpacking} MB/s${note}`)
}
