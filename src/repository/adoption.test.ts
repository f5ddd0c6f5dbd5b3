/** What a run that ended badly had stored is taken over by the next one. */
import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { fixedClock } from '../base/clock.ts'
import { type PackId, type SessionId, toHex } from '../base/ids.ts'
import { testBytes } from '../chunker/testing.ts'
import { blake3 } from '../codec/hash.ts'
import { MemoryStorage } from '../storage/memory/memory-storage.ts'
import type { Storage } from '../storage/storage.ts'
import { type CrashPoint, FaultyStorage } from '../storage/testing.ts'
import { loadPackTable } from './pack/load-pack-table.ts'
import { packData, packKey, readPackTable } from './pack/pack-format.ts'
import type { Repository } from './repository.ts'
import { HEADER_BYTES, openHeader } from './sealed-object.ts'
import { putCondemned } from './sessions/condemned.ts'
import { SILENCE_MS, encodeSession, ownSession } from './sessions/open-session.ts'
import { type TestRepository, commitChunks, keysOf, newTestRepository, reopen, saveChunks } from './testing.ts'
import { WriteSession } from './write-session.ts'

const OLD = ['old 1', 'old 2'].map((text) => Buffer.from(text))
/** What a run saves, pack by pack; in each something that is there already. */
const PARTS = [
  ['old 2', 'new 1'],
  ['new 2', 'new 3'],
  ['new 1', 'new 4'],
].map((part) => part.map((text) => Buffer.from(text)))

interface Subject extends TestRepository {
  readonly inner: MemoryStorage
  readonly faulty: FaultyStorage
  readonly oldIds: readonly Uint8Array[]
  /** Lets so much time pass that whoever has not put its session object since is taken for dead. */
  silence(): void
}

async function prepare(encryption: 'repokey' | 'none' = 'none'): Promise<Subject> {
  const clock = fixedClock(Date.UTC(2026, 10, 1))
  const inner = new MemoryStorage({ clock })
  const made = await newTestRepository({ storage: inner, encryption })
  const { ids } = await commitChunks(made.repository, OLD, 'old')
  const faulty = new FaultyStorage(inner)
  return {
    ...made,
    repository: await reopen(made, faulty),
    inner,
    faulty,
    oldIds: ids,
    silence: () => clock.set(clock.now() + SILENCE_MS + 1),
  }
}

/** Saves the parts, each in a pack of its own, the first of which is named in an index object before the others are stored. */
async function saveParts(repository: Repository, session: WriteSession): Promise<Uint8Array[]> {
  const ids: Uint8Array[] = []
  for (const [i, part] of PARTS.entries()) {
    const kind = i === 1 ? 'treePack' : 'dataPack'
    ids.push(
      ...(await saveChunks(repository, session, part, { kind, compression: { name: 'none', level: undefined } })),
    )
    if (i === 0) await session.flushIndex()
  }
  return ids
}

/** A whole run, which tidies up after itself when it fails. */
async function run(repository: Repository): Promise<void> {
  const session = await WriteSession.open(repository)
  try {
    await saveParts(repository, session)
    await session.commit({ run: 'new' })
  } catch (error) {
    await session.abandon()
    throw error
  }
}

/** The chunks in all packs that are whole, by hex id; packs by id. */
async function wholePacks(storage: Storage, { keys }: Repository): Promise<Map<string, string[]>> {
  const packs = new Map<string, string[]>()
  for (const key of await keysOf(storage, 'packs/')) {
    const id = key.slice('packs/xx/'.length) as PackId
    const bytes = await storage.get(key)
    if (toHex(blake3(bytes)) !== id) continue
    const { table } = await loadPackTable(storage, keys, id, bytes.length)
    const ids = Array.from(readPackTable(table, bytes.length, id), (segment) =>
      Array.from({ length: segment.chunks }, (_, i) => toHex(segment.ids.subarray(i * 32, i * 32 + 32))),
    )
    packs.set(id, ids.flat())
  }
  return packs
}

/** Runs once more on this store, and checks that it stores nothing that lies there wholly, and that all can be read then. */
async function assertResumes(subject: Subject, storage: MemoryStorage, what: string): Promise<WriteSession> {
  const before = await wholePacks(storage, subject.repository)
  const repository = await reopen(subject, storage)
  const session = await WriteSession.open(repository)
  const ids = await saveParts(repository, session)
  await session.commit({ run: 'next' })
  const stored = await wholePacks(storage, repository)
  const twice = session.packs.flatMap(({ id }) =>
    (stored.get(id) ?? []).filter((chunk) => [...before.values()].some((chunks) => chunks.includes(chunk))),
  )
  assert.deepEqual(twice, [], `${what}: chunks were uploaded twice`)

  const after = await reopen(subject, storage)
  await after.loadIndex()
  for (const [i, id] of subject.oldIds.entries()) assert.deepEqual(Buffer.from(await after.readChunk(id)), OLD[i], what)
  for (const [i, id] of ids.entries()) assert.deepEqual(Buffer.from(await after.readChunk(id)), PARTS.flat()[i], what)
  for (const id of before.keys())
    assert.ok(
      after.index.packs.some((pack) => pack.id === id),
      `${what}: ${id} is lost`,
    )
  assert.equal(new Set(after.index.packs.map(({ id }) => id)).size, after.index.packs.length)
  // And then there is nothing left to do.
  const idle = await WriteSession.open(await reopen(subject, storage))
  assert.deepEqual(idle.adopted, { packs: 0, bytes: 0 }, what)
  await idle.abandon()
  return session
}

async function countMutations(): Promise<number> {
  const { faulty, repository } = await prepare()
  await run(repository)
  return faulty.countMutations()
}

describe('after a run that was killed', () => {
  it('at any operation, the next one stores nothing twice, and everything older can be read', async () => {
    const mutations = await countMutations()
    assert.equal(mutations, 8) // session, pack, index, two packs, index, commit, end of session
    for (let nth = 1; nth <= mutations; nth++) {
      for (const point of ['before', 'after', 'torn'] as readonly CrashPoint[]) {
        const subject = await prepare(nth % 2 === 0 ? 'repokey' : 'none')
        subject.faulty.crashAt(nth, point)
        await run(subject.repository).catch(() => undefined)
        assert.ok(subject.faulty.crashed)
        subject.silence()
        const storage = subject.inner.clone()
        const isCommitted = (await keysOf(storage, 'commits/')).length > 1
        const session = await assertResumes(subject, storage, `crash ${point} operation ${nth}`)
        if (isCommitted) assert.equal(session.adopted.packs, 0)
        // A run that had committed keeps its session object: whether its own hand closed it is for reclamation to know.
        assert.equal(
          (await keysOf(storage, 'sessions/')).length,
          isCommitted && !(nth === 8 && point !== 'before') ? 1 : 0,
        )
      }
    }
  })

  it('so does the one after the next, when the next one is killed too, at any operation', async () => {
    const killed = await prepare()
    killed.faulty.crashAt(6, 'after') // index is still missing for two packs
    await run(killed.repository).catch(() => undefined)
    killed.silence()
    for (let nth = 1; nth <= 7; nth++) {
      for (const point of ['before', 'after'] as const) {
        for (const abandons of [false, true]) {
          const inner = killed.inner.clone()
          const faulty = new FaultyStorage(inner)
          if (abandons) faulty.fail({ kind: 'putIfAbsent', prefix: 'commits/', nth: 2, times: Infinity })
          else faulty.crashAt(nth, point)
          await run(await reopen(killed, faulty)).catch(() => undefined)
          killed.silence()
          await assertResumes(killed, inner.clone(), `crash ${point} operation ${nth}`)
        }
      }
    }
  })
})

describe('a run that fails', () => {
  it('names what it stored before it goes, so that nobody has to look for it', async () => {
    const subject = await prepare()
    const session = await WriteSession.open(subject.repository)
    await saveParts(subject.repository, session)
    await session.abandon()
    assert.deepEqual(await keysOf(subject.inner, 'sessions/'), [])
    const faulty = new FaultyStorage(subject.inner.clone())
    const next = await WriteSession.open(await reopen(subject, faulty))
    assert.deepEqual(next.adopted.packs, 3)
    assert.equal(faulty.count({ kind: 'list', prefix: 'packs/' }), 3) // one look at each
    assert.equal(faulty.count({ kind: 'get', prefix: 'packs/' }), 0)
    await assertResumes(subject, subject.inner.clone(), 'abandoned')
  })

  it('names it also when its signal is what ended it', async () => {
    const subject = await prepare()
    const abort = new AbortController()
    const session = await WriteSession.open(subject.repository, { signal: abort.signal })
    await saveParts(subject.repository, session)
    abort.abort()
    await assert.rejects(session.commit({}), { code: 'CANCELLED' })
    await session.abandon()
    await session.abandon()
    assert.deepEqual(await keysOf(subject.inner, 'sessions/'), [])
    assert.equal((await assertResumes(subject, subject.inner.clone(), 'cancelled')).adopted.packs, 3)
  })

  it('waits for packs on their way, and takes no more', async () => {
    const subject = await prepare()
    const session = await WriteSession.open(subject.repository)
    const saving = saveChunks(subject.repository, session, [Buffer.from('late')])
    while (subject.faulty.count({ kind: 'put', prefix: 'packs/' }) === 0) await setImmediate()
    const abandoned = session.abandon()
    await Promise.all([saving, abandoned])
    assert.equal((await keysOf(subject.inner, `index/${session.id}-`)).length, 1)
    await assert.rejects(saveChunks(subject.repository, session, [Buffer.from('too late')]), { code: 'CANCELLED' })
  })

  it('leaves its session object when it cannot name what it stored, and the next run finds the packs', async () => {
    const subject = await prepare()
    subject.faulty.fail({ kind: 'put', prefix: 'index/', times: Infinity })
    await assert.rejects(run(subject.repository), { code: 'STORAGE_UNAVAILABLE' })
    assert.equal((await keysOf(subject.inner, 'sessions/')).length, 1)
    subject.silence()
    const session = await assertResumes(subject, subject.inner.clone(), 'nothing was named')
    assert.equal(session.adopted.packs, 1)
  })

  it('does not name again what an earlier run has named', async () => {
    const subject = await prepare()
    const session = await WriteSession.open(subject.repository)
    await saveParts(subject.repository, session)
    await session.abandon()
    const before = await keysOf(subject.inner, 'index/')
    for (let i = 0; i < 3; i++) {
      const next = await WriteSession.open(await reopen(subject))
      assert.equal(next.adopted.packs, 3)
      await next.abandon()
    }
    assert.deepEqual(await keysOf(subject.inner, 'index/'), before)
  })
})

/** Stores the parts, the last two packs named nowhere, and dies. */
async function dieWithStrays(subject: Subject): Promise<WriteSession> {
  const session = await WriteSession.open(subject.repository)
  await saveParts(subject.repository, session)
  return session
}

describe('adoption', () => {
  it('lists packs only when a run is found dead', async () => {
    const subject = await prepare()
    await dieWithStrays(subject)
    const lists = async (): Promise<number> => {
      const faulty = new FaultyStorage(subject.inner.clone())
      await WriteSession.open(await reopen(subject, faulty))
      return faulty.operations.filter(({ kind, key }) => kind === 'list' && key === 'packs/').length
    }
    assert.equal(await lists(), 0) // it may be alive
    subject.silence()
    assert.equal(await lists(), 1)
  })

  it('reads in the order that its safety rests on', async () => {
    const subject = await prepare()
    const dead = await dieWithStrays(subject)
    subject.silence()
    const faulty = new FaultyStorage(subject.inner)
    const session = await WriteSession.open(await reopen(subject, faulty))
    const steps = faulty.operations.map(({ kind, key }) =>
      `${kind} ${key}`
        .replace(/ (\w+\/).*/, ' $1')
        .replace('commits/', key === `commits/${dead.id}` ? 'dead' : 'commits/'),
    )
    const at = steps.indexOf('put sessions/')
    assert.deepEqual(
      steps.slice(at).filter((step, i, all) => step !== all[i - 1]),
      [
        'put sessions/',
        'list condemned/',
        'list sessions/',
        'get sessions/',
        'putIfAbsent dead',
        'list packs/',
        'list commits/',
        'list index/',
        'get index/',
        'list commits/',
        'get packs/',
        'persist packs/',
        'delete sessions/',
      ],
    )
    assert.equal(session.adopted.packs, 3)
    assert.equal(session.packs.length, 0)
    assert.equal(session.storedBytes, 0)
    assert.deepEqual(await keysOf(subject.inner, 'sessions/'), [`sessions/${session.id}`])
  })

  it('makes a zombie fail at its commit, and what it stores afterwards is found too', async () => {
    const subject = await prepare()
    const zombie = await dieWithStrays(subject)
    subject.silence()
    await assertResumes(subject, subject.inner, 'fenced')
    await saveChunks(subject.repository, zombie, [Buffer.from('of the zombie')])
    await assert.rejects(zombie.commit({ run: 'zombie' }), { code: 'SESSION_FENCED' })
    await zombie.abandon()
    assert.deepEqual(await keysOf(subject.inner, 'sessions/'), [])
    const repository = await reopen(subject, subject.inner)
    const next = await WriteSession.open(repository)
    assert.equal(next.adopted.packs, 1)
    await saveChunks(repository, next, [Buffer.from('of the zombie')])
    assert.equal(next.packs.length, 0)
    await next.commit({})
  })

  it('touches nothing of a run that committed and died before it closed its session', async () => {
    const subject = await prepare()
    subject.faulty.fail({ kind: 'delete', prefix: 'sessions/' })
    await run(subject.repository)
    subject.silence()
    const before = await keysOf(subject.inner)
    const session = await WriteSession.open(await reopen(subject, subject.inner))
    assert.equal(session.adopted.packs, 0)
    await session.abandon()
    assert.deepEqual(await keysOf(subject.inner), before)
  })

  it('leaves alone packs that may be of a run that is alive, and comes back for them', async () => {
    const subject = await prepare()
    const dead = await dieWithStrays(subject)
    subject.silence()
    // Alive elsewhere since before the dead one began, by its own word.
    const living = 'abcdef'.repeat(5).padEnd(32, '0') as SessionId
    const { keys } = subject.repository
    const record = (startedAtMs: number): Buffer =>
      encodeSession(keys, living, { ...ownSession(startedAtMs), host: 'elsewhere' })
    await subject.inner.put(`sessions/${living}`, record(0))
    const first = await WriteSession.open(await reopen(subject, subject.inner))
    assert.equal(first.adopted.packs, 1) // which the dead run had named itself
    await first.abandon()
    assert.ok((await keysOf(subject.inner, 'sessions/')).includes(`sessions/${dead.id}`))
    // It began after the dead one had stored them: they are not its own.
    await subject.inner.put(`sessions/${living}`, record(Date.UTC(2026, 10, 2)))
    const second = await WriteSession.open(await reopen(subject, subject.inner))
    assert.equal(second.adopted.packs, 3)
    await second.abandon()
    assert.deepEqual(await keysOf(subject.inner, 'sessions/'), [`sessions/${living}`])
  })

  it('is not stopped by damaged or foreign objects, and takes no pack that is not whole', async () => {
    const subject = await prepare('repokey')
    const dead = await dieWithStrays(subject)
    subject.silence()
    const { inner } = subject
    const strays = (await keysOf(inner, 'packs/')).slice()
    const [named] = await keysOf(inner, `index/${dead.id}-`)
    const old = new Set((await oldPacks(subject)).map((id) => `packs/${id.slice(0, 2)}/${id}`))
    for (const key of strays.filter((key) => !old.has(key))) {
      const bytes = await inner.get(key)
      const damages = [
        bytes.subarray(0, bytes.length - 1),
        bytes.subarray(0, bytes.length >> 1),
        bytes.subarray(0, 30),
        new Uint8Array(),
        Buffer.concat([bytes, Buffer.alloc(1)]),
        flipped(bytes, 2),
        flipped(bytes, 20),
        flipped(bytes, bytes.length - 1),
        flipped(bytes, bytes.length - 4),
        flipped(bytes, bytes.length - 30),
      ]
      for (const damaged of damages) {
        const storage = inner.clone()
        // Without its index object every pack of the dead run has to be read.
        await storage.delete(named as string)
        await storage.put(key, damaged)
        const session = await WriteSession.open(await reopen(subject, storage))
        assert.equal(session.adopted.packs, 2, key)
        await session.commit({})
      }
    }
    await inner.put('sessions/foreign', Buffer.from('x'))
    await inner.put(`sessions/${'e'.repeat(32)}`, Buffer.from('damaged'))
    await inner.put(`index/${'e'.repeat(32)}-0-${'e'.repeat(64)}`, Buffer.from('damaged'))
    await inner.put(`packs/ff/${'e'.repeat(64)}`, Buffer.from('in the wrong folder'))
    await inner.put('packs/ff/foreign', Buffer.from('x'))
    subject.silence()
    assert.equal((await WriteSession.open(await reopen(subject, inner))).adopted.packs, 3)
  })

  it('takes of what an index object names only packs that are there with the right size', async () => {
    const subject = await prepare()
    const failed = await WriteSession.open(subject.repository)
    await saveParts(subject.repository, failed)
    await failed.abandon()
    const first = packKey(failed.packs[0]?.id ?? '')
    const bytes = await subject.inner.get(first)
    for (const found of [undefined, bytes.subarray(1), Buffer.concat([bytes, bytes]), new Uint8Array()]) {
      const storage = subject.inner.clone()
      if (found) await storage.put(first, found)
      else await storage.delete(first)
      const session = await WriteSession.open(await reopen(subject, storage))
      assert.equal(session.adopted.packs, 2)
      await session.abandon()
      // Also where all packs are listed.
      await storage.put(`sessions/${'e'.repeat(32)}`, Buffer.from('somebody who died'))
      subject.silence()
      assert.equal((await WriteSession.open(await reopen(subject, storage))).adopted.packs, 2)
    }
  })

  it('takes nothing that a run names which is open', async () => {
    const subject = await prepare()
    const open = await dieWithStrays(subject)
    await open.flushIndex()
    const session = await WriteSession.open(await reopen(subject, subject.inner))
    assert.equal(session.adopted.packs, 0)
    await session.abandon()
    await open.abandon()
    assert.equal((await WriteSession.open(await reopen(subject, subject.inner))).adopted.packs, 3)
  })

  it('takes no pack that is about to be deleted, and stops where that cannot be told', async () => {
    const subject = await prepare()
    await dieWithStrays(subject)
    subject.silence()
    const packs = (await keysOf(subject.inner, 'packs/')).map((key) => key.slice('packs/xx/'.length) as PackId)
    await putCondemned(subject.inner, subject.repository.keys, packs, {})
    const session = await WriteSession.open(await reopen(subject, subject.inner))
    assert.equal(session.adopted.packs, 0)
    await session.abandon()
    await subject.inner.put('condemned/1', Buffer.from('x'))
    const before = await keysOf(subject.inner)
    await assert.rejects(WriteSession.open(await reopen(subject, subject.inner)), { code: 'DATA_CORRUPT' })
    assert.deepEqual(await keysOf(subject.inner), before)
  })

  it('heals an index object that is damaged, when a run may go on without it', async () => {
    const subject = await prepare()
    const [key = ''] = await keysOf(subject.inner, 'index/')
    await subject.inner.put(key, flipped(await subject.inner.get(key), 100))
    await subject.inner.put(`sessions/${'e'.repeat(32)}`, Buffer.from('somebody who died'))
    subject.silence()
    const damaged: unknown[] = []
    const repository = await reopen(subject, subject.inner)
    const session = await WriteSession.open(repository, { onDamaged: ({ details }) => damaged.push(details['object']) })
    assert.deepEqual(damaged, [key])
    await session.commit({})
    const after = await reopen(subject, subject.inner)
    await after.loadIndex({ onDamaged: () => undefined })
    for (const [i, id] of subject.oldIds.entries()) assert.deepEqual(Buffer.from(await after.readChunk(id)), OLD[i])
  })
})

async function oldPacks(subject: Subject): Promise<string[]> {
  const repository = await reopen(subject, subject.inner)
  await repository.loadIndex()
  return repository.index.packs.map(({ id }) => id)
}

function flipped(bytes: Uint8Array, offset: number): Uint8Array {
  const changed = Uint8Array.from(bytes)
  changed[offset] = (changed[offset] as number) ^ 1
  return changed
}

/** Saves and commits; whether the run was not fenced. */
async function finish(repository: Repository, session: WriteSession, run: string): Promise<boolean> {
  const ids = await saveChunks(repository, session, [Buffer.from('one'), Buffer.from(run)])
  return session.commit({ run, ids: ids.map(toHex) }).then(
    () => true,
    async (error: { code?: unknown }) => {
      assert.equal(error.code, 'SESSION_FENCED')
      await session.abandon()
      return false
    },
  )
}

describe('runs that adopt the same packs at the same time', () => {
  it('all commit and read, in any order of their operations, with the zombie whose packs they are', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.integer({ min: 1, max: 3 }), async (scheduler, adopters) => {
        const clock = fixedClock(0)
        let scheduled = false
        const storage = new MemoryStorage({
          clock,
          turn: () => (scheduled ? scheduler.schedule(Promise.resolve()) : Promise.resolve()),
        })
        const made = await newTestRepository({ storage, encryption: 'none' })
        const zombieRepository = await reopen(made)
        const zombie = await WriteSession.open(zombieRepository)
        await saveChunks(zombieRepository, zombie, [Buffer.from('one'), Buffer.from('two')])
        clock.set(SILENCE_MS + 1)
        const repositories = await Promise.all(Array.from({ length: adopters }, () => reopen(made)))
        scheduled = true
        const outcomes = await scheduler.waitFor(
          Promise.all([
            finish(zombieRepository, zombie, 'zombie'),
            ...repositories.map(async (repository, i) =>
              finish(repository, await WriteSession.open(repository), `run ${i}`),
            ),
          ]),
        )
        scheduled = false
        assert.deepEqual(outcomes.slice(1), Array(adopters).fill(true))
        const repository = await reopen(made)
        await repository.loadIndex()
        const commits = await repository.loadCommits()
        assert.equal(commits.length, outcomes.filter(Boolean).length)
        for (const { value } of commits) {
          const [one = '', own = ''] = value['ids'] as string[]
          assert.equal(Buffer.from(await repository.readChunk(Buffer.from(one, 'hex'))).toString(), 'one')
          assert.equal(Buffer.from(await repository.readChunk(Buffer.from(own, 'hex'))).toString(), value['run'])
        }
      }),
      { numRuns: 100 },
    )
  })
})

describe('loadPackTable()', () => {
  it('reads tables of any size, in one read or two', async () => {
    const { repository, storage } = await newTestRepository()
    const session = await WriteSession.open(repository)
    for (const count of [1, 100, 4000]) {
      const chunks = Array.from({ length: count }, (_, i) => testBytes(`${count} ${i}`, 40))
      await saveChunks(repository, session, chunks)
    }
    for (const { id, sizeBytes, chunks, header } of session.packs) {
      const read = await loadPackTable(storage, repository.keys, id as PackId, sizeBytes)
      assert.deepEqual([read.id, read.sizeBytes], [id, sizeBytes])
      assert.deepEqual(Buffer.from(read.header), Buffer.from(header))
      const segments = Array.from(readPackTable(read.table, sizeBytes, id))
      assert.equal(
        segments.reduce((sum, segment) => sum + segment.chunks, 0),
        chunks,
      )
    }
    const [pack] = session.packs
    // A table that is genuine, but leaves bytes of the pack unexplained.
    const bytes = Buffer.from(await storage.get(packKey(pack?.id ?? '')))
    const { table, header } = await loadPackTable(storage, repository.keys, pack?.id as PackId, bytes.length)
    const [segment] = readPackTable(table, bytes.length, 'the pack')
    const end = HEADER_BYTES + (segment?.sealedBytes ?? 0)
    const gap = Buffer.alloc(end + 10 + table.length + 20)
    bytes.copy(gap, 0, 0, end)
    const aead = openHeader(header, 'dataPack', repository.keys, 'a pack')
    gap.writeUInt32LE(aead.seal(end + 10, packData(header, 'table'), [table], gap, end + 10), gap.length - 4)
    const wrong = 'e'.repeat(64) as PackId
    await storage.put(packKey(wrong), gap)
    await assert.rejects(loadPackTable(storage, repository.keys, wrong, gap.length), {
      code: 'DATA_CORRUPT',
      message: new RegExp(`pack ${wrong}: of its ${gap.length} bytes its table accounts for ${gap.length - 10}`),
    })
    await assert.rejects(loadPackTable(storage, repository.keys, 'f'.repeat(64) as PackId, 1000), { code: 'NOT_FOUND' })
    for (const sizeBytes of [0, 10, 67, (pack?.sizeBytes ?? 0) - 1, 1 << 30])
      await assert.rejects(loadPackTable(storage, repository.keys, pack?.id as PackId, sizeBytes), {
        code: 'DATA_CORRUPT',
        message: new RegExp(pack?.id ?? 'no pack'),
      })
  })
})
