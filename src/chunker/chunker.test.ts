import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { describe, it } from 'node:test'
import { blake3 } from '@napi-rs/blake-hash'
import fc from 'fast-check'
import { createChunker, GEAR_TABLE_BYTES } from './chunker.ts'
import { DEFAULT_CHUNKER_PARAMS, type FastCdcParams, type FixedParams } from './params.ts'
import { feed, referenceCuts, testBytes, TEST_GEAR } from './testing.ts'

const KIB = 1024
const SMALL: FastCdcParams = { algorithm: 'fastcdc', minBytes: KIB, meanBytes: 4 * KIB, maxBytes: 16 * KIB }

function cutAll(params: FastCdcParams | FixedParams, gearTable: Uint8Array, data: Uint8Array): number[] {
  const chunker = createChunker(params, gearTable, Math.max(data.length, 2 ** 25))
  return feed(chunker, data, () => data.length)
}

/** Lengths of the chunks that end at `cuts`. */
function lengthsOf(cuts: readonly number[]): number[] {
  return cuts.map((cut, i) => cut - (cuts[i - 1] ?? 0))
}

function sha256(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex')
}

describe('golden vectors of fastcdc', () => {
  it('pin the gear table and the data', () => {
    assert.equal(Buffer.from(TEST_GEAR).toString('hex', 0, 16), 'cac2beb3d1972e025bbf7532c29d8cf5')
    assert.equal(sha256(TEST_GEAR), '51de6214bd3a9741a84c0094a10f3c624869e5a82c5004ac7665fc0d4e2a2214')
    assert.equal(
      sha256(testBytes('cairn chunker', 16 * KIB * KIB)),
      'aa31a0e2f11cfde92c2316b196f1a3fca61f650f6c193af1f556bd244e8b19fe',
    )
  })

  it('pin the cuts of the default parameters', () => {
    assert.deepEqual(
      cutAll(DEFAULT_CHUNKER_PARAMS, TEST_GEAR, testBytes('cairn chunker', 16 * KIB * KIB)),
      [
        1128970, 2331376, 3380753, 4707517, 5479870, 5990196, 7555773, 8615337, 9140594, 10814440, 11172785, 12473378,
        13729827, 14834539, 15280027, 16366809, 16777216,
      ],
    )
  })

  it('pin the cuts of small parameters', () => {
    assert.deepEqual(
      cutAll(SMALL, TEST_GEAR, testBytes('cairn chunker', 96 * KIB)),
      [
        4673, 9579, 14343, 19061, 23229, 28294, 33503, 39008, 44096, 46038, 47557, 52221, 56645, 61562, 64902, 69000,
        73126, 82217, 87335, 91925, 94668, 98304,
      ],
    )
  })
})

// A gear table for writing data that has candidates at chosen places only. A run of A hashes to 2^32 - 1. The first byte of
// each other sequence takes the hash from there to the value named; what follows, an A or the second byte, leads back without
// another candidate.
const A = 0
const STRICT = Buffer.of(1) // 2^18 - 1: just below the strict threshold of a mean of 4 KiB
const NOT_STRICT = Buffer.of(2, 3) // 2^18
const LOOSE = Buffer.of(4) // 2^22 - 1: just below the loose threshold
const NOT_LOOSE = Buffer.of(5, 6) // 2^22
const CRAFTED_GEAR = testBytes('the bytes without a meaning', GEAR_TABLE_BYTES)
for (const [byte, value] of [
  1,
  2 + 2 ** 18 - 1,
  2 + 2 ** 18,
  2 ** 32 - 1 - 2 ** 19,
  2 + 2 ** 22 - 1,
  2 + 2 ** 22,
  2 ** 32 - 1 - 2 ** 23,
].entries())
  CRAFTED_GEAR.writeUInt32LE(value, byte * 4)

/** Bytes A, but for sequences whose first byte is the last one of a chunk of the length given that begins at `start`. */
function craft(length: number, sequences: Record<number, Buffer>, start = 0): Uint8Array {
  const data = new Uint8Array(length).fill(A)
  for (const [chunkLength, bytes] of Object.entries(sequences)) data.set(bytes, start + Number(chunkLength) - 1)
  return data
}

describe('limits of fastcdc', () => {
  const min = SMALL.minBytes
  const mean = SMALL.meanBytes
  const max = SMALL.maxBytes
  const cases: [string, Record<number, Buffer>, number][] = [
    ['a candidate one byte before the minimum is passed over', { [min - 1]: STRICT }, max],
    ['a strict candidate at the minimum cuts', { [min]: STRICT }, min],
    ['a hash at the strict threshold does not cut', { [min]: NOT_STRICT }, max],
    ['a strict candidate one byte before the mean cuts', { [mean - 1]: STRICT }, mean - 1],
    ['a loose candidate one byte before the mean is passed over', { [mean - 1]: LOOSE }, max],
    ['a loose candidate at the mean cuts', { [mean]: LOOSE }, mean],
    ['a hash at the loose threshold does not cut', { [mean]: NOT_LOOSE }, max],
    ['a loose candidate one byte before the maximum cuts', { [max - 1]: LOOSE }, max - 1],
    ['a candidate at the maximum changes nothing', { [max]: STRICT }, max],
    ['the first of two candidates wins', { [mean - 100]: STRICT, [mean + 100]: STRICT }, mean - 100],
    ['no candidate at all cuts at the maximum', {}, max],
  ]
  for (const [title, bytes, cut] of cases) {
    it(title, () => {
      const alone = craft(max + 100, bytes)
      assert.equal(referenceCuts(SMALL, CRAFTED_GEAR, alone)[0], cut)
      assert.equal(cutAll(SMALL, CRAFTED_GEAR, alone)[0], cut)
      const second = craft(2 * max + 100, bytes, max)
      assert.deepEqual(cutAll(SMALL, CRAFTED_GEAR, second).slice(0, 2), [max, max + cut])
    })
  }

  it('a candidate is found wherever it lies', () => {
    const chunker = createChunker(SMALL, CRAFTED_GEAR, max)
    chunker.buffer.fill(A)
    for (let length = min; length < max; length++) {
      chunker.buffer.set(STRICT, length - 1)
      assert.equal(chunker.cut(0, max, true), length)
      chunker.buffer[length - 1] = A
    }
  })

  it('constant data is cut at the maximum, or at the minimum when its hash is a candidate', () => {
    for (const byte of [0, 1, 255]) {
      const data = new Uint8Array(10 * max + 5).fill(byte)
      const lengths = lengthsOf(cutAll(SMALL, TEST_GEAR, data))
      assert.deepEqual(lengths, [...Array.from({ length: 10 }, () => max), 5])
    }
    const zeroGear = new Uint8Array(KIB)
    assert.deepEqual(lengthsOf(cutAll(SMALL, zeroGear, new Uint8Array(3 * min + 5))), [min, min, min, 5])
  })
})

/** The chunks themselves, as text for comparing. */
function chunksOf(data: Buffer): string[] {
  return cutAll(SMALL, TEST_GEAR, data).map((cut, i, cuts) => data.toString('base64', cuts[i - 1] ?? 0, cut))
}

// Data as it comes and as an enemy would make it: random, periodic, constant runs, candidates at any distance.
const anyData = fc.oneof(
  fc.record({ seed: fc.nat(), length: fc.nat(70_000) }).map(({ seed, length }) => testBytes(`seed ${seed}`, length)),
  fc
    .record({ period: fc.uint8Array({ minLength: 1, maxLength: 300 }), length: fc.nat(70_000) })
    .map(({ period, length }) => Buffer.alloc(length, period)),
  fc
    .array(fc.record({ byte: fc.nat(7), length: fc.integer({ min: 1, max: 6000 }), last: fc.nat(7) }), {
      maxLength: 40,
    })
    .map((runs) =>
      Buffer.concat(runs.flatMap(({ byte, length, last }) => [Buffer.alloc(length, byte), Buffer.of(last)])),
    ),
)
const anyGear = fc.constantFrom(TEST_GEAR, CRAFTED_GEAR)
const anySmallParams = fc.record({
  algorithm: fc.constant('fastcdc' as const),
  minBytes: fc.integer({ min: 64, max: 4095 }),
  meanBytes: fc.constantFrom(4096, 8192),
  maxBytes: fc.integer({ min: 8193, max: 30_000 }),
})

describe('fastcdc', () => {
  it('cuts where the definition says', () => {
    fc.assert(
      fc.property(anySmallParams, anyGear, anyData, (params, gear, data) => {
        assert.deepEqual(cutAll(params, gear, data), referenceCuts(params, gear, data))
      }),
      { numRuns: 300 },
    )
  })

  it('cuts where the definition says with the default parameters', () => {
    const data = Buffer.concat([testBytes('one', 9_000_001), Buffer.alloc(5_000_000), testBytes('two', 6_000_000)])
    assert.deepEqual(
      cutAll(DEFAULT_CHUNKER_PARAMS, TEST_GEAR, data),
      referenceCuts(DEFAULT_CHUNKER_PARAMS, TEST_GEAR, data),
    )
  })

  it('cuts at the same places however the bytes arrive', () => {
    const pieces = fc.infiniteStream(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40_000 })))
    fc.assert(
      fc.property(anySmallParams, anyGear, anyData, pieces, fc.nat(20_000), (params, gear, data, lengths, spare) => {
        const chunker = createChunker(params, gear, params.maxBytes + spare)
        const cuts = feed(chunker, data, () => lengths.next().value as number)
        assert.deepEqual(cuts, referenceCuts(params, gear, data))
      }),
    )
  })

  it('does not look at bytes outside the chunk', () => {
    const chunker = createChunker(SMALL, TEST_GEAR, 4 * SMALL.maxBytes)
    const data = testBytes('inside', SMALL.maxBytes)
    const cuts = [0x00, 0x55, 0xff].flatMap((around) =>
      [0, 1, 31, 64, 1000].map((start) => {
        chunker.buffer.fill(around)
        chunker.buffer.set(data, start)
        return chunker.cut(start, start + data.length, false) - start
      }),
    )
    assert.deepEqual([...new Set(cuts)], referenceCuts(SMALL, TEST_GEAR, data).slice(0, 1))
  })

  it('keeps to the limits, and ends at the end', () => {
    fc.assert(
      fc.property(anySmallParams, anyData, (params, data) => {
        const lengths = lengthsOf(cutAll(params, TEST_GEAR, data))
        assert.equal(
          lengths.reduce((sum, length) => sum + length, 0),
          data.length,
        )
        for (const length of lengths) assert.ok(length > 0 && length <= params.maxBytes)
        for (const length of lengths.slice(0, -1)) assert.ok(length >= params.minBytes)
      }),
    )
  })

  it('changes few chunks when one byte is inserted or removed at the front', () => {
    const data = testBytes('locality', 4 * KIB * KIB)
    const before = new Set(chunksOf(data))
    assert.ok(before.size > 800)
    for (const changed of [Buffer.concat([Buffer.of(7), data]), data.subarray(1)]) {
      const added = chunksOf(changed).filter((chunk) => !before.has(chunk))
      assert.ok(added.length >= 1 && added.length <= 8, `${added.length} new chunks`)
    }
  })

  it('gives random data chunks of the mean length that follows from its definition', () => {
    const { minBytes, meanBytes, maxBytes } = SMALL
    // P(length > n) is the chance of no candidate among the lengths from the minimum to n; the mean is their sum over n.
    let survival = 1
    let expected = 0
    for (let n = 0; n < maxBytes; n++) {
      if (n >= minBytes) survival *= 1 - (n < meanBytes ? 1 / (4 * meanBytes) : 4 / meanBytes)
      expected += survival
    }
    assert.ok(Math.abs(expected / meanBytes - 1.14) < 0.005) // the figure in the documentation
    const lengths = lengthsOf(cutAll(SMALL, TEST_GEAR, testBytes('mean', 32 * KIB * KIB)))
    const mean = lengths.reduce((sum, length) => sum + length, 0) / lengths.length
    const deviation = Math.sqrt(lengths.reduce((sum, length) => sum + (length - mean) ** 2, 0) / lengths.length)
    assert.ok(Math.abs(mean - expected) < (3 * deviation) / Math.sqrt(lengths.length), `${mean} instead of ${expected}`)
  })

  it('returns -1 only while the cut is open', () => {
    const chunker = createChunker(SMALL, CRAFTED_GEAR, 2 * SMALL.maxBytes)
    const { buffer, maxBytes, minBytes } = chunker
    buffer.fill(A)
    assert.equal(chunker.cut(0, 0, false), -1)
    assert.equal(chunker.cut(0, minBytes, false), -1)
    assert.equal(chunker.cut(0, minBytes, true), minBytes)
    assert.equal(chunker.cut(0, maxBytes - 1, false), -1)
    assert.equal(chunker.cut(0, maxBytes - 1, true), maxBytes - 1)
    assert.equal(chunker.cut(0, maxBytes, false), maxBytes)
    assert.equal(chunker.cut(5, 2 * maxBytes, false), maxBytes + 5)
    buffer.set(STRICT, minBytes - 1)
    assert.equal(chunker.cut(0, minBytes, false), minBytes)
  })
})

describe('fixed', () => {
  const params: FixedParams = { algorithm: 'fixed', blockBytes: 5000 }

  it('cuts every block, however the bytes arrive', () => {
    fc.assert(
      fc.property(fc.nat(40_000), fc.integer({ min: 1, max: 20_000 }), (length, piece) => {
        const chunker = createChunker(params, new Uint8Array(), 12_345)
        const lengths = lengthsOf(feed(chunker, new Uint8Array(length), () => piece))
        assert.deepEqual(
          lengths,
          Array.from({ length: Math.ceil(length / 5000) }, (_, i) => Math.min(5000, length - i * 5000)),
        )
      }),
    )
  })

  it('is one chunk up to a block', () => {
    const chunker = createChunker(params, TEST_GEAR, 5000)
    assert.deepEqual([chunker.minBytes, chunker.maxBytes, chunker.buffer.length], [5000, 5000, 5000])
    assert.equal(chunker.cut(0, 5000, true), 5000)
  })
})

describe('createChunker()', () => {
  it('gives a buffer that files are read into and native code hashes', () => {
    const { buffer } = createChunker(SMALL, TEST_GEAR, 100_000)
    assert.equal(buffer.length, 100_000)
    const fd = openSync(import.meta.filename, 'r')
    const length = readSync(fd, buffer, 3, 50_000, 0)
    closeSync(fd)
    const want = readFileSync(import.meta.filename).subarray(0, 50_000)
    assert.deepEqual(Buffer.from(buffer.subarray(3, 3 + length)), want)
    assert.deepEqual(blake3(buffer.subarray(3, 3 + length)), blake3(want))
  })

  it('keeps the buffer in place while it works', () => {
    const chunker = createChunker(SMALL, TEST_GEAR, 100_000)
    const { buffer } = chunker
    for (let i = 0; i < 1000; i++) chunker.cut(i, 100_000, true)
    assert.equal(chunker.buffer, buffer)
    assert.equal(buffer.length, 100_000)
  })

  it('copies the gear table', () => {
    const gear = Uint8Array.from(TEST_GEAR)
    const data = testBytes('copy', 40_000)
    const chunker = createChunker(SMALL, gear, 40_000)
    gear.fill(0)
    assert.deepEqual(
      feed(chunker, data, () => 40_000),
      referenceCuts(SMALL, TEST_GEAR, data),
    )
  })

  it('cuts elsewhere with another gear table', () => {
    const data = testBytes('secret', 200_000)
    const other = cutAll(SMALL, testBytes('another gear table', KIB), data)
    const shared = cutAll(SMALL, TEST_GEAR, data).filter((cut) => other.includes(cut))
    assert.deepEqual(shared, [data.length])
  })

  it('refuses sizes that make no sense', () => {
    assert.throws(() => createChunker(SMALL, TEST_GEAR, SMALL.maxBytes - 1), RangeError)
    assert.throws(() => createChunker({ algorithm: 'fixed', blockBytes: 5000 }, TEST_GEAR, 4999), RangeError)
    assert.throws(() => createChunker(SMALL, TEST_GEAR.subarray(1), 100_000), RangeError)
    for (const chunker of [
      createChunker(SMALL, TEST_GEAR, 100_000),
      createChunker({ algorithm: 'fixed', blockBytes: 5000 }, TEST_GEAR, 100_000),
    ])
      for (const [start, end] of [
        [0, 100_001],
        [-1, 5],
        [6, 5],
        [0, Number.NaN],
      ] as const)
        assert.throws(() => chunker.cut(start, end, true), RangeError)
  })
})
