import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { compareRawNames, fromRawName, sortRawNames, toPrintable, toRawName, toSystemPath } from './raw-name.ts'

// Names as found on disks: text, arbitrary bytes, and text with U+FFFD, astral and private-use characters in it.
const anyName = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 255 }),
  fc.string({ unit: 'grapheme', minLength: 1 }).map((text) => new Uint8Array(Buffer.from(text))),
  fc
    .array(fc.constantFrom('a', 'é', '\ufffd', '\ue000', '\uffff', '😀', '/'), { minLength: 1 })
    .map((parts) => new Uint8Array(Buffer.from(parts.join('')))),
)

describe('raw names', () => {
  it('come back byte for byte', () => {
    fc.assert(fc.property(anyName, (bytes) => assert.deepEqual(new Uint8Array(toRawName(fromRawName(bytes))), bytes)))
  })

  it('come back byte for byte when joined to a path', () => {
    fc.assert(
      fc.property(anyName, anyName, (a, b) => {
        const joined = `${fromRawName(a)}/${fromRawName(b)}`
        assert.deepEqual(toRawName(joined), Buffer.concat([a, Buffer.from('/'), b]))
      }),
    )
  })

  it('sort as their bytes do', () => {
    fc.assert(
      fc.property(fc.array(anyName), (names) => {
        const byBytes = names.map((name) => Buffer.from(name)).sort((a, b) => Buffer.compare(a, b))
        assert.deepEqual(sortRawNames(names.map(fromRawName)).map(toRawName), byBytes)
      }),
    )
  })

  it('compare as their bytes do', () => {
    fc.assert(
      fc.property(anyName, anyName, (a, b) =>
        assert.equal(compareRawNames(fromRawName(a), fromRawName(b)), Buffer.compare(a, b)),
      ),
    )
  })

  it('are printed with U+FFFD and opened as bytes where they are not UTF-8', () => {
    const latin1 = fromRawName(Buffer.from('caf\u00e9', 'latin1'))
    assert.equal(toPrintable(latin1), 'caf\ufffd')
    assert.deepEqual(toSystemPath(latin1), Buffer.from('caf\u00e9', 'latin1'))
    assert.equal(toSystemPath('café'), 'café')
  })
})
