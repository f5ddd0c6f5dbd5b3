import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { RepositoryId } from '../base/ids.ts'
import { MemoryStorage } from '../storage/memory/memory-storage.ts'
import { FaultyStorage } from '../storage/testing.ts'
import { decodeConfig, encodeConfig } from './config.ts'
import { wrapKeyRing } from './key-slot.ts'
import { deriveRepositoryKeys } from './keys.ts'
import { openRepository } from './repository.ts'
import {
  ALL_MODES,
  CHEAP_ARGON2,
  MemoryKeyFiles,
  TEST_PASSPHRASE,
  type TestRepository,
  answerOnce,
  keysOf,
  newTestRepository,
} from './testing.ts'
import { type PassphraseQuestion, unlockKeyRing } from './unlock.ts'

async function neverAsk(): Promise<undefined> {
  assert.fail('a passphrase was asked for')
}

/** Answers one question after the other, and notes them. */
function answers(...passphrases: (string | undefined)[]): {
  askPassphrase: (question: PassphraseQuestion) => Promise<string | undefined>
  questions: PassphraseQuestion[]
} {
  const questions: PassphraseQuestion[] = []
  return {
    questions,
    askPassphrase: async (question) => {
      questions.push(question)
      return passphrases[questions.length - 1]
    },
  }
}

async function unlock(made: TestRepository, ...passphrases: (string | undefined)[]): Promise<Buffer> {
  const { askPassphrase } = answers(...passphrases)
  const options = { keyFiles: made.keyFiles, askPassphrase }
  return (await unlockKeyRing(made.storage, made.repository.config, options)).ring
}

/** The only slot in the repository, and its key. */
async function onlySlot(made: TestRepository): Promise<{ key: string; text: string }> {
  const [key = '', ...others] = await keysOf(made.storage, 'keys/')
  assert.deepEqual(others, [])
  return { key, text: Buffer.from(await made.storage.get(key)).toString() }
}

function withField(slot: string, name: string, value: unknown): Buffer {
  return Buffer.from(JSON.stringify({ ...(JSON.parse(slot) as Record<string, unknown>), [name]: value }))
}

describe('openRepository()', () => {
  for (const encryption of ALL_MODES) {
    it(`opens what was made (${encryption})`, async () => {
      const made = await newTestRepository({ encryption })
      const { keyFiles, storage } = made
      const askPassphrase = encryption === 'none' ? neverAsk : answerOnce(TEST_PASSPHRASE)
      const repository = await openRepository(storage, { keyFiles, askPassphrase })
      assert.deepEqual(repository.config, made.repository.config)
      assert.deepEqual(repository.keys, made.repository.keys)
    })
  }

  it('opens a keyfile repository without asking when its key file needs no passphrase', async () => {
    const { storage, keyFiles } = await newTestRepository({ encryption: 'keyfile', passphrase: undefined })
    assert.deepEqual(await keysOf(storage, 'keys/'), [])
    await openRepository(storage, { keyFiles, askPassphrase: neverAsk })
  })

  it('does not take a repository for another with the same passphrase', async () => {
    const [one, two] = [await newTestRepository(), await newTestRepository()]
    await one.storage.put('config', await two.storage.get('config'))
    await assert.rejects(
      openRepository(one.storage, { keyFiles: one.keyFiles, askPassphrase: answerOnce(TEST_PASSPHRASE) }),
      {
        code: 'WRONG_PASSWORD',
      },
    )
  })
})

describe('a passphrase', () => {
  it('is asked for again, by number, until it is right', async () => {
    const { storage, keyFiles } = await newTestRepository()
    const { askPassphrase, questions } = answers('wrong', '', TEST_PASSPHRASE, 'never asked')
    await openRepository(storage, { keyFiles, askPassphrase })
    assert.deepEqual(
      questions,
      [1, 2, 3].map((attempt) => ({ location: 'memory', attempt, problem: undefined })),
    )
  })

  for (const encryption of ['repokey', 'keyfile'] as const) {
    it(`that stays wrong ends in WRONG_PASSWORD when the user gives up (${encryption})`, async () => {
      const made = await newTestRepository({ encryption })
      await assert.rejects(unlock(made, 'wrong', 'wronger'), { code: 'WRONG_PASSWORD', message: /passphrase is wrong/ })
      await assert.rejects(unlock(made), { code: 'WRONG_PASSWORD', message: /no passphrase was given/ })
    })
  }

  it('is right however its letters are composed', async () => {
    const made = await newTestRepository({ passphrase: 'Fluß Käse' })
    await unlock(made, 'Fluß Käse'.normalize('NFD'))
    await assert.rejects(unlock(made, 'Fluss Käse'), { code: 'WRONG_PASSWORD' })
  })

  it('opens the slot that is its own among several', async () => {
    const made = await newTestRepository()
    const master = await unlock(made, TEST_PASSPHRASE)
    for (const passphrase of ['second', 'third']) {
      const slot = await wrapKeyRing(master, made.repository.id, passphrase, { argon2: CHEAP_ARGON2 })
      await made.storage.put(`keys/${passphrase}`, Buffer.from(slot))
    }
    for (const passphrase of [TEST_PASSPHRASE, 'second', 'third'])
      assert.deepEqual(await unlock(made, passphrase), master)
    await assert.rejects(unlock(made, 'fourth'), { code: 'WRONG_PASSWORD' })
  })
})

describe('a key file', () => {
  it('that is missing, foreign or damaged is named', async () => {
    const made = await newTestRepository({ encryption: 'keyfile' })
    const { keyFiles, repository } = made
    const name = new RegExp(`memory/${repository.id}\\.key`)
    const text = keyFiles.files.get(repository.id) ?? ''

    keyFiles.files.clear()
    await assert.rejects(unlock(made, TEST_PASSPHRASE), { code: 'WRONG_PASSWORD', message: name })

    const master = Buffer.alloc(32)
    const foreign = await wrapKeyRing(master, 'f'.repeat(32) as RepositoryId, TEST_PASSPHRASE, {
      argon2: CHEAP_ARGON2,
    })
    keyFiles.files.set(repository.id, foreign)
    await assert.rejects(unlock(made, TEST_PASSPHRASE), {
      code: 'WRONG_PASSWORD',
      message: /belongs to repository f{32}/,
    })

    for (const damage of ['', text.slice(1), text.slice(0, -5), '\0'.repeat(text.length)]) {
      keyFiles.files.set(repository.id, damage)
      await assert.rejects(unlock(made, TEST_PASSPHRASE), { code: 'DATA_CORRUPT', message: name })
    }
    keyFiles.files.set(repository.id, withField(text, 'cairn_key', 2).toString())
    await assert.rejects(unlock(made, TEST_PASSPHRASE), { code: 'FORMAT_UNSUPPORTED', message: name })
  })

  it('without passphrase that does not open is called damaged, not locked', async () => {
    const made = await newTestRepository({ encryption: 'keyfile', passphrase: undefined })
    const text = made.keyFiles.files.get(made.repository.id) ?? ''
    const changed = withField(text, 'salt', Buffer.alloc(32).toString('base64')).toString()
    made.keyFiles.files.set(made.repository.id, changed)
    await assert.rejects(unlock(made), { code: 'DATA_CORRUPT', message: /\.key/ })
  })
})

describe('slots inside the repository', () => {
  it('that are damaged, absurd, foreign or newer do not lock out the owner of another', async () => {
    const made = await newTestRepository()
    const { text } = await onlySlot(made)
    const { storage } = made
    const master = await unlock(made, TEST_PASSPHRASE)
    const foreign = await wrapKeyRing(Buffer.alloc(32, 7), 'f'.repeat(32) as RepositoryId, TEST_PASSPHRASE, {
      argon2: CHEAP_ARGON2,
    })
    // Names before and after that of the good slot, so that some are tried first.
    for (const end of ['', 'zz']) {
      await storage.put(`keys/0${end}`, Buffer.from(foreign))
      await storage.put(`keys/1${end}`, Buffer.from(text.slice(0, 40)))
      await storage.put(`keys/2${end}`, withField(text, 'cairn_key', 9))
      await storage.put(`keys/3${end}`, withField(text, 'kdf', { name: 'argon3', memoryKiB: 8 }))
      await storage.put(
        `keys/4${end}`,
        withField(text, 'kdf', { name: 'argon2id', memoryKiB: 2 ** 40, passes: 1, parallelism: 1 }),
      )
      await storage.put(`keys/5${end}`, Buffer.alloc(0))
    }
    assert.deepEqual(await unlock(made, TEST_PASSPHRASE), master)
    assert.deepEqual(await unlock(made, 'wrong', TEST_PASSPHRASE), master)
    await assert.rejects(unlock(made, 'wrong'), { code: 'WRONG_PASSWORD' })
  })

  it('of which none can be read are named, or said to be missing', async () => {
    const made = await newTestRepository()
    const { key, text } = await onlySlot(made)
    await made.storage.put(key, Buffer.from(text.slice(0, -9)))
    await assert.rejects(unlock(made, TEST_PASSPHRASE), {
      code: 'WRONG_PASSWORD',
      message: /no readable key under keys\//,
    })
    await made.storage.put(key, withField(text, 'cairn_key', 2))
    await assert.rejects(unlock(made, TEST_PASSPHRASE), { code: 'FORMAT_UNSUPPORTED', message: new RegExp(key) })
    await made.storage.put(key, withField(text, 'kdf', { name: 'argon2id', memoryKiB: 1, passes: 1, parallelism: 1 }))
    await assert.rejects(unlock(made, TEST_PASSPHRASE), { code: 'DATA_CORRUPT', message: new RegExp(key) })
    await made.storage.delete(key)
    await assert.rejects(unlock(made, TEST_PASSPHRASE), {
      code: 'WRONG_PASSWORD',
      message: /no readable key under keys\//,
    })
  })

  it('with any bit flipped open nothing but the right master key', async () => {
    const made = await newTestRepository()
    const slot = await onlySlot(made)
    const { key } = slot
    const text = withField(slot.text, 'notes', undefined).toString() // they are for lists, and checked there
    const master = await unlock(made, TEST_PASSPHRASE)
    let opened = 0
    for (let bit = 0; bit < text.length * 8; bit++) {
      const bytes = Buffer.from(text)
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
      await made.storage.put(key, bytes)
      await unlock(made, TEST_PASSPHRASE).then(
        (found) => {
          opened++
          assert.deepEqual(found, master, `bit ${bit}`)
        },
        (error: { code: string; message: string }) =>
          assert.ok(['WRONG_PASSWORD', 'DATA_CORRUPT', 'FORMAT_UNSUPPORTED'].includes(error.code), error.message),
      )
    }
    assert.ok(opened < 40, `${opened} flips changed nothing: want only those of white space and base64 padding`)
  })

  it('pass on what the store answers', async () => {
    const made = await newTestRepository()
    const storage = new FaultyStorage(made.storage)
    storage.fail({ kind: 'get', prefix: 'keys/' })
    await assert.rejects(unlock({ ...made, storage }, TEST_PASSPHRASE), { code: 'STORAGE_UNAVAILABLE' })
  })
})

/** The config with other fields, hashed under the key of `master`. */
async function exchangeConfig(made: TestRepository, fields: object, master: Uint8Array): Promise<void> {
  const { config } = decodeConfig(await made.storage.get('config'))
  const forged = { ...config, ...fields }
  await made.storage.put('config', encodeConfig(forged, deriveRepositoryKeys(master, forged.cipher).config))
}

describe('a config that was exchanged', () => {
  it('for one that says keyfile does not open with the slots of the repository', async () => {
    const made = await newTestRepository()
    const attacker = Buffer.alloc(32, 1)
    await exchangeConfig(made, { encryption: 'keyfile' }, attacker)
    await assert.rejects(openRepository(made.storage, { keyFiles: made.keyFiles, askPassphrase: neverAsk }), {
      code: 'WRONG_PASSWORD',
    })
  })

  it('is refused when its hash is not under the master key', async () => {
    const made = await newTestRepository()
    const options = { keyFiles: new MemoryKeyFiles(), askPassphrase: answerOnce(TEST_PASSPHRASE) }
    for (const fields of [{ createdAt: 'never' }, { cipher: 'chacha20-poly1305' as const }]) {
      await exchangeConfig(made, fields, Buffer.alloc(32, 1))
      await assert.rejects(openRepository(made.storage, options), { code: 'DATA_CORRUPT', message: /'config'/ })
    }
  })

  it('is missing from a place that is no repository', async () => {
    const options = { keyFiles: new MemoryKeyFiles(), askPassphrase: neverAsk }
    await assert.rejects(openRepository(new MemoryStorage(), options), { code: 'REPOSITORY_NOT_FOUND' })
  })
})
