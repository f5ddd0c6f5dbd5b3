import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { displayWidth, padText, printable, shortenPath } from './text.ts'

const anyText = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'binary-ascii' }),
)

describe('printable()', () => {
  it('shows controls, line separators and reordering marks instead of sending them', () => {
    assert.equal(printable('a\nb\t\r'), 'a\\nb\\t\\r')
    assert.equal(printable('\u001B[2J\u0007\u007F\u009B1m'), '\\x1b[2J\\x07\\x7f\\x9b1m')
    assert.equal(printable('gpj.\u202Eexe\u2028'), 'gpj.\\u202eexe\\u2028')
    assert.equal(printable('caf\uDCE9'), 'caf\uFFFD')
    assert.equal(printable('naïve 日本 😀 C:\\x'), 'naïve 日本 😀 C:\\x')
  })

  it('never lets through anything a terminal obeys, and is one line', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const shown = printable(text)
        assert.doesNotMatch(shown, /[\p{Cc}\p{Cs}\u2028\u2029\u202A-\u202E\u2066-\u2069]/u)
      }),
    )
  })
})

describe('displayWidth()', () => {
  it('knows wide and zero-width characters', () => {
    assert.equal(displayWidth('abc'), 3)
    assert.equal(displayWidth('日本'), 4)
    assert.equal(displayWidth('e\u0301'), 1)
    assert.equal(displayWidth('😀'), 2)
    assert.equal(displayWidth('…é'), 2)
    assert.equal(padText('日', 4), '日  ')
    assert.equal(padText('abcde', 4), 'abcde')
  })
})

describe('shortenPath()', () => {
  it('keeps the end', () => {
    assert.equal(shortenPath('/usr/share/doc/readme', 12), '…/doc/readme')
    assert.equal(shortenPath('/a/b', 4), '/a/b')
    assert.equal(shortenPath('/日本/日本', 6), '…/日本')
    assert.equal(shortenPath('/日本/日本', 4), '…本')
  })

  it('never takes more columns than given, and never cuts a character in two', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 30 }), (text, width) => {
        const shown = shortenPath(text, width)
        assert.ok(displayWidth(shown) <= width)
        assert.ok(shown.isWellFormed())
        assert.ok(shown === text || text.endsWith(shown.slice(1)))
      }),
    )
  })
})
