import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isCairnError } from '../../base/errors.ts'
import { COMPRESSION_CODES, type CompressionName, compress } from '../../codec/compression.ts'
import { chunkAt, decodeSegment, encodeSegmentHead } from './segment.ts'

const NAMES = Object.keys(COMPRESSION_CODES) as CompressionName[]

function encode(name: CompressionName, chunks: readonly Uint8Array[]): Buffer {
  const lengths = chunks.map((chunk) => chunk.length)
  const head = encodeSegmentHead(COMPRESSION_CODES[name], lengths)
  return Buffer.concat([head, compress({ name, level: undefined }, Buffer.concat(chunks))])
}

describe('decodeSegment()', () => {
  it('reads the pinned segment', () => {
    // code 0, three chunks of 3, 0 and 200 bytes
    const bytes = Buffer.concat([Buffer.from([0, 3, 3, 0, 0xc8, 1]), Buffer.from('abc'), Buffer.alloc(200, 7)])
    const segment = decodeSegment(bytes, 'a segment')
    assert.deepEqual(segment.ends, [3, 3, 203])
    assert.deepEqual(Buffer.from(chunkAt(segment, 0) ?? []), Buffer.from('abc'))
    assert.equal(chunkAt(segment, 1)?.length, 0)
    assert.deepEqual(Buffer.from(chunkAt(segment, 2) ?? []), Buffer.alloc(200, 7))
    assert.equal(chunkAt(segment, 3), undefined)
    assert.equal(chunkAt(segment, -1), undefined)
  })

  it('gives back the chunks of any segment in any compression', () => {
    const anyChunks = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(fc.constantFrom(...NAMES), anyChunks, (name, chunks) => {
        const segment = decodeSegment(encode(name, chunks), 'a segment')
        assert.equal(segment.ends.length, chunks.length)
        for (const [i, chunk] of chunks.entries())
          assert.deepEqual(new Uint8Array(chunkAt(segment, i) ?? []), new Uint8Array(chunk))
      }),
    )
  })

  it('answers any bytes with chunks that fit its lengths, or with a CairnError', () => {
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .tuple(fc.nat(5), fc.array(fc.nat(400), { maxLength: 5 }), fc.uint8Array({ maxLength: 400 }))
        .map(([code, lengths, data]) => Buffer.concat([encodeSegmentHead(code, lengths), data])),
    )
    fc.assert(
      fc.property(hostile, (bytes) => {
        try {
          const segment = decodeSegment(Buffer.from(bytes), 'a segment')
          assert.equal(segment.bytes.length, segment.ends.at(-1))
        } catch (error) {
          assert.ok(isCairnError(error, 'DATA_CORRUPT') || isCairnError(error, 'FORMAT_UNSUPPORTED'), String(error))
        }
      }),
      { numRuns: 500 },
    )
  })

  it('names the pack whose bytes do not decompress, or were compressed in a way it does not know', () => {
    const noise = Buffer.alloc(40, 0xa5)
    for (const [code, error] of [
      [2, 'DATA_CORRUPT'],
      [3, 'DATA_CORRUPT'],
      [0, 'DATA_CORRUPT'],
      [99, 'FORMAT_UNSUPPORTED'],
    ] as const) {
      const segment = Buffer.concat([encodeSegmentHead(code, [100]), noise])
      assert.throws(() => decodeSegment(segment, 'pack ab at byte 48'), {
        code: error,
        message: /^Cannot read pack ab at byte 48: /,
      })
    }
  })

  it('refuses lengths that would need absurd memory', () => {
    for (const lengths of [[2 ** 40], Array.from({ length: 200 }, () => 2 ** 20), [2 ** 52]]) {
      assert.throws(() => decodeSegment(Buffer.from(encodeSegmentHead(2, lengths)), 'pack ab at byte 48'), {
        code: 'DATA_CORRUPT',
        message: /pack ab at byte 48/,
      })
    }
    const noChunks = Buffer.from(encodeSegmentHead(0, []))
    const tooMany = Buffer.concat([Buffer.of(0, 0x81, 0x80, 2), Buffer.alloc(40_000)])
    for (const bytes of [noChunks, tooMany])
      assert.throws(() => decodeSegment(bytes, 'a segment'), { code: 'DATA_CORRUPT', message: /chunks/ })
  })
})
