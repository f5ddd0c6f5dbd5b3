import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isCairnError } from '../base/errors.ts'
import type { RepositoryId } from '../base/ids.ts'
import { DEFAULT_CHUNKER_PARAMS, formatChunkerParams, parseChunkerParams } from '../chunker/params.ts'
import {
  DEFAULT_SETTINGS,
  type RepositoryConfig,
  changeSettings,
  decodeConfig,
  encodeConfig,
  saysAppendOnly,
} from './config.ts'
import { deriveRepositoryKeys } from './keys.ts'

const KEY = deriveRepositoryKeys(
  Uint8Array.from({ length: 32 }, (_, i) => i),
  'aes-256-gcm',
).config
const CONFIG: RepositoryConfig = {
  id: '00112233445566778899aabbccddeeff' as RepositoryId,
  encryption: 'repokey',
  cipher: 'aes-256-gcm',
  chunker: DEFAULT_CHUNKER_PARAMS,
  settings: DEFAULT_SETTINGS,
  createdAt: '2026-11-01T00:00:00.000Z',
}
/** The hash was made by an implementation of BLAKE3 in Python. */
const PINNED =
  '{"cairn":1,"id":"00112233445566778899aabbccddeeff","encryption":"repokey","cipher":"aes-256-gcm",' +
  '"chunker":{"algorithm":"fastcdc","minBytes":262144,"meanBytes":1048576,"maxBytes":4194304},' +
  '"createdAt":"2026-11-01T00:00:00.000Z"}\n' +
  'fb2bfab99026e54779afd2d040f86a925d96887b8e0e1d0893fb5dbd34a3a132\n'

function read(object: Uint8Array, key: Uint8Array = KEY): RepositoryConfig {
  const { config, authenticate } = decodeConfig(object)
  authenticate(key)
  return config
}

/** A config whose line is changed and hashed anew, as only a holder of the key can. */
function rewritten(change: (fields: Record<string, unknown>) => void): Buffer {
  const fields = JSON.parse(PINNED.split('\n')[0] ?? '') as Record<string, unknown>
  change(fields)
  const { cairn: _, ...rest } = fields
  const encoded = encodeConfig({ ...rest, settings: DEFAULT_SETTINGS } as unknown as RepositoryConfig, KEY).toString()
  return Buffer.from(encoded.replace('"cairn":1', `"cairn":${JSON.stringify(fields['cairn'])}`))
}

describe('the config object', () => {
  it('has the pinned bytes', () => {
    assert.equal(encodeConfig(CONFIG, KEY).toString(), PINNED)
    assert.deepEqual(read(Buffer.from(PINNED)), CONFIG)
  })

  it('comes back for all encryptions, ciphers and chunkers', () => {
    const anyConfig = fc.record({
      id: fc.constant(CONFIG.id),
      mode: fc.constantFrom(
        { encryption: 'repokey', cipher: 'aes-256-gcm' } as const,
        { encryption: 'keyfile', cipher: 'chacha20-poly1305' } as const,
        { encryption: 'none', cipher: 'none' } as const,
      ),
      chunker: fc
        .constantFrom('fastcdc,64,4K,32M', 'fastcdc,256K,1M,4M', 'fixed,4K', 'fixed,32M')
        .map(parseChunkerParams),
    })
    fc.assert(
      fc.property(anyConfig, ({ id, mode, chunker }) => {
        const config = { ...CONFIG, id, ...mode, chunker }
        assert.deepEqual(read(encodeConfig(config, KEY)), config)
      }),
    )
  })

  it('comes back with other settings, everything else being as it was, also what only a newer version knows', () => {
    const newer = rewritten((fields) => (fields['note'] = { later: [1] }))
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeNat(), fc.boolean(), (additionalFreeSpace, storageQuota, appendOnly) => {
        const settings = { additionalFreeSpace, storageQuota, appendOnly }
        const changed = changeSettings(newer, KEY, settings)
        assert.deepEqual(read(changed), { ...CONFIG, settings })
        assert.match(changed.toString(), /"note":\{"later":\[1\]\}/)
        const one = changeSettings(changed, KEY, { storageQuota: 0 })
        assert.equal(saysAppendOnly(one), appendOnly)
        assert.deepEqual(read(one).settings, { additionalFreeSpace, storageQuota: 0, appendOnly })
        const off = changeSettings(one, KEY, { additionalFreeSpace: 0, appendOnly: false })
        assert.deepEqual(off, newer) // as if it had never been
      }),
    )
  })

  it('counts as append-only for a server when it makes no sense', () => {
    assert.equal(saysAppendOnly(Buffer.from(PINNED)), false)
    for (const damaged of ['', 'x', PINNED.slice(0, 40), PINNED.replace('"cairn":1', '"cairn":2')])
      assert.equal(saysAppendOnly(Buffer.from(damaged)), true, damaged)
  })

  it('is not changed when it does not authenticate', () => {
    const object = Buffer.from(PINNED.replace('"createdAt":"2026', '"createdAt":"2025'))
    for (const [bytes, key] of [
      [object, KEY],
      [Buffer.from(PINNED), new Uint8Array(32)],
    ] as const)
      assert.throws(() => changeSettings(bytes, key, { storageQuota: 1 }), { code: 'DATA_CORRUPT' })
  })

  it('is refused when any bit of it was changed', () => {
    for (let bit = 0; bit < PINNED.length * 8; bit++) {
      const object = Buffer.from(PINNED)
      object[bit >> 3] = (object[bit >> 3] as number) ^ (1 << (bit & 7))
      assert.throws(
        () => read(object),
        (error) => isCairnError(error, 'DATA_CORRUPT') || isCairnError(error, 'FORMAT_UNSUPPORTED'),
        `bit ${bit}`,
      )
    }
  })

  it('is refused when it was cut short, but for the last line feed', () => {
    for (let length = 0; length < PINNED.length - 1; length++) {
      assert.throws(() => read(Buffer.from(PINNED.slice(0, length))), { code: 'DATA_CORRUPT' }, `${length} bytes`)
    }
    assert.deepEqual(read(Buffer.from(PINNED.slice(0, -1))), CONFIG)
  })

  it('is refused under another key', () => {
    assert.throws(() => read(Buffer.from(PINNED), new Uint8Array(32)), { code: 'DATA_CORRUPT', message: /'config'/ })
  })

  it('of a newer format asks for a newer version, before any key is known', () => {
    const newer = rewritten((fields) => (fields['cairn'] = 2))
    assert.throws(() => decodeConfig(newer), {
      code: 'FORMAT_UNSUPPORTED',
      message: /format 2.* up to 1; install a newer version/,
    })
  })

  it('is refused when a field is missing, of another type or unheard of', () => {
    const wrong: [string, unknown][] = [
      ['cairn', 0],
      ['cairn', '1'],
      ['id', undefined],
      ['id', '../../etc/passwd'],
      ['id', 'ABCDEF33445566778899AABBCCDDEEFF'],
      ['encryption', 'rot13'],
      ['encryption', 'none'],
      ['cipher', 'none'],
      ['cipher', 'des'],
      ['cipher', undefined],
      ['createdAt', 0],
      ['additionalFreeSpace', -1],
      ['additionalFreeSpace', '2G'],
      ['storageQuota', 0.5],
      ['storageQuota', 2 ** 60],
      ['storageQuota', null],
      ['chunker', null],
      ['chunker', { algorithm: 'fixed', blockBytes: 2 ** 40 }],
      ['chunker', { ...DEFAULT_CHUNKER_PARAMS, maxBytes: 2 ** 31 }],
    ]
    for (const [name, value] of wrong) {
      const object = rewritten((fields) => (fields[name] = value))
      assert.throws(() => read(object), { code: 'DATA_CORRUPT' }, `${name} = ${JSON.stringify(value)}`)
    }
    for (const text of ['', '\n', 'null\n', '[]\n', '1\n', '"config"\n', '{}\n', '{\n', '\0\n'])
      assert.throws(() => read(Buffer.from(text)), { code: 'DATA_CORRUPT' }, JSON.stringify(text))
  })

  it('may have fields of a newer version that change nothing', () => {
    const object = rewritten((fields) => (fields['note'] = 'later'))
    assert.deepEqual(read(object), CONFIG)
    assert.equal(formatChunkerParams(read(object).chunker), 'fastcdc,256K,1M,4M')
  })
})
