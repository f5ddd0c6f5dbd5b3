import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  type ChunkerParams,
  DEFAULT_CHUNKER_PARAMS,
  formatChunkerParams,
  parseChunkerParams,
  validateChunkerParams,
} from './params.ts'

const anyParams: fc.Arbitrary<ChunkerParams> = fc.oneof(
  fc.record(
    { algorithm: fc.constant('fixed' as const), blockBytes: fc.integer({ min: 4096, max: 2 ** 25 }) },
    { noNullPrototype: true },
  ),
  fc.integer({ min: 12, max: 24 }).chain((bits) =>
    fc.record(
      {
        algorithm: fc.constant('fastcdc' as const),
        minBytes: fc.integer({ min: 64, max: 2 ** bits - 1 }),
        meanBytes: fc.constant(2 ** bits),
        maxBytes: fc.integer({ min: 2 ** bits + 1, max: 2 ** 25 }),
      },
      { noNullPrototype: true },
    ),
  ),
)

// What a flag may hold, and with the object's fields what a config may hold, that no repository can be cut with.
const BAD_TEXTS = [
  '',
  'fastcdc',
  'fastcdc,256K,1M',
  'fastcdc,256K,1M,4M,8M',
  'fastcdc,256K,,4M',
  'fastcdc,a,1M,4M',
  'FASTCDC,256K,1M,4M',
  'buzhash,19,23,21,4095',
  '19,23,21,4095',
  'fixed',
  'fixed,4M,4M',
  'fixed,0',
]
const BAD_SIZES: readonly (readonly [number, number, number])[] = [
  [63, 4096, 16384], // minimum below twice the window
  [64, 2048, 16384], // mean too small
  [64, 2 ** 25, 2 ** 26], // mean too large
  [64, 5000, 16384], // mean not a power of two
  [4096, 4096, 16384], // minimum not below the mean
  [64, 4096, 4096], // maximum not above the mean
  [64, 4096, 2 ** 25 + 1], // maximum too large
]

describe('parseChunkerParams()', () => {
  it('reads the default', () => {
    assert.deepEqual(parseChunkerParams('fastcdc,256K,1M,4M'), DEFAULT_CHUNKER_PARAMS)
  })

  it('reads fixed blocks, spaces and any unit', () => {
    assert.deepEqual(parseChunkerParams('fixed,4M'), { algorithm: 'fixed', blockBytes: 4194304 })
    assert.deepEqual(parseChunkerParams(' fastcdc, 64, 4KiB, 1m '), {
      algorithm: 'fastcdc',
      minBytes: 64,
      meanBytes: 4096,
      maxBytes: 1048576,
    })
  })

  it('reads back what formatChunkerParams() writes', () => {
    fc.assert(
      fc.property(anyParams, (params) => assert.deepEqual(parseChunkerParams(formatChunkerParams(params)), params)),
    )
  })

  for (const text of [...BAD_TEXTS, ...BAD_SIZES.map((sizes) => `fastcdc,${sizes.join(',')}`), 'fixed,33M']) {
    it(`refuses '${text}'`, () => {
      assert.throws(() => parseChunkerParams(text), { name: 'CairnError', code: 'INVALID_ARGUMENT' })
    })
  }
})

describe('formatChunkerParams()', () => {
  it('writes the shortest sizes', () => {
    assert.equal(formatChunkerParams(DEFAULT_CHUNKER_PARAMS), 'fastcdc,256K,1M,4M')
    assert.equal(formatChunkerParams({ algorithm: 'fixed', blockBytes: 5000 }), 'fixed,5000')
  })
})

describe('validateChunkerParams()', () => {
  it('takes what comes back from JSON, without unknown fields', () => {
    fc.assert(
      fc.property(anyParams, (params) => {
        const stored: unknown = JSON.parse(JSON.stringify({ ...params, later: 1 }))
        assert.deepEqual(validateChunkerParams(stored), params)
      }),
    )
  })

  it('refuses anything else', () => {
    const bad: unknown[] = [
      undefined,
      null,
      7,
      'fastcdc,256K,1M,4M',
      [],
      {},
      { ...DEFAULT_CHUNKER_PARAMS, algorithm: 'other' },
      { ...DEFAULT_CHUNKER_PARAMS, algorithm: undefined },
      { ...DEFAULT_CHUNKER_PARAMS, minBytes: '262144' },
      { ...DEFAULT_CHUNKER_PARAMS, minBytes: 262144.5 },
      { ...DEFAULT_CHUNKER_PARAMS, minBytes: -1 },
      { ...DEFAULT_CHUNKER_PARAMS, meanBytes: Number.NaN },
      { ...DEFAULT_CHUNKER_PARAMS, maxBytes: Number.POSITIVE_INFINITY },
      { ...DEFAULT_CHUNKER_PARAMS, maxBytes: undefined },
      ...BAD_SIZES.map(([minBytes, meanBytes, maxBytes]) => ({ algorithm: 'fastcdc', minBytes, meanBytes, maxBytes })),
      { algorithm: 'fixed' },
      { algorithm: 'fixed', blockBytes: 4095 },
      { algorithm: 'fixed', blockBytes: 2 ** 25 + 1 },
    ]
    for (const value of bad)
      assert.throws(() => validateChunkerParams(value), { name: 'CairnError', code: 'DATA_CORRUPT' }, String(value))
  })

  it('refuses any JSON value whose sizes are not in bounds', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        assert.throws(() => validateChunkerParams(value), { code: 'DATA_CORRUPT' })
      }),
    )
  })
})
