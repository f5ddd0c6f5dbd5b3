import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { importKey } from './import-key.ts'
import { wrapKeyRing } from './key-slot.ts'
import { Keyring } from './keyring.ts'
import {
  CHEAP_ARGON2,
  TEST_PASSPHRASE,
  type TestRepository,
  answerOnce,
  keysOf,
  newTestRepository,
  reopen,
} from './testing.ts'

type Options = Parameters<typeof importKey>[2]

function optionsOf(made: TestRepository, passphrase = TEST_PASSPHRASE): Options {
  return { keyFiles: made.keyFiles, askPassphrase: answerOnce(passphrase) }
}

async function exported(made: TestRepository): Promise<string> {
  return (await Keyring.open(made.storage, optionsOf(made))).exported.text
}

describe('importKey()', () => {
  for (const encryption of ['repokey', 'keyfile'] as const) {
    it(`opens a repository again that has lost its keys (${encryption})`, async () => {
      const made = await newTestRepository({ encryption })
      const text = await exported(made)
      for (const key of await keysOf(made.storage, 'keys/')) await made.storage.delete(key)
      made.keyFiles.files.clear()
      await assert.rejects(reopen(made), { code: 'WRONG_PASSWORD', message: /cairn key import/ })
      const imported = await importKey(made.storage, text, optionsOf(made))
      assert.equal(imported.wasThere, false)
      if (encryption === 'keyfile') assert.equal(imported.where, made.keyFiles.pathOf(made.repository.id))
      await reopen(made)
      assert.deepEqual(await importKey(made.storage, text, optionsOf(made)), { ...imported, wasThere: true })
    })

    it(`takes a key beside others, however it is written (${encryption})`, async () => {
      const made = await newTestRepository({ encryption })
      const keys = await Keyring.open(made.storage, { ...optionsOf(made), argon2: CHEAP_ARGON2 })
      const text = JSON.stringify(JSON.parse(await exported(made)), undefined, 2)
      await keys.changePassphrase('other')
      await importKey(made.storage, text, optionsOf(made))
      await reopen(made)
      assert.equal((await keys.list()).length, 2)
    })
  }

  it('refuses a key of another repository, of before a rotation, with a wrong passphrase, and what is none', async () => {
    const [made, other] = [await newTestRepository(), await newTestRepository()]
    const foreign = await exported(other)
    const old = await exported(made)
    await (await Keyring.open(made.storage, { ...optionsOf(made), argon2: CHEAP_ARGON2 })).rotate()
    const current = await exported(made)
    const forged = await wrapKeyRing(Buffer.alloc(32, 1), made.repository.id, TEST_PASSPHRASE, { argon2: CHEAP_ARGON2 })
    const unlocked = await wrapKeyRing(Buffer.alloc(32, 1), made.repository.id, undefined)
    const before = await keysOf(made.storage)
    for (const [text, code, message, passphrase] of [
      [foreign, 'WRONG_PASSWORD', new RegExp(other.repository.id), TEST_PASSPHRASE],
      [old, 'WRONG_PASSWORD', /from before that/, TEST_PASSPHRASE],
      [current, 'WRONG_PASSWORD', /passphrase is wrong/, 'wrong'],
      [forged, 'DATA_CORRUPT', /generations\/1/, TEST_PASSPHRASE],
      [unlocked, 'INVALID_ARGUMENT', /without a passphrase/, TEST_PASSPHRASE],
      ['', 'DATA_CORRUPT', /the key to import/, TEST_PASSPHRASE],
      [current.slice(0, -9), 'DATA_CORRUPT', /the key to import/, TEST_PASSPHRASE],
    ] as const)
      await assert.rejects(importKey(made.storage, text, optionsOf(made, passphrase)), { code, message })
    assert.deepEqual(await keysOf(made.storage), before)
  })

  it('refuses a key with another master key', async () => {
    const made = await newTestRepository()
    const forged = await wrapKeyRing(Buffer.alloc(32, 1), made.repository.id, TEST_PASSPHRASE, { argon2: CHEAP_ARGON2 })
    const before = await keysOf(made.storage)
    await assert.rejects(importKey(made.storage, forged, optionsOf(made)), {
      code: 'DATA_CORRUPT',
      message: /'config'/,
    })
    assert.deepEqual(await keysOf(made.storage), before)
  })

  it('has nothing to do with an unencrypted repository', async () => {
    const [made, other] = [await newTestRepository({ encryption: 'none' }), await newTestRepository()]
    const importing = importKey(made.storage, await exported(other), optionsOf(made))
    await assert.rejects(importing, { code: 'INVALID_ARGUMENT', message: /without encryption/ })
  })
})
