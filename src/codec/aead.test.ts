import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Aead, TAG_BYTES } from './aead.ts'
import { blake3 } from './hash.ts'

// The types of Node leave it out.
declare const WebAssembly: {
  readonly Memory: new (pages: { initial: number; maximum?: number; shared?: boolean }) => { buffer: ArrayBuffer }
}

const CIPHERS = ['aes-256-gcm', 'chacha20-poly1305', 'none'] as const
const KEY = Uint8Array.from({ length: 32 }, (_, i) => i)
const AAD = Buffer.from('cairn')

/** Message 'hello, world' with the data 'cairn', sealed by AESGCM and ChaCha20Poly1305 of the Python package "cryptography" 48. */
const VECTORS = [
  {
    nonce: 0,
    'aes-256-gcm': '66d9d9b2da00a3ca67dac55122f89f4842173748350234e00f481703',
    'chacha20-poly1305': '70dd2e5dc2ca86a67c133005f5cee0898124464139fb648ca4b2c8d6',
  },
  {
    nonce: 1,
    'aes-256-gcm': '8a49ee53cb83cc70257669a77c1019bf96bfd8ed8b3444da3e6a5e0a',
    'chacha20-poly1305': 'fc5a1782abcfbc5d1829bf977e5ea180cf6029e956dc162c2b3528d2',
  },
  {
    nonce: 0x0123456789abcd,
    'aes-256-gcm': 'c546ec4642b83e6ce7ea3f6129112a040dc2c8a5351840db55a45bf6',
    'chacha20-poly1305': '8d9d2ae7839284f5adc9dcbf2b2a1acc2e97768e0c3c00d7e86e4c18',
  },
]

function seal(aead: Aead, nonce: number, aad: Uint8Array, ...parts: Uint8Array[]): Buffer {
  const target = Buffer.alloc(parts.reduce((sum, part) => sum + part.length, TAG_BYTES))
  assert.equal(aead.seal(nonce, aad, parts, target, 0), target.length)
  return target
}

describe('Aead', () => {
  it('gives the pinned bytes, however the message is cut', () => {
    for (const vector of VECTORS) {
      for (const cipher of ['aes-256-gcm', 'chacha20-poly1305'] as const) {
        const aead = new Aead(cipher, KEY)
        const parts = ['', 'hel', 'lo, world', ''].map((part) => Buffer.from(part))
        assert.equal(seal(aead, vector.nonce, AAD, ...parts).toString('hex'), vector[cipher])
        assert.equal(seal(aead, vector.nonce, AAD, Buffer.from('hello, world')).toString('hex'), vector[cipher])
        const opened = aead.open(vector.nonce, AAD, Buffer.from(vector[cipher], 'hex'), 'the vector')
        assert.equal(opened.toString(), 'hello, world')
      }
    }
  })

  it('gives the pinned tag of an empty message', () => {
    const none = new Uint8Array()
    assert.equal(seal(new Aead('aes-256-gcm', KEY), 0, none).toString('hex'), 'f05d76ae4ab99fe5a6f69b3148c2363d')
    assert.equal(seal(new Aead('chacha20-poly1305', KEY), 0, none).toString('hex'), '10324f800a160bd9a1794255be7ec29d')
  })

  it('only adds a hash with none', () => {
    const sealed = seal(
      new Aead('none', new Uint8Array()),
      0x0123456789abcd,
      AAD,
      Buffer.from('hello,'),
      Buffer.from(' world'),
    )
    const hashed = Buffer.from(`cdab89674523010005000000${AAD.toString('hex')}`, 'hex')
    const tag = blake3(Buffer.concat([hashed, Buffer.from('hello, world')])).subarray(0, TAG_BYTES)
    assert.deepEqual(sealed, Buffer.concat([Buffer.from('hello, world'), tag]))
  })

  it('opens what it sealed', () => {
    const bytes = fc.uint8Array({ maxLength: 300 })
    fc.assert(
      fc.property(
        fc.constantFrom(...CIPHERS),
        fc.maxSafeNat(),
        bytes,
        fc.array(bytes),
        fc.nat({ max: 20 }),
        fc.nat({ max: 20 }),
        (cipher, nonce, aad, parts, before, after) => {
          const aead = new Aead(cipher, KEY)
          const message = Buffer.concat(parts)
          const target = Buffer.alloc(before + message.length + TAG_BYTES + after, 0xee)
          const written = aead.seal(nonce, aad, parts, target, before)
          assert.equal(written, message.length + TAG_BYTES)
          assert.ok(target.subarray(0, before).every((byte) => byte === 0xee))
          assert.ok(target.subarray(before + written).every((byte) => byte === 0xee))
          const sealed = target.subarray(before, before + written)
          assert.deepEqual(aead.open(nonce, aad, sealed, 'it'), message)
        },
      ),
    )
  })

  it('opens long messages, cut anywhere', () => {
    const message = Buffer.from(Array.from({ length: 700_000 }, (_, i) => (i * i) >> 5))
    for (const cipher of CIPHERS) {
      const aead = new Aead(cipher, KEY)
      const whole = seal(aead, 3, AAD, message)
      assert.deepEqual(seal(aead, 3, AAD, message.subarray(0, 262_145), message.subarray(262_145)), whole)
      assert.deepEqual(aead.open(3, AAD, whole, 'it'), message)
    }
  })

  it('refuses every other nonce, key, associated data, bit and length', () => {
    const message = Buffer.from('a message of more than one block of either cipher, to have some to flip')
    for (const cipher of CIPHERS) {
      const aead = new Aead(cipher, KEY)
      const sealed = seal(aead, 7, AAD, message)
      const refuses = (nonce: number, aad: Uint8Array, bytes: Uint8Array, by = aead): void =>
        assert.throws(() => by.open(nonce, aad, bytes, 'segment 7'), {
          code: 'DATA_CORRUPT',
          message: /^Cannot read segment 7: authentication failed/,
        })
      for (const nonce of [0, 6, 8, 7 + 2 ** 32, 7 * 2 ** 32]) refuses(nonce, AAD, sealed)
      for (const aad of ['', 'cair', 'cairn ', 'Cairn']) refuses(7, Buffer.from(aad), sealed)
      for (let bit = 0; bit < sealed.length * 8; bit++) {
        const flipped = Buffer.from(sealed)
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        refuses(7, AAD, flipped)
      }
      for (let length = 0; length < sealed.length; length++) refuses(7, AAD, sealed.subarray(0, length))
      refuses(7, AAD, sealed.subarray(1))
      refuses(7, AAD, Buffer.concat([sealed, Buffer.alloc(1)]))
      refuses(7, AAD, Buffer.alloc(100))
      if (cipher !== 'none')
        refuses(
          7,
          AAD,
          sealed,
          new Aead(
            cipher,
            KEY.map((byte) => byte ^ 1),
          ),
        )
      for (const other of CIPHERS) if (other !== cipher) refuses(7, AAD, sealed, new Aead(other, KEY))
    }
  })

  it('does not mix up associated data and message', () => {
    for (const cipher of CIPHERS) {
      const aead = new Aead(cipher, KEY)
      const sealed = seal(aead, 1, Buffer.from('ab'), Buffer.from('cd'))
      assert.notDeepEqual(
        seal(aead, 1, Buffer.from('a'), Buffer.from('bcd')).subarray(-TAG_BYTES),
        sealed.subarray(-TAG_BYTES),
      )
    }
  })

  it('refuses a target that is too small and leaves it alone', () => {
    for (const cipher of CIPHERS) {
      const aead = new Aead(cipher, KEY)
      const target = Buffer.alloc(30)
      for (const offset of [11, 30, 31, -1]) {
        assert.throws(() => aead.seal(1, AAD, [Buffer.from('abcd')], target, offset), RangeError)
      }
      assert.ok(target.every((byte) => byte === 0))
      assert.equal(aead.seal(1, AAD, [Buffer.from('abcd')], target, 10), 20)
    }
  })

  it('refuses what is no nonce or no key', () => {
    for (const cipher of CIPHERS) {
      const aead = new Aead(cipher, KEY)
      for (const nonce of [-1, 0.5, 2 ** 53, Number.NaN]) {
        assert.throws(() => seal(aead, nonce, AAD), RangeError)
        assert.throws(() => aead.open(nonce, AAD, Buffer.alloc(40), 'it'), RangeError)
      }
    }
    for (const length of [0, 16, 31, 33]) {
      assert.throws(() => new Aead('aes-256-gcm', new Uint8Array(length)), RangeError)
      assert.throws(() => new Aead('chacha20-poly1305', new Uint8Array(length)), RangeError)
    }
  })

  it('keeps its key when the buffer it was made from is wiped', () => {
    const key = Uint8Array.from(KEY)
    const aead = new Aead('aes-256-gcm', key)
    key.fill(0)
    assert.equal(seal(aead, 0, AAD, Buffer.from('hello, world')).toString('hex'), VECTORS[0]?.['aes-256-gcm'])
  })

  it('opens into memory of its own', () => {
    for (const cipher of CIPHERS) {
      const aead = new Aead(cipher, KEY)
      const sealed = seal(aead, 1, AAD, Buffer.from('abcd'))
      const opened = aead.open(1, AAD, sealed, 'it')
      sealed.fill(0)
      assert.equal(opened.toString(), 'abcd')
    }
  })

  it('seals views of WebAssembly memory', () => {
    const view = new Uint8Array(new WebAssembly.Memory({ initial: 1 }).buffer, 77, 12)
    view.set(Buffer.from('hello, world'))
    assert.equal(seal(new Aead('aes-256-gcm', KEY), 0, AAD, view).toString('hex'), VECTORS[0]?.['aes-256-gcm'])
  })
})
