import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import fc from 'fast-check'
import { type ByteSource, sourceOf } from '../base/byte-stream.ts'
import { testBytes } from '../chunker/testing.ts'
import { type StreamCompression, compressing, decompressed } from './stream-compression.ts'

async function compress(bytes: Buffer, compression: StreamCompression, pieceBytes = 100_000): Promise<Buffer> {
  const parts: Buffer[] = []
  const write = async (piece: Uint8Array): Promise<void> => void parts.push(Buffer.from(piece))
  const sink = compressing({ write, end: async () => undefined }, compression, { workers: 2 })
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const piece = Buffer.from(bytes.subarray(at, at + pieceBytes))
    await sink.write(piece)
    piece.fill(0) // it is ours again
  }
  await sink.end()
  return Buffer.concat(parts)
}

async function decompress(bytes: Buffer, compression: StreamCompression, room = 64 << 20): Promise<Buffer> {
  const memory = Buffer.alloc(room)
  return memory.subarray(0, await decompressed(sourceOf(bytes), compression).read(memory))
}

const data = Buffer.concat([testBytes('compressed', 9 << 20), Buffer.alloc(5 << 20)])
const LIBRARY = { gzip: [gzipSync, gunzipSync], zstd: [zstdCompressSync, zstdDecompressSync] } as const

for (const compression of ['gzip', 'zstd'] as const) {
  describe(`${compression} streams`, () => {
    it('are what the library, and the program of that name, read', async () => {
      const compressed = await compress(data, compression)
      assert.ok(LIBRARY[compression][1](compressed).equals(data))
      const { status, stdout, error } = spawnSync(compression, ['-dc'], { input: compressed, maxBuffer: 1 << 26 })
      if (!error) assert.ok(status === 0 && stdout.equals(data))
    })

    it('come back, whatever the content and the pieces', async () => {
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ maxLength: 5000 }), fc.integer({ min: 1, max: 600 }), async (bytes, piece) => {
          const content = Buffer.from(bytes)
          assert.ok(
            (await decompress(await compress(content, compression, piece), compression, 1 << 16)).equals(content),
          )
        }),
        { numRuns: 30 },
      )
    })

    it('may be several, one behind the other', async () => {
      const two = Buffer.concat([LIBRARY[compression][0](data), LIBRARY[compression][0](Buffer.from('more'))])
      assert.ok((await decompress(two, compression)).equals(Buffer.concat([data, Buffer.from('more')])))
    })

    it('are errors when they are cut off, damaged or something else', async () => {
      const good = await compress(data.subarray(0, 300_000), compression)
      for (const length of [1, 10, 1000, good.length - 1])
        await assert.rejects(decompress(good.subarray(0, length), compression), { code: 'ARCHIVE_CORRUPT' })
      for (const length of [10, 1_000_000]) {
        const followed = Buffer.concat([good, Buffer.alloc(length, 'else')])
        await assert.rejects(decompress(followed, compression), { code: 'ARCHIVE_CORRUPT' })
      }
      await fc.assert(
        fc.asyncProperty(fc.nat(good.length - 1), fc.nat(7), async (at, bit) => {
          const bad = Buffer.from(good)
          bad[at] = (bad[at] as number) ^ (1 << bit)
          const got = await decompress(bad, compression).catch((error: unknown) => error)
          // A few bits of headers mean nothing.
          if (Buffer.isBuffer(got)) assert.ok(got.equals(data.subarray(0, 300_000)))
          else assert.equal((got as { code: string }).code, 'ARCHIVE_CORRUPT')
        }),
        { numRuns: 30 },
      )
    })

    it('pass on what goes wrong with their source or their sink', async () => {
      const failing: ByteSource = { read: () => Promise.reject(new Error('the disk is gone')) }
      await assert.rejects(decompressed(failing, compression).read(new Uint8Array(10)), { message: 'the disk is gone' })
      const full = { write: () => Promise.reject(new Error('full')), end: async () => undefined }
      const sink = compressing(full, compression, { workers: 1 })
      await assert.rejects(
        async () => {
          for (let i = 0; i < 100; i++) await sink.write(data.subarray(0, 1 << 20))
          await sink.end()
        },
        { message: 'full' },
      )
    })
  })
}
