/** Snapshots that a run commits on its way. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { fixedClock } from '../base/clock.ts'
import { isCairnError } from '../base/errors.ts'
import { type PackId, type SessionId, toHex } from '../base/ids.ts'
import { MemoryStorage } from '../storage/memory/memory-storage.ts'
import type { Storage, StoredObject } from '../storage/storage.ts'
import { type CrashPoint, FaultyStorage } from '../storage/testing.ts'
import type { Repository } from './repository.ts'
import { condemnedKey, putCondemned } from './sessions/condemned.ts'
import { HEARTBEAT_MS, SILENCE_MS } from './sessions/open-session.ts'
import { type TestRepository, commitChunks, keysOf, newTestRepository, reopen, saveChunks } from './testing.ts'
import { WriteSession } from './write-session.ts'

interface Subject extends TestRepository {
  readonly inner: MemoryStorage
  readonly faulty: FaultyStorage
  silence(): void
}

async function prepare(): Promise<Subject> {
  const clock = fixedClock(Date.UTC(2026, 10, 1))
  const inner = new MemoryStorage({ clock })
  const made = await newTestRepository({ storage: inner, encryption: 'none' })
  await commitRun(await reopen(made), ['old'])
  const faulty = new FaultyStorage(inner)
  const repository = await reopen(made, faulty)
  return { ...made, repository, inner, faulty, silence: () => clock.set(clock.now() + SILENCE_MS + 1) }
}

const textOf = (texts: readonly string[]): Buffer[] => texts.map((text) => Buffer.from(text))

/** Commits a run whose record says which chunks it refers to, and what is in them. */
async function commitRun(repository: Repository, texts: readonly string[]): Promise<void> {
  const session = await WriteSession.open(repository)
  const ids = await saveChunks(repository, session, textOf(texts))
  await session.commit(recordOf(ids, texts))
}

function recordOf(ids: readonly Uint8Array[], texts: readonly string[]): Record<string, unknown> {
  return { chunks: ids.map((id, i) => [toHex(id), texts[i]]) }
}

function chunksOf(value: Readonly<Record<string, unknown>>): [string, string][] {
  return value['chunks'] as [string, string][]
}

/** Reads all that every visible snapshot refers to, as a new process would; returns what each holds, sorted. */
async function readAll(made: Pick<TestRepository, 'storage' | 'keyFiles'>, storage: Storage): Promise<string[]> {
  const repository = await reopen(made, storage)
  await repository.loadIndex()
  const found: string[] = []
  for (const { value } of await repository.loadCommits()) {
    for (const [id, text] of chunksOf(value))
      assert.equal(Buffer.from(await repository.readChunk(Buffer.from(id, 'hex'))).toString(), text)
    found.push(
      chunksOf(value)
        .map(([, text]) => text)
        .join(' '),
    )
  }
  return found.sort()
}

/** A run that saves a chunk, commits a checkpoint, and so on, then commits all of it. */
async function runWithCheckpoints(
  repository: Repository,
  texts: readonly string[],
): Promise<(SessionId | undefined)[]> {
  const session = await WriteSession.open(repository)
  const checkpoints: (SessionId | undefined)[] = []
  try {
    const ids: Uint8Array[] = []
    for (const [i, text] of texts.entries()) {
      ids.push(...(await saveChunks(repository, session, [Buffer.from(text)])))
      if (i === 1) await session.flushIndex() // the checkpoint then finds an index object of the run
      if (i < texts.length - 1)
        checkpoints.push(await session.commitCheckpoint(() => recordOf(ids, texts.slice(0, i + 1))))
    }
    await session.commit(recordOf(ids, texts))
  } catch (error) {
    await session.abandon()
    throw error
  }
  return checkpoints
}

describe('a checkpoint', () => {
  it('is a snapshot of what is stored so far, and makes way for the next one and for the whole', async () => {
    const { repository, inner, ...made } = await prepare()
    const session = await WriteSession.open(repository)
    const seen: (SessionId | undefined)[] = []
    const one = await saveChunks(repository, session, textOf(['1']))
    seen.push(await session.commitCheckpoint((id) => ({ ...recordOf(one, ['1']), id })))
    assert.deepEqual(await readAll(made, inner), ['1', 'old'])
    const two = await saveChunks(repository, session, textOf(['2']))
    await session.flushIndex()
    const three = await saveChunks(repository, session, textOf(['3']))
    seen.push(
      await session.commitCheckpoint((id) => ({ ...recordOf([...one, ...two, ...three], ['1', '2', '3']), id })),
    )
    assert.deepEqual(await readAll(made, inner), ['1 2 3', 'old'])
    const reader = await reopen(made, inner)
    await reader.loadIndex()
    const record = (await reader.loadCommits()).find(({ value }) => value['id'])
    assert.equal(record?.session, seen[1])
    assert.equal(record?.value['id'], seen[1])
    assert.equal(new Set([session.id, ...seen]).size, 3)

    const four = await saveChunks(repository, session, textOf(['4']))
    await session.commit(recordOf([...one, ...two, ...three, ...four], ['1', '2', '3', '4']))
    assert.deepEqual(await readAll(made, inner), ['1 2 3 4', 'old'])
    assert.equal(session.packs.length, 4)
    assert.deepEqual(await keysOf(inner, 'sessions/'), [])
    assert.deepEqual(await keysOf(inner, 'forgotten/'), seen.map((id) => `forgotten/${id}`).sort())
    // Nothing is named more often than needed: the run itself names 2 and 4, the checkpoints 1, then 2 and 3.
    assert.equal((await keysOf(inner, `index/${session.id}-`)).length, 2)
    for (const id of seen) assert.ok((await keysOf(inner, `index/${id}-`)).length > 0)
    const stored = await Array.fromAsync(inner.list(''), ({ key, sizeBytes }) =>
      key.startsWith('packs/') || key.startsWith('index/') ? sizeBytes : 0,
    )
    const before = await newTestRepository({ encryption: 'none' })
    const { session: old } = await commitChunks(before.repository, textOf(['old']))
    assert.equal(session.storedBytes, stored.reduce((sum, bytes) => sum + bytes, 0) - old.storedBytes)
  })

  it('stays when the run is killed or fails, and the next run has everything', async () => {
    const subject = await prepare()
    const session = await WriteSession.open(subject.repository)
    const ids = await saveChunks(subject.repository, session, textOf(['1', '2']))
    await session.commitCheckpoint(() => recordOf(ids, ['1', '2']))
    await saveChunks(subject.repository, session, textOf(['3']))
    const killed = subject.inner.clone()
    await session.abandon()
    subject.silence()
    for (const storage of [killed, subject.inner]) {
      assert.deepEqual(await readAll(subject, storage), ['1 2', 'old'])
      const repository = await reopen(subject, storage)
      const next = await WriteSession.open(repository)
      assert.equal(next.adopted.packs, 1) // the others count: the checkpoint names them
      await saveChunks(repository, next, textOf(['1', '2', '3']))
      assert.equal(next.packs.length, 0)
      await next.commit({ chunks: [] })
    }
  })

  it('names adopted packs too', async () => {
    const subject = await prepare()
    const failed = await WriteSession.open(subject.repository)
    await saveChunks(subject.repository, failed, textOf(['1']))
    await failed.abandon()
    const repository = await reopen(subject, subject.inner)
    const session = await WriteSession.open(repository)
    const ids = await saveChunks(repository, session, textOf(['1']))
    assert.equal(session.packs.length, 0)
    await session.commitCheckpoint(() => recordOf(ids, ['1']))
    assert.deepEqual(await readAll(subject, subject.inner), ['1', 'old'])
    assert.equal(session.adopted.packs, 1)
    await session.commit(recordOf(ids, ['1']))
    assert.deepEqual(await readAll(subject, subject.inner), ['1', 'old'])
  })

  it('at any moment, with a crash at any operation, leaves every visible snapshot whole and nothing to store twice', async () => {
    const texts = ['1', '2', '3', '4']
    const counted = await prepare()
    const checkpoints = await runWithCheckpoints(counted.repository, texts)
    assert.ok(checkpoints.every((id) => id !== undefined))
    const mutations = counted.faulty.countMutations()
    assert.ok(mutations > 20)
    for (let nth = 1; nth <= mutations; nth++) {
      for (const point of ['before', 'after'] as readonly CrashPoint[]) {
        const subject = await prepare()
        subject.faulty.crashAt(nth, point)
        await runWithCheckpoints(subject.repository, texts).catch(() => undefined)
        const storage = subject.inner.clone()
        const packs = (await keysOf(storage, 'packs/')).length
        const found = await readAll(subject, storage)
        // Of the checkpoints at most two at a moment: the one before is forgotten when the next one is there.
        assert.ok(found.length <= 3 && found.includes('old'), `crash ${point} operation ${nth}: ${found.join(', ')}`)

        subject.silence()
        const repository = await reopen(subject, storage)
        const session = await WriteSession.open(repository)
        const ids = await saveChunks(repository, session, textOf(texts))
        await session.commit(recordOf(ids, texts))
        assert.equal(session.packs.length, packs === 5 ? 0 : 1, `crash ${point} operation ${nth}`)
        assert.ok((await readAll(subject, storage)).includes('1 2 3 4'))
      }
    }
  })

  it('that cannot be stored is an error, and the run goes on to its end without it', async () => {
    const ways = [
      { kind: 'put', prefix: 'sessions/', nth: 2 },
      { kind: 'list', prefix: 'condemned/', nth: 2 },
      { kind: 'put', prefix: 'index/' },
      { kind: 'putIfAbsent', prefix: 'commits/' },
      { kind: 'putIfAbsent', prefix: 'commits/', when: 'before', times: 2 },
    ] as const
    for (const fault of ways) {
      const subject = await prepare()
      subject.faulty.fail(fault)
      const session = await WriteSession.open(subject.repository)
      const ids = await saveChunks(subject.repository, session, textOf(['1']))
      await assert.rejects(
        session.commitCheckpoint(() => recordOf(ids, ['1'])),
        { code: 'STORAGE_UNAVAILABLE' },
      )
      assert.deepEqual(await readAll(subject, subject.inner), ['old'], JSON.stringify(fault))
      await session.commit(recordOf(ids, ['1']))
      assert.deepEqual(await readAll(subject, subject.inner), ['1', 'old'])
    }
  })

  it('whose marker cannot be put is forgotten later', async () => {
    const subject = await prepare()
    subject.faulty.fail({ kind: 'put', prefix: 'forgotten/' })
    await runWithCheckpoints(subject.repository, ['1', '2', '3'])
    assert.deepEqual(await readAll(subject, subject.inner), ['1 2 3', 'old'])
    const other = await prepare()
    other.faulty.fail({ kind: 'put', prefix: 'forgotten/', times: Infinity })
    await runWithCheckpoints(other.repository, ['1', '2', '3'])
    assert.deepEqual(await readAll(other, other.inner), ['1', '1 2', '1 2 3', 'old'])
  })

  it('is not made when its session was fenced, and the run names its packs itself', async () => {
    const subject = await prepare()
    const session = await WriteSession.open(subject.repository)
    const ids = await saveChunks(subject.repository, session, textOf(['1']))
    const putIfAbsent = subject.faulty.putIfAbsent.bind(subject.faulty)
    subject.faulty.putIfAbsent = async (key, ...rest) => {
      await subject.inner.putIfAbsent(key, Buffer.alloc(0))
      return putIfAbsent(key, ...rest)
    }
    assert.equal(await session.commitCheckpoint(() => recordOf(ids, ['1'])), undefined)
    subject.faulty.putIfAbsent = putIfAbsent
    assert.deepEqual(await keysOf(subject.inner, 'sessions/'), [`sessions/${session.id}`])
    await session.commit(recordOf(ids, ['1']))
    assert.deepEqual(await readAll(subject, subject.inner), ['1', 'old'])
  })

  it('is not made by a run that was fenced itself, nor by one that is over', async () => {
    const subject = await prepare()
    const session = await WriteSession.open(subject.repository)
    const ids = await saveChunks(subject.repository, session, textOf(['1']))
    await subject.inner.putIfAbsent(`commits/${session.id}`, Buffer.alloc(0))
    const checkpoint = (): Promise<SessionId | undefined> => session.commitCheckpoint(() => recordOf(ids, ['1']))
    await assert.rejects(checkpoint(), { code: 'SESSION_FENCED' })
    await session.abandon()
    assert.equal(await checkpoint(), undefined)
    assert.deepEqual(await readAll(subject, subject.inner), ['old'])
    assert.deepEqual(await keysOf(subject.inner, 'sessions/'), [])
  })

  it('is given up when space began to be reclaimed since the run began, however far that is', async () => {
    for (const when of ['before', 'during'] as const) {
      const subject = await prepare()
      const session = await WriteSession.open(subject.repository)
      const ids = await saveChunks(subject.repository, session, textOf(['1']))
      const put = subject.faulty.put.bind(subject.faulty)
      if (when === 'before') await subject.inner.put('condemned/1', Buffer.from('x'))
      else
        subject.faulty.put = async (key, ...rest) => {
          await put(key, ...rest)
          if (key.startsWith('sessions/')) await subject.inner.put('condemned/1', Buffer.from('x'))
        }
      assert.equal(await session.commitCheckpoint(() => recordOf(ids, ['1'])), undefined)
      assert.deepEqual(await keysOf(subject.inner, 'sessions/'), [`sessions/${session.id}`])
      assert.equal((await keysOf(subject.inner, 'index/')).length, 1)
      await session.commit(recordOf(ids, ['1'])) // reclamation waits for this run
      await subject.inner.delete('condemned/1')
      assert.deepEqual(await readAll(subject, subject.inner), ['1', 'old'])
    }
  })

  it('keeps its session alive, and ends with its heartbeat', async (t) => {
    const subject = await prepare()
    const session = await WriteSession.open(subject.repository)
    const ids = await saveChunks(subject.repository, session, textOf(['1']))
    t.mock.timers.enable({ apis: ['setInterval'] })
    const id = await session.commitCheckpoint(() => {
      t.mock.timers.tick(HEARTBEAT_MS)
      return recordOf(ids, ['1'])
    })
    t.mock.timers.tick(HEARTBEAT_MS * 3)
    assert.equal(subject.faulty.count({ kind: 'put', prefix: `sessions/${id}` }), 2)
    assert.deepEqual(await keysOf(subject.inner, 'sessions/'), [`sessions/${session.id}`])
  })
})

/**
 * Reclamation (docs/concurrency.md) in three parts, as simple as can be: condemns packs that no snapshot refers to; lists
 * sessions; waits for all of those to have a register, looks at the snapshots again, and deletes what still nobody refers to. It
 * copies nothing: what is referred to by then just stays. It fences whom it would have to wait for, which is always allowed.
 */
async function* reclaim(storage: Storage, keyFiles: TestRepository['keyFiles']): AsyncGenerator<undefined> {
  const { keys } = await reopen({ storage, keyFiles })
  const needed = await referencedPacks(storage, keyFiles)
  const packs = (await keysOf(storage, 'packs/')).filter((key) => !needed.has(key))
  const ids = packs.map((key) => key.slice('packs/xx/'.length) as PackId)
  const reclamation = await putCondemned(storage, keys, ids, {})
  yield
  const sessions = await keysOf(storage, 'sessions/')
  yield
  for (const session of sessions) await storage.putIfAbsent(session.replace('sessions/', 'commits/'), Buffer.alloc(0))
  const still = await referencedPacks(storage, keyFiles)
  for (const key of packs) if (!still.has(key)) await storage.delete(key)
  await storage.delete(condemnedKey(reclamation))
}

async function referencedPacks(storage: Storage, keyFiles: TestRepository['keyFiles']): Promise<Set<string>> {
  const repository = await reopen({ storage, keyFiles })
  await repository.loadIndex()
  const commits = await repository.loadCommits()
  const ids = commits.flatMap(({ value }) => chunksOf(value).map(([id]) => Buffer.from(id, 'hex')))
  return new Set(ids.flatMap((id) => repository.addressOf(id)?.packKey ?? []))
}

/** A store of which some listings come out empty. */
function hiding(storage: Storage, isHidden: (prefix: string) => boolean): Storage {
  const view = new FaultyStorage(storage)
  const list = view.list.bind(view)
  view.list = (prefix, options) => list(isHidden(prefix) ? 'nothing/' : prefix, options)
  return view
}

/** Before which operation of a run with checkpoints the parts of a reclamation come, and another run. */
interface Moments {
  readonly reclamation: readonly number[]
  readonly otherRun: number
}

/** Operations of the run with checkpoints, about; moments after its end are fine. */
const MAX_OPERATIONS = 50

async function ifAllowed(running: Promise<unknown>): Promise<void> {
  await running.catch((error: unknown) => {
    if (!isCairnError(error, 'SESSION_FENCED')) throw error
  })
}

/** Lets them go on in this order, and checks that all that is visible can be read; `blind` is what the run sees of the store. */
async function interleave(
  { reclamation, otherRun }: Moments,
  blind: (storage: Storage) => Storage = (storage) => storage,
): Promise<void> {
  const inner = new MemoryStorage({ turn: () => Promise.resolve() })
  const made = await newTestRepository({ storage: inner, encryption: 'none' })
  await commitRun(await reopen(made), ['old'])
  const parts = reclaim(inner, made.keyFiles)
  let operations = 0
  const others = async (): Promise<void> => {
    const now = operations++
    for (const moment of reclamation) if (moment === now) await parts.next()
    if (otherRun === now) await ifAllowed(reopen(made).then((opened) => commitRun(opened, ['1', 'x'])))
  }
  const storage = blind(new InterruptedStorage(inner, others))
  const repository = await reopen(made, storage)
  operations = 0
  await ifAllowed(runWithCheckpoints(repository, ['1', '2', '3']))
  for (let rest = operations; rest <= MAX_OPERATIONS; rest++) await others()
  await readAll(made, inner)
}

/** Awaits something before each operation. */
class InterruptedStorage extends FaultyStorage {
  readonly #before: () => Promise<void>

  constructor(inner: Storage, before: () => Promise<void>) {
    super(inner)
    this.#before = before
  }

  override async get(...args: Parameters<Storage['get']>): Promise<Uint8Array> {
    await this.#before()
    return super.get(...args)
  }

  override async put(...args: Parameters<Storage['put']>): Promise<void> {
    await this.#before()
    return super.put(...args)
  }

  override async putIfAbsent(...args: Parameters<Storage['putIfAbsent']>): Promise<boolean> {
    await this.#before()
    return super.putIfAbsent(...args)
  }

  override async *list(...args: Parameters<Storage['list']>): AsyncGenerator<StoredObject> {
    await this.#before()
    yield* super.list(...args)
  }

  override async delete(...args: Parameters<Storage['delete']>): Promise<void> {
    await this.#before()
    return super.delete(...args)
  }
}

const moment = fc.integer({ min: 0, max: MAX_OPERATIONS })
const moments: fc.Arbitrary<Moments> = fc.record({
  // Often in one go: what takes the least time is what a look at the wrong moment misses.
  reclamation: fc.oneof(
    moment.map((at) => [at, at, at]),
    fc.tuple(moment, moment).map(([a, b]) => (a < b ? [a, a, b] : [b, a, a])),
    fc.tuple(moment, moment, moment).map((three) => three.toSorted((a, b) => a - b)),
  ),
  otherRun: moment,
})

describe('checkpoints and a reclamation at the same time', () => {
  it('lose nothing, in whatever order their operations come', async () => {
    for (let later = 0; later <= 2; later++)
      for (let at = 0; at <= MAX_OPERATIONS - later; at++)
        await interleave({ reclamation: [at, at, at + later], otherRun: -1 })
    await fc.assert(
      fc.asyncProperty(moments, (order) => interleave(order)),
      { numRuns: 100 },
    )
  })

  it('would, if a checkpoint did not look at condemned packs, or at the register of its run: this test finds both', async () => {
    for (const hidden of [
      (prefix: string, nth: number): boolean => prefix === 'condemned/' && nth > 1,
      (prefix: string): boolean => /^commits\/[0-9a-f]/.test(prefix),
    ]) {
      const blind = (storage: Storage): Storage => {
        let condemned = 0
        return hiding(storage, (prefix) => hidden(prefix, prefix === 'condemned/' ? ++condemned : 0))
      }
      // The last part comes at once, or some operations after the others.
      const lost: string[] = []
      for (let later = 0; later <= 8 && lost.length === 0; later += 2)
        for (let at = 0; at <= MAX_OPERATIONS && lost.length === 0; at++)
          await interleave({ reclamation: [at, at, Math.min(at + later, MAX_OPERATIONS)], otherRun: -1 }, blind).catch(
            (error: unknown) => {
              if (!isCairnError(error, 'DATA_CORRUPT') && !isCairnError(error, 'NOT_FOUND')) throw error
              lost.push(error.message)
            },
          )
      assert.equal(lost.length, 1, hidden.toString())
    }
  })
})
