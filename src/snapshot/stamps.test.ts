import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isCairnError } from '../base/errors.ts'
import { encodeContent } from './content.ts'
import { NO_STAMP, type Stamp, StampReader, StampWriter, toStampTime } from './stamps.ts'
import { MemoryChunks } from './testing.ts'

const stamp = (n: number): Stamp => ({ ctimeNs: BigInt(n) * 1_000_003n, inode: BigInt(n) + 1n })
const stamps = (count: number): Stamp[] => Array.from({ length: count }, (_, i) => stamp(i))

function save(chunks: MemoryChunks, stamps: Iterable<Stamp>): Buffer {
  const writer = new StampWriter(chunks.save)
  for (const stamp of stamps) writer.add(stamp)
  return writer.finish()
}

async function at(reader: StampReader, position: number): Promise<Stamp | undefined> {
  if (!reader.at(position)) await reader.seek(position)
  return reader.at(position)
}

describe('StampWriter and StampReader', () => {
  it('give back every stamp in order', async () => {
    for (const count of [0, 1, 1023, 1024, 1025, 40_000]) {
      const chunks = new MemoryChunks()
      const reader = new StampReader(save(chunks, stamps(count)), chunks.load)
      for (let i = 0; i < count; i++) {
        const found = await at(reader, i)
        assert.ok(found?.inode === stamp(i).inode && found.ctimeNs === stamp(i).ctimeNs, `stamp ${i} of ${count}`)
      }
      assert.equal(await at(reader, count), undefined)
      assert.equal(await at(reader, count + 100_000), undefined)
    }
  })

  it('give back any stamps at any growing positions', async () => {
    const anyStamp = fc.record({
      ctimeNs: fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
      inode: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    })
    const anyCase = fc.record({
      some: fc.array(anyStamp, { minLength: 1, maxLength: 20 }),
      times: fc.integer({ min: 1, max: 400 }),
      positions: fc.array(fc.nat(9000), { maxLength: 12 }),
    })
    await fc.assert(
      fc.asyncProperty(anyCase, async ({ some, times, positions }) => {
        const all = Array.from({ length: times }, () => some).flat()
        const chunks = new MemoryChunks()
        const reader = new StampReader(save(chunks, all), chunks.load)
        for (const position of positions.sort((a, b) => a - b)) {
          const want = all[position]
          assert.deepEqual(await at(reader, position), want && { ...want, ctimeNs: toStampTime(want.ctimeNs) })
        }
      }),
      { numRuns: 100 },
    )
  })

  it('load only the chunks that positions fall into', async () => {
    const chunks = new MemoryChunks()
    const content = save(chunks, stamps(100_000))
    const parts = chunks.count
    assert.ok(parts > 5, `${parts} chunks`)
    chunks.loaded = []
    const reader = new StampReader(content, chunks.load)
    assert.deepEqual(await at(reader, 99_999), stamp(99_999))
    assert.equal(chunks.loaded.length, 1)
    const near = new StampReader(content, chunks.load)
    assert.deepEqual(
      [await at(near, 10), await at(near, 11), await at(near, 99_000)].map((s) => s?.inode),
      [11n, 12n, 99_001n],
    )
    assert.equal(chunks.loaded.length, 3)
  })

  it('store few chunks anew when one stamp changes or comes', () => {
    const chunks = new MemoryChunks()
    const base = stamps(100_000)
    save(chunks, base)
    const before = chunks.count
    save(chunks, base.with(50_000, { ctimeNs: 1n, inode: 50_001n }))
    assert.ok(chunks.count - before <= 2, `${chunks.count - before} new chunks`)
    save(chunks, base.toSpliced(50_000, 0, { ctimeNs: 1n, inode: 2n ** 40n }))
    assert.ok(chunks.count - before <= 8, `${chunks.count - before} new chunks`)
  })

  it('have these bytes', () => {
    const chunks = new MemoryChunks()
    const content = save(chunks, [{ ctimeNs: -2n, inode: 0x0102n }, NO_STAMP])
    const [id = ''] = chunks.ids
    assert.equal(content.toString('hex'), `00${id}20`)
    assert.equal(
      chunks.get(Buffer.from(id, 'hex')).toString('hex'),
      `feffffffffffffff0201000000000000${'00'.repeat(16)}`,
    )
  })
})

describe('stamps that are damaged', () => {
  it('are DATA_CORRUPT when a chunk is not as long as it should be', async () => {
    const chunks = new MemoryChunks()
    const id = chunks.save(Buffer.alloc(32))
    for (const lengths of [[8, 32], [33], [31], [16], [48]]) {
      const refs = lengths.map((bytes) => ({ id, bytes }))
      const reader = new StampReader(encodeContent(refs, chunks.save), chunks.load)
      await assert.rejects(at(reader, 0), { code: 'DATA_CORRUPT' }, lengths.join())
    }
  })

  it('are other stamps, none, or DATA_CORRUPT, and never another error', async () => {
    const chunks = new MemoryChunks()
    const content = save(chunks, stamps(3000))
    const variants = [
      ...Array.from(content, (_, length) => content.subarray(0, length)),
      ...Array.from({ length: content.length * 8 }, (_, bit) => {
        const copy = Buffer.from(content)
        copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7))
        return copy
      }),
    ]
    for (const variant of variants) {
      const reader = new StampReader(variant, chunks.load)
      try {
        for (let position = 0; position < 3000; position += 100) await at(reader, position)
      } catch (error) {
        assert.ok(isCairnError(error, 'DATA_CORRUPT') || isCairnError(error, 'NOT_FOUND'), String(error))
      }
    }
  })
})
