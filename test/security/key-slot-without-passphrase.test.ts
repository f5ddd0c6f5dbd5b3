import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeConfig, encodeConfig } from '../../src/repository/config.ts'
import { wrapKeyRing } from '../../src/repository/key-slot.ts'
import { deriveRepositoryKeys } from '../../src/repository/keys.ts'
import { openRepository } from '../../src/repository/repository.ts'
import { ALL_MODES, keysOf, newTestRepository } from '../../src/repository/testing.ts'

/*
 * Who can write to the store, but knows no key, puts a master key of his own there: in a slot that opens without a passphrase,
 * and with a config to match. A client that opened it would, without a question, encrypt its next backup for the attacker.
 */
for (const encryption of ALL_MODES.filter((mode) => mode !== 'none')) {
  test(`a key slot without passphrase does not open a repository (${encryption})`, async () => {
    const { storage, keyFiles } = await newTestRepository({ encryption })
    const { config } = decodeConfig(await storage.get('config'))
    const attackersKey = Buffer.alloc(32, 1)
    for (const key of await keysOf(storage, 'keys/')) await storage.delete(key)
    await storage.put('keys/00', Buffer.from(await wrapKeyRing(attackersKey, config.id, undefined)))
    const forged = { ...config, encryption: 'repokey' as const }
    await storage.put('config', encodeConfig(forged, deriveRepositoryKeys(attackersKey, config.cipher).config))

    const open = openRepository(storage, { keyFiles, askPassphrase: async () => undefined })
    await assert.rejects(open, { code: 'WRONG_PASSWORD' })
  })
}
