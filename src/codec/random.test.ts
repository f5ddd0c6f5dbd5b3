import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { constantTimeEqual, randomBytes } from './random.ts'

describe('randomBytes()', () => {
  it('gives other bytes at every call', () => {
    const seen = new Set(Array.from({ length: 100 }, () => randomBytes(16).toString('hex')))
    assert.equal(seen.size, 100)
    assert.equal(randomBytes(0).length, 0)
  })
})

describe('constantTimeEqual()', () => {
  it('is equality of bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4 }), fc.uint8Array({ maxLength: 4 }), (a, b) => {
        assert.equal(constantTimeEqual(a, b), Buffer.compare(a, b) === 0)
        assert.ok(constantTimeEqual(a, Uint8Array.from(a)))
      }),
    )
  })
})
