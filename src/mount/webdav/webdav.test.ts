import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { anyName } from '../../snapshot/testing.ts'
import { parseRange } from './range.ts'
import { decodePath, encodeName } from './url.ts'

describe('encodeName()', () => {
  it('gives any name as a part of a URL that browsers take as it is', () => {
    fc.assert(
      fc.property(fc.array(anyName, { minLength: 1, maxLength: 3 }), (names) => {
        const path = `/${names.map(encodeName).join('/')}`
        assert.deepEqual(decodePath(path), names)
        assert.equal(new URL(path, 'http://127.0.0.1').pathname, path)
        for (const name of names)
          assert.equal(new URL(`./${encodeName(name)}`, 'http://127.0.0.1/d/').pathname, `/d/${encodeName(name)}`)
      }),
    )
  })
})

describe('decodePath()', () => {
  it('leads nowhere but down', () => {
    assert.deepEqual(decodePath('/a//b%20c/'), ['a', 'b c'])
    for (const path of ['/..', '/a/%2e%2e/b', '/%2E', '/a%2Fb', '/a%00b', '/%', '/%4', '/%zz'])
      assert.equal(decodePath(path), undefined, path)
  })
})

describe('parseRange()', () => {
  it('reads one range of bytes, and takes anything else for the whole', () => {
    for (const [header, want] of [
      ['bytes=0-0', { start: 0, end: 1 }],
      ['bytes=5-', { start: 5, end: 10 }],
      ['bytes=-3', { start: 7, end: 10 }],
      ['bytes=-30', { start: 0, end: 10 }],
      ['bytes=2-500', { start: 2, end: 10 }],
      ['bytes=10-', 'none'],
      ['bytes=-0', 'none'],
      ['bytes=3-2', undefined],
      ['bytes=0-1,3-4', undefined],
      ['lines=0-1', undefined],
      ['bytes=-', undefined],
      ['bytes=99999999999999999999-', undefined],
      [undefined, undefined],
    ] as const)
      assert.deepEqual(parseRange(header, 10), want, String(header))
    assert.equal(parseRange('bytes=-1', 0), 'none')
  })
})
