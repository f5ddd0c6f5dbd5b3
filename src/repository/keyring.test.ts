import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CairnError } from '../base/errors.ts'
import type { ChunkId } from '../base/ids.ts'
import { MemoryStorage } from '../storage/memory/memory-storage.ts'
import type { Storage } from '../storage/storage.ts'
import { FaultyStorage } from '../storage/testing.ts'
import { Keyring } from './keyring.ts'
import { type Repository, openRepository } from './repository.ts'
import type { KeyFile, KeyFiles } from './slot-store.ts'
import {
  CHEAP_ARGON2,
  MemoryKeyFiles,
  TEST_PASSPHRASE,
  type TestRepository,
  answerOnce,
  commitChunks,
  keysOf,
  newTestRepository,
} from './testing.ts'

type Made = Pick<TestRepository, 'storage'> & { readonly keyFiles: KeyFiles }

async function openKeys(made: Made, passphrase = TEST_PASSPHRASE): Promise<Keyring> {
  const { keyFiles } = made
  return Keyring.open(made.storage, { keyFiles, askPassphrase: answerOnce(passphrase), argon2: CHEAP_ARGON2 })
}

async function open(made: Made, passphrase = TEST_PASSPHRASE): Promise<Repository> {
  return openRepository(made.storage, { keyFiles: made.keyFiles, askPassphrase: answerOnce(passphrase) })
}

async function opens(made: Made, ...passphrases: string[]): Promise<void> {
  for (const passphrase of passphrases) await open(made, passphrase)
}

async function opensNot(made: Made, ...passphrases: string[]): Promise<void> {
  for (const passphrase of passphrases) await assert.rejects(open(made, passphrase), { code: 'WRONG_PASSWORD' })
}

async function expectChunk(repository: Repository, id: ChunkId, text: string): Promise<void> {
  assert.equal(Buffer.from(await repository.readChunk(id)).toString(), text)
}

/** The generation that sealed an object. */
async function generationOf(storage: Storage, key: string): Promise<number> {
  return Number(Buffer.from(await storage.get(key)).readBigUInt64LE(8))
}

describe('Keyring', () => {
  for (const encryption of ['repokey', 'keyfile'] as const) {
    it(`adds, lists, exchanges and removes slots (${encryption})`, async () => {
      const made = await newTestRepository({ encryption })
      const keys = await openKeys(made)
      const added = await keys.add({ passphrase: 'second', label: 'Käthe\u001B[31m' })
      await opens(made, TEST_PASSPHRASE, 'second')
      const [first, second, ...others] = await keys.list()
      assert.deepEqual(others, [])
      assert.deepEqual([first?.isOpened, first?.label, first?.kind, first?.state], [true, '', 'passphrase', 'usable'])
      assert.equal(first?.createdAt, '2026-11-01T00:00:00.000Z')
      assert.deepEqual(second, added)
      assert.equal(second?.label, 'Käthe\u001B[31m')

      const changed = await (await openKeys(made, 'second')).changePassphrase('third')
      assert.equal(changed.label, 'Käthe\u001B[31m')
      await opens(made, TEST_PASSPHRASE, 'third')
      await opensNot(made, 'second')

      const third = await openKeys(made, 'third')
      assert.equal((await third.list()).find(({ isOpened }) => isOpened)?.id, changed.id)
      await assert.rejects(third.remove(changed.id), { code: 'INVALID_ARGUMENT', message: /was opened with it/ })
      await assert.rejects(third.remove('f0f0'), { code: 'NOT_FOUND' })
      await assert.rejects(third.remove(''), { code: 'NOT_FOUND' })
      assert.equal((await third.remove(first?.id.slice(0, 12) ?? '')).id, first?.id)
      await opensNot(made, TEST_PASSPHRASE)
      await opens(made, 'third')
      assert.equal((await third.list()).length, 1)
    })
  }

  it('gives a key file whose passphrase was changed its known place', async () => {
    const made = await newTestRepository({ encryption: 'keyfile', passphrase: undefined })
    const { id } = made.repository
    await (await openKeys(made)).changePassphrase('new')
    assert.deepEqual([...made.keyFiles.files.keys()], [id])
    await opens(made, 'new')
    await (await openKeys(made, 'new')).changePassphrase(undefined)
    const options = { keyFiles: made.keyFiles, askPassphrase: async () => assert.fail('asked') }
    await openRepository(made.storage, options)
    await (await openKeys(made)).add({ passphrase: 'second' })
    await openRepository(made.storage, options) // beside a file that needs one
    made.keyFiles.files.delete(id)
    await opens(made, 'second')
    await opensNot(made, 'first')
  })

  it('adds nothing when it cannot know whether the key was rotated', async () => {
    const made = await newTestRepository()
    const before = await keysOf(made.storage)
    const storage = new FaultyStorage(made.storage)
    const keys = await openKeys({ ...made, storage })
    storage.fail({ kind: 'list', prefix: 'generations/', times: Infinity })
    await assert.rejects(keys.add({ passphrase: 'x' }), { code: 'STORAGE_UNAVAILABLE' })
    assert.deepEqual(await keysOf(made.storage), before)
  })

  it('has nothing to do with an unencrypted repository', async () => {
    const made = await newTestRepository({ encryption: 'none' })
    await assert.rejects(openKeys(made), { code: 'INVALID_ARGUMENT', message: /without encryption/ })
  })

  it('puts no slot without passphrase into a repository', async () => {
    const made = await newTestRepository()
    const before = await keysOf(made.storage)
    const keys = await openKeys(made)
    await assert.rejects(keys.add({ passphrase: undefined }), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(keys.changePassphrase(undefined), { code: 'INVALID_ARGUMENT' })
    assert.deepEqual(await keysOf(made.storage), before)
  })

  it('does not open, and changes nothing, with a wrong passphrase', async () => {
    const made = await newTestRepository()
    const before = await keysOf(made.storage)
    await assert.rejects(openKeys(made, 'wrong'), { code: 'WRONG_PASSWORD' })
    assert.deepEqual(await keysOf(made.storage), before)
  })

  it('shows damaged, foreign and changed slots for what they are, and can remove them', async () => {
    const made = await newTestRepository()
    const { storage } = made
    await (await openKeys(made)).add({ passphrase: 'second', label: 'second' })
    const keys = await openKeys(made)
    const second = (await keys.list()).find(({ label }) => label === 'second')
    assert.ok(second)
    const fields = JSON.parse(Buffer.from(await storage.get(second.where)).toString()) as Record<string, unknown>
    const first = (await keys.list()).find(({ isOpened }) => isOpened)
    const notesOfFirst = JSON.parse(Buffer.from(await storage.get(first?.where ?? '')).toString()) as typeof fields
    await storage.put(second.where, Buffer.from(JSON.stringify({ ...fields, notes: notesOfFirst['notes'] })))
    await storage.put(`keys/${'a'.repeat(32)}`, Buffer.from('{'))
    await storage.put(`keys/${'b'.repeat(32)}`, Buffer.from(JSON.stringify({ ...fields, repository: 'f'.repeat(32) })))
    await storage.put(`keys/${'c'.repeat(32)}`, Buffer.from(JSON.stringify({ ...fields, kdf: { name: 'none' } })))
    const states = new Map((await keys.list()).map(({ id, state, label }) => [id, `${state} ${label}`]))
    assert.equal(states.get(second.id), 'usable ') // notes of another slot say nothing
    for (const letter of 'abc') assert.equal(states.get(letter.repeat(32)), 'damaged ')
    await assert.rejects((await openKeys(made, 'second')).remove('0'.repeat(32)), { code: 'NOT_FOUND' })
    for (const letter of 'abc') await keys.remove(letter.repeat(32))
    assert.equal((await keys.list()).length, 2)
  })

  it('does not exchange a recovery key for a passphrase', async () => {
    const made = await newTestRepository()
    await (await openKeys(made)).add({ passphrase: 'recover', isRecovery: true })
    const keys = await openKeys(made, 'recover')
    assert.equal(keys.opened.kind, 'recovery')
    await assert.rejects(keys.changePassphrase('x'), { code: 'INVALID_ARGUMENT', message: /key add/ })
  })

  it('leaves a slot when two runs remove each other’s at the same time', async () => {
    for (let delay = 0; delay < 12; delay++) {
      const made = await newTestRepository()
      const one = await openKeys(made)
      await one.add({ passphrase: 'second' })
      const two = await openKeys(made, 'second')
      const late = async (): Promise<unknown> => {
        for (let turn = 0; turn < delay; turn++) await new Promise(setImmediate)
        return two.remove(one.opened.id)
      }
      await Promise.allSettled([one.remove(two.opened.id), late()])
      const left = await keysOf(made.storage, 'keys/')
      assert.ok(left.length > 0, `delay ${delay}`)
      await Promise.any([open(made), open(made, 'second')])
    }
  })
})

describe('Keyring.rotate()', () => {
  for (const encryption of ['repokey', 'keyfile'] as const) {
    it(`seals under a new key what is new, and reads what is old (${encryption})`, async () => {
      const made = await newTestRepository({ encryption })
      const { storage } = made
      const before = await commitChunks(await loaded(made), [Buffer.from('old')])
      const packsBefore = new Set(await keysOf(storage, 'packs/'))
      const rotated = await (await openKeys(made)).rotate()
      assert.deepEqual([rotated.isOpened, rotated.state], [true, 'usable'])
      if (encryption === 'keyfile') assert.deepEqual([...made.keyFiles.files.keys()], [made.repository.id])

      const repository = await loaded(made)
      await expectChunk(repository, before.ids[0] as ChunkId, 'old')
      const after = await commitChunks(repository, [Buffer.from('old'), Buffer.from('new')])
      assert.deepEqual(after.ids[0], before.ids[0]) // found again, and not stored again
      const packs = (await keysOf(storage, 'packs/')).filter((key) => !packsBefore.has(key))
      assert.equal(packs.length, 1)
      for (const key of [...packs, ...(await keysOf(storage, `commits/${after.session.id}`))])
        assert.equal(await generationOf(storage, key), 1)
      for (const key of packsBefore) assert.equal(await generationOf(storage, key), 0)
      await expectChunk(await loaded(made), after.ids[1] as ChunkId, 'new')

      await (await openKeys(made)).rotate()
      const third = await loaded(made)
      await expectChunk(third, before.ids[0] as ChunkId, 'old')
      await expectChunk(third, after.ids[1] as ChunkId, 'new')
      assert.deepEqual(await keysOf(storage, 'generations/'), ['generations/1', 'generations/2'])
      assert.equal((await (await openKeys(made)).list()).length, 1)
    })
  }

  it('plans to remove, and removes, all other slots', async () => {
    const made = await newTestRepository()
    await (await openKeys(made)).add({ passphrase: 'second', label: 'two' })
    await made.storage.put(`keys/${'a'.repeat(32)}`, Buffer.from('{'))
    const keys = await openKeys(made)
    assert.deepEqual(
      (await keys.planRotation()).map(({ label }) => label),
      ['two'],
    )
    await keys.rotate()
    await opens(made, TEST_PASSPHRASE)
    await opensNot(made, 'second')
    assert.deepEqual((await (await openKeys(made)).list()).map(({ state }) => state).sort(), ['damaged', 'usable'])
  })

  it('locks out who kept an old slot, whatever he puts back', async () => {
    const made = await newTestRepository()
    const { storage } = made
    const [old = ''] = await keysOf(storage, 'keys/')
    const text = await storage.get(old)
    await (await openKeys(made)).changePassphrase('changed')
    await (await openKeys(made, 'changed')).rotate()
    await storage.put(old, text)
    await assert.rejects(open(made), { code: 'WRONG_PASSWORD', message: /from before/ })
    await assert.rejects(openKeys(made), { code: 'WRONG_PASSWORD' })
    // Without the generation's object too, who opens by the new slot seals under the new key, and puts the object back.
    await storage.delete('generations/1')
    const repository = await loaded(made, 'changed')
    const { session } = await commitChunks(repository, [Buffer.from('secret')])
    assert.equal(await generationOf(storage, `commits/${session.id}`), 1)
    assert.deepEqual(await keysOf(storage, 'generations/'), ['generations/1'])
    await opensNot(made, TEST_PASSPHRASE)
  })

  it('leaves runs that are open alone: they go on under the old key, and are read by all', async () => {
    const made = await newTestRepository()
    const early = await loaded(made)
    await (await openKeys(made)).rotate()
    const { session, ids } = await commitChunks(early, [Buffer.from('early')])
    assert.equal(await generationOf(made.storage, `commits/${session.id}`), 0)
    const late = await loaded(made)
    await expectChunk(late, ids[0] as ChunkId, 'early')
    const { ids: lateIds } = await commitChunks(late, [Buffer.from('late')])
    await assert.rejects(early.loadIndex(), { message: /generation 1.*rotated since it began, run it again/ })
    await expectChunk(await loaded(made), lateIds[0] as ChunkId, 'late')
  })

  it('refuses what was made of the keys meanwhile, and leaves nothing of it', async () => {
    const made = await newTestRepository()
    const early = await openKeys(made)
    await (await openKeys(made)).rotate()
    const before = await keysOf(made.storage)
    await assert.rejects(early.add({ passphrase: 'x' }), { message: /rotated meanwhile; nothing was changed/ })
    await assert.rejects(early.changePassphrase('x'), { message: /rotated meanwhile/ })
    await assert.rejects(early.rotate(), { message: /rotated meanwhile/ })
    assert.deepEqual(await keysOf(made.storage), before)
    await opens(made, TEST_PASSPHRASE)
  })

  it('happens once when two run at the same time, and no key is lost', async () => {
    for (let delay = 0; delay < 16; delay++) {
      const made = await newTestRepository()
      const { ids } = await commitChunks(await loaded(made), [Buffer.from('old')])
      const [one, two] = [await openKeys(made), await openKeys(made)]
      const late = async (): Promise<unknown> => {
        for (let turn = 0; turn < delay; turn++) await new Promise(setImmediate)
        return two.rotate()
      }
      const outcomes = await Promise.allSettled([one.rotate(), late()])
      assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected'], `delay ${delay}`)
      const repository = await loaded(made)
      await expectChunk(repository, ids[0] as ChunkId, 'old')
      assert.equal((await keysOf(made.storage, 'keys/')).length, 1)
    }
  })

  it('that fails half way is completed by whoever opens the repository next', async () => {
    for (const when of ['before', 'after'] as const) {
      const made = await newTestRepository()
      const storage = new FaultyStorage(made.storage)
      storage.fail({ kind: 'putIfAbsent', prefix: 'generations/', when })
      const keys = await openKeys({ ...made, storage })
      await assert.rejects(keys.rotate(), { code: 'STORAGE_UNAVAILABLE', message: /the next command .* completes it/ })
      await commitChunks(await loaded(made), [Buffer.from(when)])
      assert.deepEqual(await keysOf(made.storage, 'generations/'), ['generations/1'])
      assert.deepEqual((await (await openKeys(made)).list()).map(({ state }) => state).sort(), ['outdated', 'usable'])
    }
  })

  it('that was interrupted does not keep those from reading who may only read', async () => {
    const made = await newTestRepository()
    const { ids } = await commitChunks(await loaded(made), [Buffer.from('old')])
    const storage = new FaultyStorage(made.storage)
    const error = new CairnError('STORAGE_DENIED', 'Cannot put: read only')
    storage.fail({ kind: 'putIfAbsent', times: Infinity, error })
    await assert.rejects((await openKeys({ ...made, storage })).rotate(), { code: 'STORAGE_DENIED' })
    await expectChunk(await loaded({ ...made, storage }), ids[0] as ChunkId, 'old')
  })

  it('names a damaged object of a generation, and trusts none that was put there without a key', async () => {
    const made = await newTestRepository()
    await (await openKeys(made)).rotate()
    const object = Buffer.from(await made.storage.get('generations/1'))
    for (let at = 0; at < object.length; at++) {
      const changed = Buffer.from(object)
      changed[at] = (changed[at] as number) ^ 1
      await made.storage.put('generations/1', changed)
      await assert.rejects(open(made), { code: 'DATA_CORRUPT', message: /generations\/1/ }, `byte ${at}`)
    }
    await made.storage.put('generations/1', object)
    for (const foreign of [object, Buffer.alloc(0)]) {
      await made.storage.put('generations/2', foreign)
      await assert.rejects(open(made), { code: 'DATA_CORRUPT', message: /generations\/2/ })
    }
    await made.storage.put('generations/x', object)
    await made.storage.delete('generations/2')
    await open(made)
  })
})

/** Fails like a process that dies: at the nth change of a file, before or after it, and in everything from then on. */
class DyingKeyFiles implements KeyFiles {
  readonly #inner: MemoryKeyFiles
  readonly #point: 'before' | 'after'
  #left: number

  constructor(inner: MemoryKeyFiles, nth: number, point: 'before' | 'after') {
    this.#inner = inner
    this.#left = nth
    this.#point = point
  }

  get isDead(): boolean {
    return this.#left <= 0
  }

  pathOf(id: string): string {
    return this.#inner.pathOf(id)
  }
  list(id: string): Promise<KeyFile[]> {
    return this.#inner.list(id)
  }
  save(id: string, slot: string): Promise<string> {
    return this.#change(() => this.#inner.save(id, slot))
  }
  remove(file: KeyFile): Promise<void> {
    return this.#change(() => this.#inner.remove(file))
  }
  moveToFront(id: string, path: string): Promise<string> {
    return this.#change(() => this.#inner.moveToFront(id, path))
  }

  async #change<T>(act: () => Promise<T>): Promise<T> {
    const died = new CairnError('INTERNAL', 'Cannot go on: the test ordered a crash')
    if (this.isDead) throw died
    this.#left--
    if (this.isDead && this.#point === 'before') throw died
    const result = await act()
    if (this.isDead) throw died
    return result
  }
}

const CHANGES = {
  'changing the passphrase': (keys: Keyring) => keys.changePassphrase('new'),
  rotating: (keys: Keyring) => keys.rotate(),
  'adding a slot': (keys: Keyring) => keys.add({ passphrase: 'new' }),
}

const WHERE = [
  ['repokey', 'the store'],
  ['keyfile', 'the store'],
  ['keyfile', 'key files'],
] as const

for (const [what, change] of Object.entries(CHANGES)) {
  describe(`a crash while ${what}`, () => {
    for (const [encryption, where] of WHERE) {
      for (const point of ['before', 'after'] as const) {
        it(`loses nothing, ${point} any change of ${where} (${encryption})`, async () => {
          let crashes = 0
          for (let nth = 1; ; nth++) {
            const inner = new MemoryStorage()
            const made = await newTestRepository({ encryption, storage: inner })
            const { ids } = await commitChunks(await loaded(made), [Buffer.from('old')])
            const storage = new FaultyStorage(inner)
            if (where === 'the store') storage.crashAt(nth, point)
            const keyFiles = new DyingKeyFiles(made.keyFiles, where === 'key files' ? nth : Infinity, point)
            const crashed = await openKeys({ storage, keyFiles })
              .then(change)
              .then(
                () => false,
                () => storage.crashed || keyFiles.isDead,
              )
            await expectWhole(made, ids[0] as ChunkId, `crash ${nth}`)
            if (!crashed) break
            crashes++
          }
          const isElsewhere = encryption === 'keyfile' && where === 'the store'
          const expected = isElsewhere ? (what === 'rotating' ? 1 : 0) : what === 'adding a slot' ? 1 : 2
          assert.ok(crashes >= expected, `${crashes} crashes`)
        })
      }
    }
  })
}

/** Opens with the old or the new passphrase, gives everything back, can be written to, and rotated. */
async function expectWhole(made: TestRepository, id: ChunkId, what: string): Promise<void> {
  const passphrase = await open(made).then(
    () => TEST_PASSPHRASE,
    () => 'new',
  )
  const repository = await loaded(made, passphrase)
  await expectChunk(repository, id, 'old')
  const { ids } = await commitChunks(repository, [Buffer.from(`new ${what}`)])
  await (await openKeys(made, passphrase)).rotate()
  const again = await loaded(made, passphrase)
  await expectChunk(again, id, 'old')
  await expectChunk(again, ids[0] as ChunkId, `new ${what}`)
  const states = (await (await openKeys(made, passphrase)).list()).map(({ state }) => state)
  assert.deepEqual(states, ['usable'], what)
}

async function loaded(made: Made, passphrase = TEST_PASSPHRASE): Promise<Repository> {
  const repository = await open(made, passphrase)
  await repository.loadIndex()
  return repository
}
