import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { checkCharacter, cleanBase32, decodeBase32, encodeBase32 } from './base32.ts'

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const CHARACTERS = Array.from(ALPHABET)
const text = (minLength: number, maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...CHARACTERS), minLength, maxLength })

describe('base 32', () => {
  it('encodes as the pinned texts', () => {
    assert.equal(encodeBase32(Buffer.alloc(0)), '')
    assert.equal(encodeBase32(Buffer.from('00443214c74254b635cf84653a56d7c675be77df', 'hex')), ALPHABET)
    assert.equal(encodeBase32(Buffer.from([0xff])), 'ZW')
  })

  it('gives back what was encoded', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        assert.deepEqual(decodeBase32(encodeBase32(bytes)), Buffer.from(bytes))
      }),
    )
  })

  it('refuses what no encoder writes', () => {
    for (const wrong of ['U0', 'a0', '0 0', '0', '00000000000000000', 'ZZ', '0!']) {
      assert.equal(decodeBase32(wrong), undefined, wrong)
    }
  })

  it('reads what people type for what is printed', () => {
    assert.equal(cleanBase32(' oO-iI\tlL–abc\u00a0u '), '001111ABCU')
  })
})

describe('checkCharacter()', () => {
  it('notices every single wrong character, and the exchange of any two neighbours', () => {
    fc.assert(
      fc.property(text(1, 12), fc.nat(31), fc.nat(), fc.constantFrom(...CHARACTERS), (data, start, at, other) => {
        const whole = data + checkCharacter(data, start)
        const isRight = (typed: string): boolean => checkCharacter(typed.slice(0, -1), start) === typed.at(-1)
        assert.ok(isRight(whole))
        const i = at % whole.length
        if (whole[i] !== other) assert.ok(!isRight(whole.slice(0, i) + other + whole.slice(i + 1)))
        const [a, b] = [whole[i], whole[i + 1]]
        if (b !== undefined && a !== b) assert.ok(!isRight(whole.slice(0, i) + b + a + whole.slice(i + 2)))
      }),
    )
  })

  it('tells places apart', () => {
    fc.assert(
      fc.property(
        text(4, 4),
        fc.uniqueArray(fc.nat(31), { minLength: 2, maxLength: 2 }),
        (data, [one = 0, two = 0]) => {
          assert.notEqual(checkCharacter(data, one), checkCharacter(data, two))
        },
      ),
    )
  })
})
