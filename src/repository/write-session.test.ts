import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { describe, it } from 'node:test'
import { CairnError } from '../base/errors.ts'
import { type PackId, toHex } from '../base/ids.ts'
import { testBytes } from '../chunker/testing.ts'
import { MemoryStorage } from '../storage/memory/memory-storage.ts'
import { type CrashPoint, FaultyStorage } from '../storage/testing.ts'
import { MAX_CHUNKS, PackTableWriter } from './pack/pack-format.ts'
import type { Repository } from './repository.ts'
import { HEARTBEAT_MS } from './sessions/open-session.ts'
import { type TestRepository, commitChunks, keysOf, newTestRepository, reopen, saveChunks } from './testing.ts'
import { WriteSession } from './write-session.ts'

const OLD_CHUNKS = ['old 1', 'old 2'].map((text) => Buffer.from(text))
const NEW_CHUNKS = ['old 2', 'new 1', 'new 2'].map((text) => Buffer.from(text))

/** A repository with one commit, `{ run: 'old' }`, on a store that can be told to fail. */
async function prepare(): Promise<TestRepository & { faulty: FaultyStorage; inner: MemoryStorage; ids: Uint8Array[] }> {
  const inner = new MemoryStorage()
  const made = await newTestRepository({ storage: inner })
  await made.repository.loadIndex()
  const { ids } = await commitChunks(made.repository, OLD_CHUNKS, 'old')
  const faulty = new FaultyStorage(inner)
  return { ...made, storage: faulty, repository: await reopen(made, faulty), faulty, inner, ids }
}

/** A whole run that saves data and tree chunks, and commits `{ run: 'new' }`. */
async function run(repository: Repository): Promise<Uint8Array[]> {
  const session = await WriteSession.open(repository)
  try {
    const ids = [
      ...(await saveChunks(repository, session, NEW_CHUNKS)),
      ...(await saveChunks(repository, session, [Buffer.from('a tree')], { kind: 'treePack' })),
    ]
    await session.commit({ run: 'new' })
    return ids
  } catch (error) {
    await session.abandon()
    throw error
  }
}

/** What a fresh process finds committed. */
async function committedRuns(
  made: Pick<TestRepository, 'keyFiles' | 'storage'>,
  storage = made.storage,
): Promise<unknown[]> {
  const repository = await reopen(made, storage)
  await repository.loadIndex()
  return (await repository.loadCommits()).map(({ value }) => value['run']).sort()
}

async function assertReads(
  repository: Repository,
  ids: readonly Uint8Array[],
  chunks: readonly Uint8Array[],
): Promise<void> {
  for (const [i, id] of ids.entries()) assert.deepEqual(Buffer.from(await repository.readChunk(id)), chunks[i])
}

/** An id that is not a hash, for tables that nobody verifies. */
function numberedId(number: number): Buffer {
  const id = Buffer.alloc(32)
  id.writeUInt32LE(Math.imul(number + 1, 0x9e3779b1) >>> 0, 0) // all over the chunk table
  id.writeUInt32LE(number, 4)
  return id
}

const NEW_WITH_TREE = [...NEW_CHUNKS, Buffer.from('a tree')]

describe('WriteSession', () => {
  it('makes visible what it stored, all at once, when it commits', async () => {
    const made = await prepare()
    const session = await WriteSession.open(made.repository)
    const ids = await saveChunks(made.repository, session, NEW_CHUNKS)
    await session.flushIndex()
    assert.deepEqual(await committedRuns(made), ['old'])
    const before = await reopen(made)
    await before.loadIndex()
    assert.equal(before.addressOf(ids[1] as Uint8Array), undefined)

    await session.commit({ run: 'new' })
    assert.deepEqual(await committedRuns(made), ['new', 'old'])
    const after = await reopen(made)
    await after.loadIndex()
    await assertReads(after, ids, NEW_CHUNKS)
    await assertReads(after, made.ids, OLD_CHUNKS)
  })

  it('goes the steps W1 to W5 in their order', async () => {
    const { faulty, repository } = await prepare()
    await run(repository)
    const steps = faulty.operations.slice(2).map(({ kind, key }) => `${kind} ${key.split('/')[0]}`)
    assert.deepEqual(
      steps.filter((step, i) => step !== steps[i - 1]),
      [
        'get keys',
        'list generations',
        'put sessions',
        'list condemned',
        'list sessions',
        'list commits',
        'list index',
        'get index',
        'list commits',
        'put packs',
        'put index',
        'putIfAbsent commits',
        'delete sessions',
      ],
    )
    assert.equal(faulty.count({ kind: 'put', prefix: 'packs/' }), 2)
  })

  it('stores only chunks that no committed run has', async () => {
    const { repository, storage, ids } = await prepare()
    const before = await keysOf(storage, 'packs/')
    const { session, ids: again } = await commitChunks(repository, OLD_CHUNKS)
    assert.deepEqual(again, ids)
    assert.equal(session.storedBytes, 0)
    assert.deepEqual(await keysOf(storage, 'packs/'), before)
    assert.equal((await keysOf(storage, 'index/')).length, 1)
  })

  it('names every pack in an index object before the commit, however many there are', async () => {
    const made = await prepare()
    const session = await WriteSession.open(made.repository)
    // Ten tables of a MiB each: more than one index object is made of.
    const table = new PackTableWriter()
    for (let number = 0; number < 10; number++) {
      const ids = Array.from({ length: MAX_CHUNKS }, (_, i) => numberedId(number * MAX_CHUNKS + i))
      table.addSegment(
        1000,
        ids,
        ids.map(() => 100),
      )
      const bytes = Buffer.from(new ArrayBuffer(2000))
      await session.storePack({ id: toHex(numberedId(number)) as PackId, bytes, table: table.take() })
    }
    await session.commit({ run: 'large' })
    const steps = made.faulty.operations.flatMap(({ kind, key }) =>
      kind === 'put' && !key.startsWith('sessions') ? [key.split('/')[0]] : [],
    )
    assert.deepEqual(steps, [...Array<string>(8).fill('packs'), 'index', 'packs', 'packs', 'index'])
    const numbers = (await keysOf(made.storage, `index/${session.id}-`)).map((key) => key.split('-')[1])
    assert.deepEqual(numbers, ['0', '1'])
    const repository = await reopen(made)
    await repository.loadIndex()
    for (let i = 0; i < 10 * MAX_CHUNKS; i += 997)
      assert.equal(repository.addressOf(numberedId(i))?.pack, toHex(numberedId(Math.floor(i / MAX_CHUNKS))))
    assert.equal(
      session.packs.reduce((sum, pack) => sum + pack.chunks, 0),
      10 * MAX_CHUNKS,
    )
  })

  it('leaves nothing visible when it is abandoned', async () => {
    const made = await prepare()
    const session = await WriteSession.open(made.repository)
    await saveChunks(made.repository, session, NEW_CHUNKS)
    await session.flushIndex()
    await session.abandon()
    await session.abandon()
    assert.deepEqual(await keysOf(made.storage, 'sessions/'), [])
    assert.deepEqual(await committedRuns(made), ['old'])
  })

  it('is closed again when the index cannot be loaded', async () => {
    const { faulty, inner, repository } = await prepare()
    faulty.fail({ kind: 'list', prefix: 'index/' })
    await assert.rejects(WriteSession.open(repository), { code: 'STORAGE_UNAVAILABLE' })
    assert.deepEqual(await keysOf(inner, 'sessions/'), [])
  })

  it('does not commit after a pack or an index object could not be stored', async () => {
    for (const prefix of ['packs/', 'index/']) {
      for (const when of ['before', 'after'] as const) {
        const made = await prepare()
        made.faulty.fail({ kind: 'put', prefix, when })
        await assert.rejects(run(made.repository), { code: 'STORAGE_UNAVAILABLE' })
        assert.equal(made.faulty.count({ prefix: 'commits/', kind: 'putIfAbsent' }), 0)
        assert.deepEqual(await committedRuns(made), ['old'])
        assert.deepEqual(await keysOf(made.inner, 'sessions/'), [])
      }
    }
    const made = await prepare()
    const session = await WriteSession.open(made.repository)
    made.faulty.fail({ kind: 'put', prefix: 'index/' })
    await saveChunks(made.repository, session, NEW_CHUNKS)
    await assert.rejects(session.flushIndex(), { code: 'STORAGE_UNAVAILABLE' })
    await assert.rejects(session.commit({ run: 'new' }), { code: 'STORAGE_UNAVAILABLE' })
    assert.deepEqual(await committedRuns(made), ['old'])
  })
})

describe('the commit of a WriteSession', () => {
  it('succeeds when only the reply to it was lost', async () => {
    const made = await prepare()
    made.faulty.fail({ kind: 'putIfAbsent', prefix: 'commits/', when: 'after' })
    await run(made.repository)
    assert.deepEqual(await committedRuns(made), ['new', 'old'])
    assert.deepEqual(await keysOf(made.inner, 'sessions/'), [])
  })

  it('succeeds when a store that tries again by itself finds its own bytes', async () => {
    const made = await prepare()
    made.faulty.fail({ kind: 'putIfAbsent', prefix: 'commits/', when: 'after' })
    const putIfAbsent = made.faulty.putIfAbsent.bind(made.faulty)
    made.faulty.putIfAbsent = (key, data, options) => {
      const attempt = (): Promise<boolean> => putIfAbsent(key, data, options)
      return attempt().catch(attempt)
    }
    await run(made.repository)
    assert.deepEqual(await committedRuns(made), ['new', 'old'])
  })

  it('that failed without being stored is settled: the run is aborted for good', async () => {
    const made = await prepare()
    made.faulty.fail({ kind: 'putIfAbsent', prefix: 'commits/', when: 'before' })
    await assert.rejects(run(made.repository), { code: 'STORAGE_UNAVAILABLE' })
    assert.deepEqual(await committedRuns(made), ['old'])
    assert.deepEqual(await keysOf(made.inner, 'sessions/'), [])
    // The empty register refuses a put that was under way and arrives late.
    const sizes = await Array.fromAsync(made.inner.list('commits/'), ({ sizeBytes }) => sizeBytes)
    assert.deepEqual(sizes.toSorted((a, b) => a - b).slice(0, 1), [0])
  })

  it('whose outcome nobody knows leaves the session open, so that reclamation waits for it', async () => {
    for (const when of ['before', 'after'] as const) {
      const made = await prepare()
      made.faulty.fail({ kind: 'putIfAbsent', prefix: 'commits/', when, times: Infinity })
      if (when === 'after') made.faulty.fail({ kind: 'putIfAbsent', prefix: 'commits/', nth: 2, times: Infinity })
      await assert.rejects(run(made.repository), { code: 'STORAGE_UNAVAILABLE' })
      assert.equal((await keysOf(made.inner, 'sessions/')).length, 1)
    }
  })

  it('that the store has no room for is not in doubt', async () => {
    const made = await prepare()
    const error = new CairnError('STORAGE_FULL', 'Cannot store commits/…: the disk is full')
    made.faulty.fail({ kind: 'putIfAbsent', prefix: 'commits/', error, times: Infinity })
    await assert.rejects(run(made.repository), error)
    assert.deepEqual(await keysOf(made.inner, 'sessions/'), [])
    assert.equal((await keysOf(made.inner, 'commits/')).length, 1)
  })

  it('fails with SESSION_FENCED when the run was taken for dead, and nothing of it is visible', async () => {
    const made = await prepare()
    const session = await WriteSession.open(made.repository)
    const ids = await saveChunks(made.repository, session, NEW_CHUNKS)
    await made.inner.putIfAbsent(`commits/${session.id}`, Buffer.alloc(0))
    await assert.rejects(session.commit({ run: 'new' }), { code: 'SESSION_FENCED' })
    assert.deepEqual(await committedRuns(made), ['old'])
    assert.deepEqual(await keysOf(made.inner, 'sessions/'), [])
    const repository = await reopen(made)
    await repository.loadIndex()
    assert.equal(repository.addressOf(ids[1] as Uint8Array), undefined)
    await run(repository) // a new run stores the same chunks again
    assert.deepEqual(await committedRuns(made), ['new', 'old'])
  })

  it('stands when the session object cannot be deleted afterwards', async () => {
    const made = await prepare()
    made.faulty.fail({ kind: 'delete', prefix: 'sessions/' })
    await run(made.repository)
    assert.deepEqual(await committedRuns(made), ['new', 'old'])
  })

  it('is not tried once the run is cancelled', async () => {
    const made = await prepare()
    const abort = new AbortController()
    const session = await WriteSession.open(made.repository, { signal: abort.signal })
    await saveChunks(made.repository, session, NEW_CHUNKS)
    abort.abort()
    await assert.rejects(session.commit({ run: 'new' }), { code: 'CANCELLED' })
    await session.abandon()
    assert.deepEqual(await keysOf(made.inner, 'sessions/'), [])
    assert.deepEqual(await committedRuns(made), ['old'])
  })
})

describe('a heartbeat', () => {
  it('puts the session object again as long as the run is open', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    const { faulty, repository } = await prepare()
    const session = await WriteSession.open(repository)
    const puts = (): number => faulty.count({ kind: 'put', prefix: `sessions/${session.id}` })
    t.mock.timers.tick(HEARTBEAT_MS * 3)
    assert.equal(puts(), 4)
    await session.commit({ run: 'new' })
    t.mock.timers.tick(HEARTBEAT_MS * 3)
    assert.equal(puts(), 4)
  })

  it('that fails is no reason to stop', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    const made = await prepare()
    const session = await WriteSession.open(made.repository)
    made.faulty.fail({ kind: 'put', prefix: 'sessions/' })
    t.mock.timers.tick(HEARTBEAT_MS)
    await session.commit({ run: 'new' })
    assert.deepEqual(await committedRuns(made), ['new', 'old'])
  })

  it('that is under way when the run ends does not bring its session object back', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    const made = await prepare()
    const session = await WriteSession.open(made.repository)
    const put = made.faulty.put.bind(made.faulty)
    let heartbeat: Promise<void> | undefined
    const slowPut: typeof put = async (...args) => {
      for (let turn = 0; turn < 100; turn++) await setImmediate() // many more than the rest of the run takes
      await put(...args)
    }
    made.faulty.put = (...args) => (args[0].startsWith('sessions/') ? (heartbeat = slowPut(...args)) : put(...args))
    t.mock.timers.tick(HEARTBEAT_MS)
    await session.commit({ run: 'new' })
    assert.ok(heartbeat)
    await heartbeat
    assert.deepEqual(await keysOf(made.inner, 'sessions/'), [])
  })
})

/** How many operations of a run change something. */
async function countMutations(): Promise<number> {
  const { faulty, repository } = await prepare()
  await run(repository)
  return faulty.countMutations()
}

describe('a crash', () => {
  it('at any operation leaves what was committed before, and the run wholly there or not at all', async () => {
    const mutations = await countMutations()
    assert.equal(mutations, 6) // session, two packs, index, commit, end of session
    for (let nth = 1; nth <= mutations; nth++) {
      for (const point of ['before', 'after', 'torn'] as readonly CrashPoint[]) {
        const made = await prepare()
        made.faulty.crashAt(nth, point)
        await run(made.repository).catch(() => undefined)
        assert.ok(made.faulty.crashed)

        const what = `crash ${point} operation ${nth}`
        const repository = await reopen(made, made.inner.clone())
        await repository.loadIndex()
        await assertReads(repository, made.ids, OLD_CHUNKS)
        const register = (await Array.fromAsync(made.inner.list('commits/'))).length === 2
        if (register && point === 'torn' && nth === 5) {
          // Only a store that is not atomic leaves half a register. It bars the list of snapshots, by name, and nothing else.
          await assert.rejects(
            repository.loadCommits(),
            { code: 'DATA_CORRUPT', message: /commits\/[0-9a-f]{32}/ },
            what,
          )
          continue
        }
        const runs = (await repository.loadCommits()).map(({ value }) => value['run']).sort()
        assert.deepEqual(runs, register ? ['new', 'old'] : ['old'], what)
        assert.equal(repository.table.size, register ? 5 : 2, what)
        // The next run finds its way, whatever lies about.
        const ids = await run(repository)
        const after = await reopen(made, repository.storage)
        await after.loadIndex()
        await assertReads(after, ids, NEW_WITH_TREE)
      }
    }
  })
})

describe('many sessions at once', () => {
  it('all commit, and each reads back what it and the others saved', async () => {
    const made = await newTestRepository()
    const common = Array.from({ length: 20 }, (_, i) => testBytes(`common ${i}`, 2000))
    const runs = Array.from({ length: 8 }, async (_, number) => {
      const repository = await reopen(made)
      const own = Array.from({ length: 5 }, (_, i) => testBytes(`run ${number}, chunk ${i}`, 3000))
      const chunks = [...common, ...own]
      const session = await WriteSession.open(repository)
      await session.claimName(`run ${number}`)
      const ids = await saveChunks(repository, session, chunks)
      await session.commit({ run: number })
      return { ids, chunks }
    })
    const saved = await Promise.all(runs)
    const repository = await reopen(made)
    await repository.loadIndex()
    const commits = await repository.loadCommits()
    assert.deepEqual(commits.map(({ value }) => value['run']).sort(), [0, 1, 2, 3, 4, 5, 6, 7])
    for (const { ids, chunks } of saved) await assertReads(repository, ids, chunks)
    assert.equal(repository.table.size, 20 + 8 * 5)
    assert.deepEqual(await keysOf(made.storage, 'sessions/'), [])
    const packs = await keysOf(made.storage, 'packs/')
    assert.equal(new Set(packs).size, repository.index.packs.length)
    assert.ok(repository.index.packs.every(({ id }) => packs.includes(`packs/${id.slice(0, 2)}/${id}`)))
    assert.equal(new Set(commits.map(({ session }) => toHex(Buffer.from(session)))).size, 8)
  })
})
