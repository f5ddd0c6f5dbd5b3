import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { blake3 } from '../codec/hash.ts'
import { type ChunkLocation, ChunkNumbers } from './chunk-numbers.ts'
import { ChunkTable, MAX_CHUNK_NUMBERS } from './chunk-table.ts'
import { MAX_CHUNKS } from './pack/pack-format.ts'

function idOf(number: number): Buffer {
  return blake3(Buffer.from(`chunk ${number}`))
}

/** Segments of packs, some of which have none. */
const anyPacks = fc.array(
  fc.array(
    fc.record({
      sealedBytes: fc.oneof(fc.integer({ min: 17, max: 5000 }), fc.constant(20 << 20)),
      chunks: fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: 5 }) }, fc.constant(300)),
    }),
    { maxLength: 6 },
  ),
  { maxLength: 30 },
)

describe('ChunkNumbers', () => {
  it('finds the pack, the segment and the place in it of every chunk, and nothing else', () => {
    fc.assert(
      fc.property(anyPacks, (packs) => {
        const numbers = new ChunkNumbers()
        const table = ChunkTable.create(packs.flat().reduce((sum, { chunks }) => sum + chunks, 1))
        const wanted: ChunkLocation[] = []
        for (const [pack, segments] of packs.entries()) {
          numbers.beginPack()
          let segmentOffset = 48
          for (const { sealedBytes: segmentBytes, chunks } of segments) {
            assert.equal(numbers.addSegment(segmentBytes, chunks), wanted.length)
            for (let position = 0; position < chunks; position++) {
              table.add(wanted.length, idOf(wanted.length))
              wanted.push({ pack, segmentOffset, segmentBytes, position })
            }
            segmentOffset += segmentBytes
          }
        }
        for (const [number, location] of wanted.entries()) assert.deepEqual(numbers.find(table, idOf(number)), location)
        assert.equal(numbers.find(table, idOf(wanted.length)), undefined)
        table.claim(idOf(wanted.length))
        assert.equal(numbers.find(table, idOf(wanted.length)), undefined)
        const inside = Buffer.concat([Buffer.alloc(3), idOf(0)])
        assert.deepEqual(numbers.find(table, inside, 3), wanted[0])
      }),
      { numRuns: 100 },
    )
  })

  it('finds its way among many packs and many segments', () => {
    const numbers = new ChunkNumbers()
    const table = ChunkTable.create(100)
    let number = 0
    const wanted = new Map<number, ChunkLocation>()
    for (let pack = 0; pack < 50_000; pack++) {
      numbers.beginPack()
      const segments = pack % 20_000 === 77 ? 20_000 : 1
      for (let segment = 0; segment < segments; segment++) {
        numbers.addSegment(100 + segment, 1)
        if (number % 1009 === 0) {
          table.add(number, idOf(number))
          const segmentOffset = 48 + segment * 100 + (segment * (segment - 1)) / 2
          wanted.set(number, { pack, segmentOffset, segmentBytes: 100 + segment, position: 0 })
        }
        number++
      }
    }
    assert.ok(wanted.size > 100)
    for (const [each, location] of wanted) assert.deepEqual(numbers.find(table, idOf(each)), location)
  })

  it('refuses to give a number that a chunk table cannot keep', () => {
    const numbers = new ChunkNumbers()
    numbers.beginPack()
    for (let rest = MAX_CHUNK_NUMBERS; rest > 0; rest -= MAX_CHUNKS) numbers.addSegment(17, Math.min(rest, MAX_CHUNKS))
    assert.throws(() => numbers.addSegment(17, 1), { code: 'INTERNAL', message: /more than \d+ chunks/ })
    const table = ChunkTable.create(1)
    table.add(MAX_CHUNK_NUMBERS - 1, idOf(1))
    assert.equal(numbers.find(table, idOf(1))?.position, (MAX_CHUNK_NUMBERS - 1) % MAX_CHUNKS)
  })

  it('needs at most 40 bytes a chunk together with the table, even where every chunk is a segment of its own', () => {
    const count = 1_000_000
    for (const { chunksASegment, most } of [
      { chunksASegment: 4, most: 33 },
      { chunksASegment: 1, most: 40.2 },
    ]) {
      const numbers = new ChunkNumbers()
      for (let number = 0; number < count; number += 4 * chunksASegment) {
        numbers.beginPack()
        for (let segment = 0; segment < 4; segment++) numbers.addSegment(4 << 20, chunksASegment)
      }
      const bytes = (numbers.memoryBytes + ChunkTable.create(count).memoryBytes) / count
      assert.ok(bytes <= most, `${bytes} bytes a chunk`)
    }
  })
})
