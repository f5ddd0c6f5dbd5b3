import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { formatExactBytes, parseBytes } from './sizes.ts'

describe('formatExactBytes()', () => {
  it('writes the shortest text with a unit', () => {
    for (const [bytes, text] of [
      [0, '0'],
      [1, '1'],
      [1000, '1000'],
      [1024, '1K'],
      [1536, '1536'],
      [1536 * 1024, '1536K'],
      [2 ** 31, '2G'],
      [2 ** 50, '1P'],
    ] as const)
      assert.equal(formatExactBytes(bytes), text)
  })

  it('is what parseBytes() reads', () => {
    fc.assert(
      fc.property(fc.nat({ max: 1000 }), fc.nat({ max: 40 }), fc.maxSafeNat(), (small, shift, any) => {
        for (const bytes of [small * 2 ** shift, any]) assert.equal(parseBytes(formatExactBytes(bytes)), bytes)
      }),
    )
    for (let power = 0; power < 53; power++) assert.equal(parseBytes(formatExactBytes(2 ** power)), 2 ** power)
  })
})
