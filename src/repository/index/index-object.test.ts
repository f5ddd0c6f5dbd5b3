import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isCairnError } from '../../base/errors.ts'
import { type PackId, type SessionId, toHex } from '../../base/ids.ts'
import { blake3 } from '../../codec/hash.ts'
import { deriveRepositoryKeys } from '../keys.ts'
import { MAX_PACK_BYTES } from '../pack/pack-format.ts'
import { type IndexedPack, decodeIndex, encodeIndex, parseIndexKey } from './index-object.ts'

const KEYS = deriveRepositoryKeys(
  Uint8Array.from({ length: 32 }, (_, i) => i),
  'aes-256-gcm',
)
const SESSION = '00112233445566778899aabbccddeeff' as SessionId
const HASH = 'ab'.repeat(32)

/** The index of the pinned pack of chunk-writer.test.ts, the first of `SESSION`; made apart from this code as that pack was. */
const PINNED =
  '434149524e0103010000000000000000404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f' +
  'e1e40542d16191538eddc600ab2befef651317fa8a3996bf5703867a2f6206749b9a6b31e4b7d79c3d8700e7e0ddcc5d2e9afc8905f138c8bb' +
  '52cce0971b7882758e543d0965a6b3a338a30b09a74672727fe393ce402a3645adcfc3ee7b040a5cf76c43dd3376a0141b8b1a5c31918d71bb' +
  '79e6d88568e8588029bfda95b26e08420c2ff587d5cccd7d52445e75158b2d6a8ce8149e4affc62c3aa100c350c30b2da02d1495dd8073df80' +
  'f3d2b1d75060501f51a432abcb82ae8745508b72df13a14f106427baa7'

const anyPack: fc.Arbitrary<IndexedPack> = fc
  .record({
    id: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    sizeBytes: fc.integer({ min: 100, max: MAX_PACK_BYTES }),
    header: fc.uint8Array({ minLength: 48, maxLength: 48 }),
    table: fc.uint8Array({ maxLength: 500 }),
  })
  .map(({ id, ...pack }) => ({ ...pack, id: toHex(id) as PackId }))

function plain(packs: readonly IndexedPack[]): object[] {
  return packs.map(({ id, sizeBytes, header, table }) => ({
    id,
    sizeBytes,
    header: toHex(header),
    table: toHex(table),
  }))
}

describe('index objects', () => {
  it('open as pinned', () => {
    const object = Buffer.from(PINNED, 'hex')
    const packs = decodeIndex(KEYS, `index/${SESSION}-0-${toHex(blake3(object))}`, object)
    const chunks = ['c2602a95f4d9c393', '20df9f7c889e5cf7', '7a4c8101f5c4c0c3']
    assert.equal(packs.length, 1)
    const [pack] = packs as [IndexedPack]
    assert.equal(pack.id, '20c81c6182351bc9b3482d133e8baf1ab72fb59914a6f08d39f8f727f83fdd0f')
    assert.equal(pack.sizeBytes, 48 + 29 + 117 + 4)
    assert.equal(toHex(pack.header.subarray(0, 16)), '434149524e0101010000000000000000')
    assert.equal(toHex(pack.table.subarray(0, 2)), '1d03')
    for (const [i, chunk] of chunks.entries()) assert.equal(toHex(pack.table.subarray(2 + i * 32, 10 + i * 32)), chunk)
    assert.equal(toHex(pack.table.subarray(98)), '030005')
  })

  it('give back their packs, and end in the hash of their bytes', () => {
    fc.assert(
      fc.property(fc.array(anyPack, { maxLength: 10 }), fc.nat(999_999_999), (packs, number) => {
        const { key, object } = encodeIndex(KEYS, SESSION, number, packs)
        assert.equal(key, `index/${SESSION}-${number}-${toHex(blake3(object))}`)
        assert.deepEqual(parseIndexKey(key), { session: SESSION, number })
        assert.deepEqual(plain(decodeIndex(KEYS, key, object)), plain(packs))
      }),
    )
  })

  it('are refused under the name of another session or number', () => {
    const { key, object } = encodeIndex(KEYS, SESSION, 1, [])
    for (const other of [key.replace('-1-', '-2-'), key.replace('0011', '0012')])
      assert.throws(() => decodeIndex(KEYS, other, object), { code: 'DATA_CORRUPT', message: /Cannot read index\/001/ })
  })

  it('are refused with any byte changed or missing, by name', () => {
    const { key, object } = encodeIndex(KEYS, SESSION, 0, [])
    const named = (error: unknown): boolean =>
      (isCairnError(error, 'DATA_CORRUPT') || isCairnError(error, 'FORMAT_UNSUPPORTED')) &&
      error.message.includes(`index/${SESSION}-0`)
    for (let at = 0; at < object.length; at++) {
      const changed = Buffer.from(object)
      changed[at] = (changed[at] as number) ^ 0x10
      assert.throws(() => decodeIndex(KEYS, key, changed), named)
      assert.throws(() => decodeIndex(KEYS, key, object.subarray(0, at)), named)
    }
  })

  it('have no other names', () => {
    for (const key of [
      '',
      'index/',
      `index/${SESSION}`,
      `index/${SESSION}-0`,
      `index/${SESSION}-0-${HASH}0`,
      `index/${SESSION}-0-${HASH.toUpperCase()}`,
      `index/${SESSION}--1-${HASH}`,
      `index/${SESSION}-1e3-${HASH}`,
      `index/${SESSION.slice(1)}-0-${HASH}`,
      `index/ab/${SESSION}-0-${HASH}`,
      `packs/${SESSION}-0-${HASH}`,
    ]) {
      assert.equal(parseIndexKey(key), undefined, key)
      assert.throws(() => decodeIndex(KEYS, key, Buffer.alloc(64)), { code: 'DATA_CORRUPT' })
    }
  })
})
