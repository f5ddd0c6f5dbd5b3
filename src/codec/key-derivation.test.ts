import assert from 'node:assert/strict'
import { argon2Sync } from 'node:crypto'
import { describe, it } from 'node:test'
import { DEFAULT_ARGON2, argon2id } from './key-derivation.ts'

const SALT = Uint8Array.from({ length: 16 }, (_, i) => i)

describe('argon2id()', () => {
  it('stands on an Argon2id that gives the result of RFC 9106, section 5.3', () => {
    const result = argon2Sync('argon2id', {
      message: Buffer.alloc(32, 1),
      nonce: Buffer.alloc(16, 2),
      secret: Buffer.alloc(8, 3),
      associatedData: Buffer.alloc(12, 4),
      parallelism: 4,
      tagLength: 32,
      memory: 32,
      passes: 3,
    })
    assert.equal(result.toString('hex'), '0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659')
  })

  // Made with Argon2id of the Python package "cryptography" 48.
  it('gives the pinned keys', async () => {
    const small = await argon2id(Buffer.from('correct horse'), SALT, { memoryKiB: 256, passes: 2, parallelism: 2 })
    assert.equal(small.toString('hex'), '1c0076a4729fb06e4d764df2ad3c5571fe1fc715e1ae6904bb9e28dab139474f')
    const standard = await argon2id(Buffer.from('pässword'), SALT, DEFAULT_ARGON2)
    assert.equal(standard.toString('hex'), '62be84bbe32dd754d195e7b6bfb78c2e610741179bcc460d8b85032baab9fdd6')
  })

  it('takes an empty passphrase', async () => {
    const key = await argon2id(new Uint8Array(), SALT.subarray(0, 8), { memoryKiB: 8, passes: 1, parallelism: 1 })
    assert.equal(key.length, 32)
  })

  it('refuses parameters that no honest key slot has', async () => {
    const hostile = [
      { memoryKiB: 4 * 1024 * 1024 + 1 },
      { memoryKiB: 31 }, // under 8 KiB for each of 4 lanes
      { memoryKiB: 0 },
      { memoryKiB: -1 },
      { memoryKiB: 65_536.5 },
      { memoryKiB: Number.NaN },
      { passes: 0 },
      { passes: 65 },
      { passes: Number.POSITIVE_INFINITY },
      { parallelism: 0 },
      { parallelism: 256 },
      { memoryKiB: 2039, parallelism: 255 },
    ]
    for (const parameters of hostile) {
      const derived = argon2id(new Uint8Array(), SALT, { ...DEFAULT_ARGON2, ...parameters })
      await assert.rejects(derived, { code: 'DATA_CORRUPT' }, JSON.stringify(parameters))
    }
  })

  it('refuses a salt too short for its purpose', async () => {
    await assert.rejects(argon2id(new Uint8Array(), SALT.subarray(0, 7), DEFAULT_ARGON2), { code: 'DATA_CORRUPT' })
  })
})
