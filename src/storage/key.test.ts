import assert from 'node:assert/strict'
import path from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { checkKey, checkRange, isKey, MAX_KEY_LENGTH } from './key.ts'

describe('isKey()', () => {
  it('accepts what the repository format uses', () => {
    const id = '0123456789abcdef'.repeat(4)
    for (const key of ['config', `packs/${id.slice(0, 2)}/${id}`, `index/${id.slice(32)}-12`, 'sessions/a.done']) {
      assert.equal(isKey(key), true, key)
    }
  })

  it('accepts nothing that leaves a folder when it is joined to one', () => {
    const part = fc.constantFrom('..', '.', '', 'a', 'b-1', '..a', 'A', '\\', '\0', '~', 'c.d')
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
        const key = parts.join('/')
        if (!isKey(key)) return
        assert.equal(path.join('/root', key), `/root/${key}`)
        assert.match(key, /^[a-z0-9/._-]+$/)
      }),
    )
  })

  it('agrees with a check of each part, whatever the text', () => {
    const unit = fc.constantFrom('a', 'z', '0', '-', '_', '.', '/', 'A', ' ', 'é', '\n')
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 12 }), (text) => {
        const parts = text.split('/')
        const wanted = parts.every(
          (part) => /^[a-z0-9_.-]+$/.test(part) && !part.startsWith('.') && !part.includes('\n'),
        )
        assert.equal(isKey(text), wanted)
      }),
      { numRuns: 2_000 },
    )
  })

  it('limits the length', () => {
    assert.equal(isKey('k'.repeat(MAX_KEY_LENGTH)), true)
    assert.equal(isKey('k'.repeat(MAX_KEY_LENGTH + 1)), false)
  })

  it('comes to an end for text that would make a pattern with several readings backtrack', () => {
    assert.equal(isKey(`${'a.'.repeat(99)}!`), false)
  })
})

describe('checkKey()', () => {
  it('names the key, but not megabytes of it', () => {
    assert.throws(() => checkKey('../etc/passwd'), { code: 'INVALID_ARGUMENT', message: /"\.\.\/etc\/passwd"/ })
    assert.throws(
      () => checkKey('k'.repeat(1_000_000)),
      (error: Error) => error.message.length < 300,
    )
  })
})

describe('checkRange()', () => {
  it('lets whole objects and possible ranges pass', () => {
    checkRange('a', undefined)
    checkRange('a', { offset: 0, length: 1 })
    checkRange('a', { offset: 2 ** 40, length: 2 ** 40 })
  })

  it('refuses what no object can have', () => {
    for (const range of [
      { offset: -1, length: 1 },
      { offset: 0, length: 0 },
      { offset: 2 ** 53, length: 1 },
    ]) {
      assert.throws(() => checkRange('a', range), { code: 'INVALID_ARGUMENT' })
    }
  })
})
