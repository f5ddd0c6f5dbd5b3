import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isCairnError } from '../../base/errors.ts'
import { MAX_CHUNKS, PackTableWriter, type SegmentRecord, chunkLengths, readPackTable } from './pack-format.ts'

const PACK_BYTES = 1 << 30

const anyTable = fc.array(
  fc.record({
    sealedBytes: fc.integer({ min: 17, max: 1 << 20 }),
    lengths: fc.array(fc.nat(1 << 25), { minLength: 1, maxLength: 20 }),
  }),
  { maxLength: 10 },
)

function idsFor(count: number, seed: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => Buffer.alloc(32, seed * 31 + i))
}

describe('readPackTable()', () => {
  it('reads the pinned table', () => {
    const ids = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
    const writer = new PackTableWriter()
    writer.addSegment(300, ids, [5, 200])
    const table = writer.take()
    assert.equal(table.toString('hex'), `ac0202${'01'.repeat(32)}${'02'.repeat(32)}05c801`)
    assert.deepEqual(Array.from(readPackTable(table, 1000, 'a table')), [
      { offset: 48, sealedBytes: 300, chunks: 2, ids: Buffer.concat(ids), rawBytes: 205, lengthsOffset: 67 },
    ])
  })

  it('gives back what PackTableWriter wrote, and places segments one after the other', () => {
    fc.assert(
      fc.property(anyTable, (segments) => {
        const writer = new PackTableWriter()
        for (const [i, { sealedBytes, lengths }] of segments.entries())
          writer.addSegment(sealedBytes, idsFor(lengths.length, i), lengths)
        assert.equal(writer.chunks, segments.flatMap(({ lengths }) => lengths).length)
        const table = writer.take()
        const read = Array.from(readPackTable(table, PACK_BYTES, 'a table'))
        assert.equal(writer.chunks, 0)
        let offset = 48
        for (const [i, { sealedBytes, lengths }] of segments.entries()) {
          const ids = Buffer.concat(idsFor(lengths.length, i))
          const rawBytes = lengths.reduce((sum, length) => sum + length, 0)
          assert.partialDeepStrictEqual(read[i], { offset, sealedBytes, chunks: lengths.length, ids, rawBytes })
          assert.deepEqual(Array.from(chunkLengths(table, read[i] as SegmentRecord)), lengths)
          offset += sealedBytes
        }
        assert.equal(read.length, segments.length)
      }),
    )
  })

  it('refuses segments without chunks, with too many, and outside the pack', () => {
    const tables: Record<string, Buffer> = {
      'without chunks': Buffer.of(100, 0),
      'with too many chunks': Buffer.concat([Buffer.of(100, 0x81, 0x80, 2), Buffer.alloc((MAX_CHUNKS + 1) * 33, 1)]),
      'longer than the pack': Buffer.concat([Buffer.of(0xd0, 0x0f, 1), Buffer.alloc(33, 1)]),
      'no longer than its tag': Buffer.concat([Buffer.of(16, 1), Buffer.alloc(33, 1)]),
    }
    for (const [what, bytes] of Object.entries(tables)) {
      assert.throws(() => Array.from(readPackTable(bytes, 2000, 'pack 12ab')), { code: 'DATA_CORRUPT' }, what)
    }
  })

  it('answers any bytes with segments inside the pack, or with an error that names it', () => {
    const real = anyTable.map((segments) => {
      const writer = new PackTableWriter()
      for (const { sealedBytes, lengths } of segments)
        writer.addSegment(sealedBytes, idsFor(lengths.length, 1), lengths)
      return writer.take()
    })
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.tuple(real, fc.nat(), fc.nat(255)).map(([table, at, byte]) => {
        if (table.length > 0) table[at % table.length] = byte
        return table.subarray(0, table.length - (at % 3))
      }),
    )
    fc.assert(
      fc.property(hostile, fc.constantFrom(100, 5000, PACK_BYTES), (bytes, packBytes) => {
        try {
          for (const { offset, sealedBytes, chunks, ids } of readPackTable(bytes, packBytes, 'pack 12ab')) {
            assert.ok(offset >= 48 && offset + sealedBytes <= packBytes)
            assert.equal(ids.length, chunks * 32)
            assert.ok(chunks >= 1 && chunks <= MAX_CHUNKS)
          }
        } catch (error) {
          assert.ok(isCairnError(error, 'DATA_CORRUPT') && error.message.includes('pack 12ab'), String(error))
        }
      }),
      { numRuns: 500 },
    )
  })
})
