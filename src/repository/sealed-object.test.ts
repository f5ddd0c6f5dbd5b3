import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isCairnError } from '../base/errors.ts'
import { toHex } from '../base/ids.ts'
import type { CipherName } from '../codec/aead.ts'
import { OBJECT_KINDS, type ObjectKind, type RepositoryKeys, deriveRepositoryKeys } from './keys.ts'
import { HEADER_BYTES, newHeader, openHeader, openObject, sealObject } from './sealed-object.ts'

const MASTER = Uint8Array.from({ length: 32 }, (_, i) => i)
const CIPHERS: readonly CipherName[] = ['aes-256-gcm', 'chacha20-poly1305', 'none']
const KINDS = Object.keys(OBJECT_KINDS) as ObjectKind[]
const CONTEXT = 'commits/00112233445566778899aabbccddeeff'
const PLAINTEXT = Buffer.from('{"run":1}')

function keysFor(cipher: CipherName): RepositoryKeys {
  return deriveRepositoryKeys(cipher === 'none' ? new Uint8Array(32) : MASTER, cipher)
}

/**
 * `PLAINTEXT` sealed as the commit `CONTEXT` with the salt 40 41 … 5f, made apart from this code: BLAKE3 in Python, the ciphers
 * of its package "cryptography" 48.
 */
const HEADER_HEX = (cipher: string): string =>
  `434149524e0104${cipher}0000000000000000404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f`
const VECTORS: Readonly<Record<CipherName, string>> = {
  'aes-256-gcm': `${HEADER_HEX('01')}d790bde936afdd54c277e20fd52ef756dfdf14b36c28ca4539`,
  'chacha20-poly1305': `${HEADER_HEX('02')}5596a3084256f0901e83a67d391dbb41baa54faff8af2dece8`,
  none: `${HEADER_HEX('00')}7b2272756e223a317d4cc0554c38b95591319ff035839539e5`,
}

/** Runs `open` on a changed object and expects that nothing comes out, and that the error names the object. */
function assertRefused(keys: RepositoryKeys, object: Uint8Array, message: string): void {
  assert.throws(
    () => openObject('commit', keys, CONTEXT, object),
    (error) =>
      (isCairnError(error, 'DATA_CORRUPT') || isCairnError(error, 'FORMAT_UNSUPPORTED')) &&
      error.message.includes(CONTEXT),
    message,
  )
}

describe('openObject()', () => {
  for (const cipher of CIPHERS) {
    const keys = keysFor(cipher)
    const vector = Buffer.from(VECTORS[cipher], 'hex')

    it(`opens the pinned object (${cipher})`, () => {
      assert.deepEqual(openObject('commit', keys, CONTEXT, vector), PLAINTEXT)
    })

    it(`refuses every flipped bit (${cipher})`, () => {
      for (let bit = 0; bit < vector.length * 8; bit++) {
        const object = Buffer.from(vector)
        object[bit >> 3] = (object[bit >> 3] as number) ^ (1 << (bit & 7))
        assertRefused(keys, object, `bit ${bit}`)
      }
    })

    it(`refuses every truncation and anything appended (${cipher})`, () => {
      for (let length = 0; length < vector.length; length++)
        assertRefused(keys, vector.subarray(0, length), `${length} bytes`)
      assertRefused(keys, Buffer.concat([vector, Buffer.alloc(1)]), 'one byte more')
    })

    it(`refuses another kind and another context (${cipher})`, () => {
      for (const kind of KINDS.filter((kind) => kind !== 'commit')) {
        assert.throws(() => openObject(kind, keys, CONTEXT, vector), { code: 'DATA_CORRUPT' }, kind)
      }
      for (const context of ['', 'commits/00112233445566778899aabbccddeef0', `${CONTEXT}/`, `sessions${CONTEXT}`]) {
        assert.throws(() => openObject('commit', keys, context, vector), { code: 'DATA_CORRUPT' }, context)
      }
    })

    it(`refuses an object whose header says another kind than its key (${cipher})`, () => {
      for (const kind of KINDS.filter((kind) => kind !== 'commit')) {
        const object = Buffer.from(vector)
        object[6] = OBJECT_KINDS[kind]
        assert.throws(() => openObject(kind, keys, CONTEXT, object), { code: 'DATA_CORRUPT' }, kind)
      }
    })

    it(`refuses the cipher of another repository (${cipher})`, () => {
      for (const other of CIPHERS.filter((other) => other !== cipher)) {
        assert.throws(() => openObject('commit', { ...keys, cipher: other }, CONTEXT, vector), { code: 'DATA_CORRUPT' })
      }
    })
  }

  it('refuses another master key', () => {
    const keys = deriveRepositoryKeys(
      MASTER.map((byte) => byte ^ 1),
      'aes-256-gcm',
    )
    assertRefused(keys, Buffer.from(VECTORS['aes-256-gcm'], 'hex'), 'another key')
  })

  it('says that a newer version wrote a newer format, a new cipher, or with a later key', () => {
    for (const offset of [5, 7, 8, 15]) {
      const object = Buffer.from(VECTORS['aes-256-gcm'], 'hex')
      object[offset] = offset === 7 ? 3 : 2
      assert.throws(() => openObject('commit', keysFor('aes-256-gcm'), CONTEXT, object), { code: 'FORMAT_UNSUPPORTED' })
    }
  })
})

describe('sealObject()', () => {
  it('seals what openObject() opens', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...CIPHERS),
        fc.constantFrom(...KINDS),
        fc.string({ maxLength: 200 }),
        fc.uint8Array({ maxLength: 5000 }),
        (cipher, kind, context, plaintext) => {
          const keys = keysFor(cipher)
          const object = sealObject(kind, keys, context, plaintext)
          assert.equal(object.length, HEADER_BYTES + plaintext.length + 16)
          assert.deepEqual(new Uint8Array(openObject(kind, keys, context, object)), plaintext)
        },
      ),
    )
  })

  it('uses a new salt, and so a new key, every time', () => {
    const keys = keysFor('aes-256-gcm')
    const objects = Array.from({ length: 50 }, () => toHex(sealObject('index', keys, CONTEXT, PLAINTEXT)))
    assert.equal(new Set(objects.map((object) => object.slice(32, 96))).size, 50)
    assert.equal(new Set(objects.map((object) => object.slice(96))).size, 50)
  })

  it('hides the plaintext unless the repository is unencrypted', () => {
    for (const cipher of CIPHERS) {
      const object = sealObject('session', keysFor(cipher), CONTEXT, PLAINTEXT)
      assert.equal(object.includes(PLAINTEXT), cipher === 'none')
    }
  })
})

describe('newHeader()', () => {
  it('makes the pinned header but for the salt', () => {
    const keys = keysFor('aes-256-gcm')
    for (const kind of KINDS) {
      const header = newHeader(kind, keys)
      assert.equal(header.length, HEADER_BYTES)
      assert.equal(toHex(header.subarray(0, 16)), `434149524e010${OBJECT_KINDS[kind]}010000000000000000`)
      assert.equal(openHeader(header, kind, keys, 'a header').cipher, 'aes-256-gcm')
    }
  })
})
