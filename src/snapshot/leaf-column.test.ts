import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { encodeContent, readContent } from './content.ts'
import { LeafColumnReader, LeafColumnWriter } from './leaf-column.ts'
import { MemoryChunks, collect } from './testing.ts'

/** Writes records of 16 bytes: a number, and another that spreads like an inode number. */
function write(column: LeafColumnWriter, numbers: Iterable<number>): void {
  for (const n of numbers) {
    const offset = column.next()
    column.buffer.writeBigUInt64LE(BigInt(n), offset)
    column.buffer.writeBigUInt64LE(BigInt(n) * 2_654_435_761n, offset + 8)
    column.written()
  }
}

const upTo = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => i + from)

function encoded(chunks: MemoryChunks, count: number): Buffer {
  const column = new LeafColumnWriter(chunks.save, 16)
  write(column, upTo(count))
  return column.finish()
}

describe('LeafColumnWriter and LeafColumnReader', () => {
  it('give back every record by its position, whichever are asked for, and none past the end', async () => {
    const chunks = new MemoryChunks()
    const count = 60_000
    const content = encoded(chunks, count)
    assert.ok((await collect(readContent(content, chunks.load, 'test'))).length > 3)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 20_000 }), { maxLength: 30 }), async (steps) => {
        const reader = new LeafColumnReader(content, chunks.load, 16, 'test')
        let position = 0
        for (const step of steps) {
          position += step
          if (reader.offsetOf(position) < 0) await reader.seek(position)
          const offset = reader.offsetOf(position)
          if (position >= count) assert.equal(offset, -1)
          else assert.equal(reader.buffer.readBigUInt64LE(offset), BigInt(position))
        }
      }),
      { numRuns: 50 },
    )
  })

  it('end wherever they are looked at, and go on as if they had not been', () => {
    for (const count of [0, 1, 1023, 1024, 5000, 16_384, 16_385, 40_000]) {
      const chunks = new MemoryChunks()
      const column = new LeafColumnWriter(chunks.save, 16)
      write(column, upTo(count))
      assert.deepEqual(column.peek(), encoded(new MemoryChunks(), count))
      write(column, upTo(30_000, count))
      assert.deepEqual(column.peek(), column.peek())
      assert.deepEqual(column.finish(), encoded(new MemoryChunks(), count + 30_000))
    }
  })

  it('have most chunks in common when records come in between', async () => {
    const chunks = new MemoryChunks()
    const before = await collect(readContent(encoded(chunks, 200_000), chunks.load, 'test'))
    const column = new LeafColumnWriter(chunks.save, 16)
    write(column, [999_999, ...upTo(100_000), 888_888, 777_777, ...upTo(100_000, 100_000)])
    const after = await collect(readContent(column.finish(), chunks.load, 'test'))
    const known = new Set(before.map(({ id }) => Buffer.from(id).toString('hex')))
    const same = after.filter(({ id }) => known.has(Buffer.from(id).toString('hex'))).length
    assert.ok(before.length > 20 && same > before.length * 0.7, `${same} of ${before.length}`)
  })

  it('refuse chunks that do not hold whole records, as many as the content says', async () => {
    const chunks = new MemoryChunks()
    const id = chunks.save(Buffer.alloc(160))
    for (const bytes of [159, 161, 176, 8]) {
      const reader = new LeafColumnReader(encodeContent([{ id, bytes }], chunks.save), chunks.load, 16, 'the test')
      await assert.rejects(reader.seek(0), { code: 'DATA_CORRUPT', message: /the test/ }, String(bytes))
    }
  })

  it('load no chunk that lies wholly before the position', async () => {
    const chunks = new MemoryChunks()
    const content = encoded(chunks, 60_000)
    let loads = 0
    const load: typeof chunks.load = (id) => {
      loads++
      return chunks.load(id)
    }
    const reader = new LeafColumnReader(content, load, 16, 'test')
    await reader.seek(59_999)
    assert.equal(reader.buffer.readBigUInt64LE(reader.offsetOf(59_999)), 59_999n)
    assert.ok(loads <= 2, `${loads} loads`)
  })
})
