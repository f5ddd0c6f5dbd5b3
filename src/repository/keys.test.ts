import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { toHex } from '../base/ids.ts'
import { blake3 } from '../codec/hash.ts'
import { CIPHER_CODES, OBJECT_KINDS, cipherOfCode, deriveRepositoryKeys } from './keys.ts'

const MASTER = Uint8Array.from({ length: 32 }, (_, i) => i)

function toHexFields(keys: Readonly<Record<string, Uint8Array | undefined>>): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(keys).map(([name, key]) => [name, key && toHex(key)]))
}

describe('deriveRepositoryKeys()', () => {
  it('derives the pinned keys, which an implementation of BLAKE3 in Python gave too', () => {
    const { chunkId, config, names, objects } = deriveRepositoryKeys(MASTER, 'aes-256-gcm')
    assert.deepEqual(toHexFields({ chunkId, config, names }), {
      chunkId: 'a0ee202a28eac723199c015db662bd91caf647a2fec03bd43122f0a37e2de57d',
      config: '07cbbe96eb61302743f005fa73b23a2c886ac0b69ab6bd2372d9d799049c97e7',
      names: 'fba29ab19110203e6e23f3fba248b9622037db76025f71ee375103caa320ec22',
    })
    assert.equal(objects.length, 1)
    assert.deepEqual(toHexFields(objects[0] ?? {}), {
      dataPack: '5fe4f352a5559935faab8eae1cb74040eb894a52a3a071f09e21182d03b2652d',
      treePack: '38d723c15a6eec77d05bb6492665c39f9b75b2fdfb52e593733a5a90ff240b21',
      index: '20da7467345773f8063b2b6d6bb3051ab6c3e61d801305c53042a20ce49190c1',
      commit: 'c2f844ce44caedc9b5aa6a5f48a94a92c61de0de800b3811b66dc81e99b4a6b6',
      session: 'deba5331fec8517ba94e7cb3e1ffface4dd1fc95d66bb008ea25206b0b13757f',
      condemned: '1b08ae188df89d9f8dc703ceddf3505cce012d1ca742aeac92a3330d6cf59075',
      waiting: '3a7a498044fd50a726d35208971852614ef4fc86ed6b8d369feba4825584d50f',
      label: '6d82933c0cc47453e9384921f9d7f097dd8c04ab53c5ef3923e4bd3df741192e',
    })
  })

  it('derives the pinned gear table', () => {
    const { gear } = deriveRepositoryKeys(MASTER, 'aes-256-gcm')
    assert.equal(gear.length, 1024)
    assert.equal(toHex(gear.subarray(0, 32)), '2595210d6ce55c02131e41c191c278205541a5474c7f03c29169b379f000abe7')
    assert.equal(toHex(blake3(gear)), 'b79973cc4c19046a7d406f1ec9d6943af3da85580c24740aa64ff342d4862866')
  })

  it('gives an unencrypted repository public keys and unkeyed chunk ids', () => {
    const { chunkId, config, gear } = deriveRepositoryKeys(new Uint8Array(32), 'none')
    assert.equal(chunkId, undefined)
    assert.equal(toHex(config), '3d4b13cac7ba90600f8d3e5daa3ba2ea62f9faab6a8e26d850b98602b2f3e5e4')
    assert.equal(toHex(blake3(gear)), 'afb456d1c9c876f219eebb20d39f92b461ef5f0d2c675894e4f458fafe588325')
  })

  it('gives every use a key of its own', () => {
    const { chunkId, config, names, gear, objects } = deriveRepositoryKeys(MASTER, 'aes-256-gcm')
    const all = Object.values(toHexFields({ chunkId, config, names, gear: gear.subarray(0, 32), ...objects[0] }))
    assert.equal(new Set(all).size, all.length)
    assert.ok(!all.includes(toHex(MASTER)))
  })

  it('gives keys that reach a worker thread whole', () => {
    const keys = deriveRepositoryKeys(MASTER, 'chacha20-poly1305')
    const posted = structuredClone(keys)
    assert.equal(posted.cipher, keys.cipher)
    assert.deepEqual(posted.objects.map(toHexFields), keys.objects.map(toHexFields))
    assert.equal(toHex(posted.gear), toHex(keys.gear))
  })
})

describe('numbers of the format', () => {
  it('never change', () => {
    assert.deepEqual(OBJECT_KINDS, {
      dataPack: 1,
      treePack: 2,
      index: 3,
      commit: 4,
      session: 5,
      label: 6,
      condemned: 7,
      waiting: 8,
    })
    assert.deepEqual(CIPHER_CODES, { none: 0, 'aes-256-gcm': 1, 'chacha20-poly1305': 2 })
  })

  it('are ciphers or an error that names the object', () => {
    for (const [name, code] of Object.entries(CIPHER_CODES)) assert.equal(cipherOfCode(code, 'a pack'), name)
    for (const code of [3, 255]) {
      assert.throws(() => cipherOfCode(code, 'commits/ab'), { code: 'FORMAT_UNSUPPORTED', message: /commits\/ab/ })
    }
  })
})
