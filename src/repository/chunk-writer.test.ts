import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { toHex } from '../base/ids.ts'
import { COMPRESSION_CODES, type CompressionName } from '../codec/compression.ts'
import { ChunkHasher, blake3 } from '../codec/hash.ts'
import { testBytes } from '../chunker/testing.ts'
import { ChunkTable } from './chunk-table.ts'
import { ChunkWriter, type ChunkWriterOptions, type SealedPack } from './chunk-writer.ts'
import { type RepositoryKeys, deriveRepositoryKeys } from './keys.ts'
import { MAX_CHUNKS, PACK_BYTES, packData, readPackTable } from './pack/pack-format.ts'
import { HEADER_BYTES, openHeader } from './sealed-object.ts'
import { SegmentReader, chunkAt } from './segment-reader.ts'
import { ZSTD } from './testing.ts'

const MIB = 1 << 20
const KEYS = deriveRepositoryKeys(
  Uint8Array.from({ length: 32 }, (_, i) => i),
  'aes-256-gcm',
)
const PLAIN_KEYS = deriveRepositoryKeys(new Uint8Array(32), 'none')
const NOISE = testBytes('noise for chunks', 24 * MIB)

/** A writer that keeps its packs. */
function newWriter(options: Partial<ChunkWriterOptions> = {}): { writer: ChunkWriter; packs: SealedPack[] } {
  const packs: SealedPack[] = []
  const writer = new ChunkWriter({
    kind: 'dataPack',
    keys: KEYS,
    table: ChunkTable.create(100_000),
    compression: ZSTD,
    maxChunkBytes: 8 * MIB,
    storePack: async (pack) => {
      packs.push({ ...pack, bytes: Buffer.from(new Uint8Array(pack.bytes).buffer) })
      await setImmediate()
      return pack.bytes.buffer
    },
    ...options,
  })
  return { writer, packs }
}

/** Everything in a pack by way of its own table, and that the pack is laid out as it must be. */
function readPack(
  pack: SealedPack,
  keys: RepositoryKeys,
  kind: 'dataPack' | 'treePack' = 'dataPack',
): Map<string, Buffer> {
  const { bytes } = pack
  assert.equal(pack.id, toHex(blake3(bytes)))
  const header = bytes.subarray(0, HEADER_BYTES)
  const tableBytes = bytes.readUInt32LE(bytes.length - 4)
  const tableOffset = bytes.length - 4 - tableBytes
  const sealedTable = bytes.subarray(tableOffset, -4)
  const aead = openHeader(header, kind, keys, 'the pack')
  const table = aead.open(tableOffset, packData(header, 'table'), sealedTable, 'the table')
  assert.deepEqual(table, pack.table)

  const reader = new SegmentReader(keys)
  const chunks = new Map<string, Buffer>()
  let end = HEADER_BYTES
  for (const { offset, sealedBytes, ids, chunks: count } of readPackTable(table, bytes.length, 'the table')) {
    assert.equal(offset, end)
    end += sealedBytes
    const segment = reader.read({ pack: pack.id, header, offset, bytes: bytes.subarray(offset, end) })
    assert.equal(segment.ends.length, count)
    for (let i = 0; i < count; i++) {
      const id = ids.subarray(i * 32, i * 32 + 32)
      chunks.set(toHex(id), Buffer.from(reader.verify(chunkAt(segment, i), id, pack.id)))
    }
  }
  assert.equal(end, tableOffset)
  return chunks
}

/** Checks that packs hold exactly these chunks, each once. */
function assertHold(packs: readonly SealedPack[], chunks: readonly Uint8Array[], keys = KEYS): void {
  const hasher = new ChunkHasher(keys.chunkId)
  const wanted = new Map(chunks.map((chunk) => [toHex(hasher.hash(chunk)), chunk]))
  let found = 0
  for (const pack of packs) {
    for (const [id, chunk] of readPack(pack, keys)) {
      found++
      assert.ok(chunk.equals(wanted.get(id) as Uint8Array), `chunk ${id}`)
    }
  }
  assert.equal(found, wanted.size)
}

/** Chunks of all interesting lengths: none, tiny, around a segment, and more than fits one. */
const anyChunk = fc
  .tuple(
    fc.oneof(
      { weight: 12, arbitrary: fc.nat(3000) },
      { weight: 2, arbitrary: fc.constantFrom(0, 1, 2) },
      { weight: 1, arbitrary: fc.constantFrom(4 * MIB - 1, 4 * MIB, 5 * MIB, 5 * MIB + 1, 8 * MIB) },
    ),
    fc.boolean(),
    fc.nat(MIB),
  )
  .map(([bytes, isNoise, seed]) =>
    isNoise ? NOISE.subarray(seed, seed + bytes) : Buffer.alloc(bytes, `${seed % 100} monotonous `),
  )

describe('ChunkWriter', () => {
  it('puts any list of chunks into packs, each new chunk once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyChunk, { maxLength: 40 }), async (chunks) => {
        const { writer, packs } = newWriter()
        for (const chunk of chunks) {
          const scratch = Buffer.from(chunk)
          writer.save(scratch)
          scratch.fill(0xee) // save() keeps nothing of its argument
          await writer.ready()
        }
        await writer.flush()
        assertHold(packs, chunks)
        const stored = packs.reduce((sum, pack) => sum + pack.bytes.length, 0)
        assert.equal(writer.stats.storedBytes, stored)
        assert.equal(writer.stats.chunks, chunks.length)
      }),
      { numRuns: 25 },
    )
  })

  it('puts what is read into room() into packs as well, mixed with save()', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ bytes: fc.nat(300_000), given: fc.nat(1000), isRoom: fc.boolean() }), { maxLength: 40 }),
        async (steps) => {
          const { writer, packs } = newWriter()
          const chunks: Buffer[] = []
          for (const { bytes, given, isRoom } of steps) {
            const chunk = NOISE.subarray(bytes, bytes + bytes)
            chunks.push(chunk)
            if (isRoom) {
              writer.room(Math.min(bytes + given, writer.roomBytes)).set(chunk) // less may come than was asked for
              writer.saveRoom(chunk.length)
            } else writer.save(chunk)
            await writer.ready()
          }
          await writer.flush()
          assertHold(packs, chunks)
        },
      ),
      { numRuns: 15 },
    )
  })

  it('compresses segments with any algorithm, and stores what does not get smaller', async () => {
    for (const [name, code] of Object.entries(COMPRESSION_CODES) as [CompressionName, number][]) {
      for (const [chunk, expected] of [
        [Buffer.alloc(50_000, 'compress me '), code],
        [NOISE.subarray(0, 50_000), 0],
        [Buffer.alloc(0), 0],
      ] as const) {
        const { writer, packs } = newWriter({ keys: PLAIN_KEYS, compression: { name, level: undefined } })
        writer.save(chunk)
        await writer.flush()
        assertHold(packs, [chunk], PLAIN_KEYS)
        // An unencrypted pack shows the compression in the first byte of its segment.
        assert.equal(packs[0]?.bytes[HEADER_BYTES], expected, `${name}, ${chunk.length} bytes`)
      }
    }
  })

  it('closes segments and packs that have too many chunks', async () => {
    const { writer, packs } = newWriter()
    const chunks = Array.from({ length: MAX_CHUNKS * 2 + 10 }, (_, i) => Buffer.from(`chunk ${i}`))
    for (const chunk of chunks) writer.save(chunk)
    await writer.flush()
    assertHold(packs, chunks)
    const counts = packs.map((pack) =>
      Array.from(readPackTable(pack.table, pack.bytes.length, 'a table'), (segment) => segment.chunks),
    )
    assert.deepEqual(counts, [[MAX_CHUNKS], [MAX_CHUNKS], [10]])
  })

  it('closes packs at 16 MiB, and fills segments up to 4 MiB', async () => {
    const { writer, packs } = newWriter({ compression: { name: 'none', level: undefined } })
    for (let i = 0; i < 24; i++) {
      writer.save(NOISE.subarray(i * MIB, (i + 1) * MIB))
      await writer.ready()
    }
    await writer.flush()
    assert.equal(packs.length, 2)
    const [first] = packs as [SealedPack]
    assert.ok(first.bytes.length >= PACK_BYTES && first.bytes.length < PACK_BYTES + 2000)
    for (const { rawBytes } of readPackTable(first.table, first.bytes.length, 'a table'))
      assert.equal(rawBytes, 4 * MIB)
  })

  it('makes segments of trees smaller', async () => {
    const { writer, packs } = newWriter({ kind: 'treePack' })
    for (let i = 0; i < 8; i++) writer.save(NOISE.subarray(i * 300_000, (i + 1) * 300_000))
    await writer.flush()
    const [pack] = packs as [SealedPack]
    assert.equal(readPack(pack, KEYS, 'treePack').size, 8)
    const segments = Array.from(readPackTable(pack.table, pack.bytes.length, 'a table'))
    assert.deepEqual(
      segments.map(({ chunks }) => chunks),
      [4, 4],
    )
  })

  it('stores a chunk once, whichever of the writers on one table saves it first', async () => {
    const table = ChunkTable.create(100)
    const one = newWriter({ table })
    const two = newWriter({ table })
    const chunk = NOISE.subarray(0, 1000)
    const ids = [one.writer.save(chunk), two.writer.save(chunk), one.writer.save(chunk)]
    await one.writer.flush()
    await two.writer.flush()
    assert.deepEqual(ids[0], ids[1])
    assert.deepEqual(ids[0], ids[2])
    assertHold(one.packs, [chunk])
    assert.equal(two.packs.length, 0)
    assert.deepEqual(one.writer.stats, {
      chunks: 2,
      newChunks: 1,
      newBytes: 1000,
      storedBytes: one.packs[0]?.bytes.length,
    })
    assert.deepEqual(two.writer.stats, { chunks: 1, newChunks: 0, newBytes: 0, storedBytes: 0 })
  })

  it('stores what is known once more after distrustStored(), and that only once', async () => {
    const table = ChunkTable.create(100)
    const chunks = ['one', 'two', 'three'].map((text) => Buffer.from(text))
    const first = newWriter({ table })
    for (const chunk of chunks) first.writer.save(chunk)
    await first.writer.flush()

    const { writer, packs } = newWriter({ table })
    const before = writer.save(chunks[0] as Buffer)
    writer.distrustStored()
    const ids = [chunks[1], chunks[1], Buffer.from('new'), Buffer.from('new')].map((chunk) =>
      writer.save(chunk as Buffer),
    )
    await writer.flush()
    assert.equal(packs.length, 1)
    const stored = readPack(packs[0] as SealedPack, KEYS)
    assert.deepEqual([...stored.values()].map(String), ['two', 'new'])
    assert.deepEqual([...new Set(ids.map(toHex))], [...stored.keys()])
    assert.ok(!stored.has(toHex(before)))
    assert.equal(writer.stats.newChunks, 2)
  })

  it('writes nothing when nothing is new, and can be used again after flush()', async () => {
    const { writer, packs } = newWriter()
    await writer.flush()
    assert.equal(packs.length, 0)
    for (const text of ['first', 'second']) {
      writer.save(Buffer.from(text))
      await writer.flush()
    }
    assertHold(packs, [Buffer.from('first'), Buffer.from('second')])
    assert.equal(packs.length, 2)
  })

  it('makes its callers wait for a slow store', async () => {
    const gates: (() => void)[] = []
    const { writer } = newWriter({
      compression: { name: 'none', level: undefined },
      storePack: (pack) => new Promise((resolve) => gates.push(() => resolve(pack.bytes.buffer))),
    })
    assert.equal(writer.ready(), undefined)
    for (let i = 0; i < 16; i++) writer.save(NOISE.subarray(i * MIB, (i + 1) * MIB))
    const ready = writer.ready()
    assert.ok(ready instanceof Promise)
    const state = await Promise.race([ready.then(() => 'ready'), setImmediate('waiting')])
    assert.equal(state, 'waiting')
    gates[0]?.()
    await ready
    assert.equal(writer.ready(), undefined)
  })

  it('gives the first error of the store to every later ready() and flush()', async () => {
    const error = new Error('the store is full')
    const { writer } = newWriter({ storePack: () => Promise.reject(error) })
    writer.save(Buffer.from('x'))
    await assert.rejects(writer.flush(), error)
    assert.throws(() => writer.ready(), error)
    await assert.rejects(writer.flush(), error)
  })
})

/**
 * A pack with one stored segment of the chunks 'abc', '' and 'defgh', under the master key 00 01 … 1f and with the salt
 * 40 41 … 5f; made apart from this code: BLAKE3 in Python, AES of its package "cryptography" 48.
 */
const PINNED_PACK = Buffer.from(
  '434149524e0101010000000000000000404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f' +
    '4e6e266e3d68d4bd286a63e6533b714eab7bc8ba9cb1ca840b284c75a98059a93a9f20d077743749ae9c4ff0e086a7914087593fe63a99' +
    'bdd4093e99a0cb659e6e17fa49dfc09cc35a0a92c5a0a780d258081dfdd8568e82f5348bfd32597f1822fa9611211e7f871d7d9d063ae5' +
    'e7874df23edf58f8f5c3506a283aed21c255aac4d3cbb251e767e354f7bb35762f6f46b975000000',
  'hex',
)
const PINNED_SEGMENT = {
  pack: '20c81c61',
  header: PINNED_PACK.subarray(0, 48),
  offset: 48,
  bytes: PINNED_PACK.subarray(48, 77),
}

describe('SegmentReader', () => {
  it('opens the pinned pack', () => {
    const id = '20c81c6182351bc9b3482d133e8baf1ab72fb59914a6f08d39f8f727f83fdd0f'
    assert.equal(toHex(blake3(PINNED_PACK)), id)
    const table = openHeader(PINNED_SEGMENT.header, 'dataPack', KEYS, 'the pack').open(
      77,
      packData(PINNED_SEGMENT.header, 'table'),
      PINNED_PACK.subarray(77, -4),
      'the table',
    )
    const pack = { id: id as SealedPack['id'], bytes: Buffer.from(new Uint8Array(PINNED_PACK).buffer), table }
    assertHold([pack], [Buffer.from('abc'), Buffer.alloc(0), Buffer.from('defgh')])
  })

  it('refuses every flipped bit and every truncation, naming pack and place', () => {
    const reader = new SegmentReader(KEYS)
    const { bytes, header } = PINNED_SEGMENT
    const refused = { code: 'DATA_CORRUPT', message: /pack 20c81c61 at byte 48/ }
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7))
      assert.throws(() => reader.read({ ...PINNED_SEGMENT, bytes: flipped }), refused)
    }
    for (let length = 0; length < bytes.length; length++)
      assert.throws(() => reader.read({ ...PINNED_SEGMENT, bytes: bytes.subarray(0, length) }), refused)
    for (let at = 16; at < header.length; at++) {
      const flipped = Buffer.from(header)
      flipped[at] = (flipped[at] as number) ^ 1
      assert.throws(() => reader.read({ ...PINNED_SEGMENT, header: flipped }), refused)
    }
    assert.equal(reader.read(PINNED_SEGMENT).ends.length, 3)
  })

  it('refuses a segment in the place of another, of the table, and of another kind of pack', () => {
    const reader = new SegmentReader(KEYS)
    assert.throws(() => reader.read({ ...PINNED_SEGMENT, offset: 49 }), { code: 'DATA_CORRUPT' })
    const table = { ...PINNED_SEGMENT, offset: 77, bytes: PINNED_PACK.subarray(77, -4) }
    assert.throws(() => reader.read(table), { code: 'DATA_CORRUPT' })
    const header = Buffer.from(PINNED_SEGMENT.header)
    header[6] = 2
    assert.throws(() => reader.read({ ...PINNED_SEGMENT, header }), { code: 'DATA_CORRUPT' })
    header[6] = 9
    assert.throws(() => reader.read({ ...PINNED_SEGMENT, header }), { code: 'DATA_CORRUPT' })
  })

  it('verifies chunks by all 32 bytes of their ids', () => {
    const reader = new SegmentReader(KEYS)
    const segment = reader.read(PINNED_SEGMENT)
    const chunk = chunkAt(segment, 0) as Uint8Array
    const id = new ChunkHasher(KEYS.chunkId).hash(chunk)
    assert.equal(reader.verify(chunk, id, 'ab'), chunk)
    id[31] = (id[31] as number) ^ 1
    const refused = { code: 'DATA_CORRUPT', message: new RegExp(`chunk ${toHex(id)}: pack ab`) }
    assert.throws(() => reader.verify(chunk, id, 'ab'), refused)
    assert.throws(() => reader.verify(undefined, id, 'ab'), refused)
    assert.throws(() => reader.verify(chunkAt(segment, 1), id, 'ab'), refused)
  })
})
