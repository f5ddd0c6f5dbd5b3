import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CairnError, isCairnError } from '../base/errors.ts'
import type { SessionId } from '../base/ids.ts'
import { encodeIndex } from '../repository/index/index-object.ts'
import { commitKey, forgottenKey, readIndex, segmentsOf } from '../repository/low-level.ts'
import { type TestRepository, keysOf, newTestRepository, reopen, saveChunks } from '../repository/testing.ts'
import { WriteSession } from '../repository/write-session.ts'
import { loadSnapshots } from '../snapshot/catalog.ts'
import type { MemoryStorage } from '../storage/memory/memory-storage.ts'
import { type CrashPoint, FaultyStorage } from '../storage/testing.ts'
import { type CompactOptions, type CompactProgress } from './compact.ts'
import { markUsed } from './compact/usage.ts'
import {
  checked,
  commitFiles,
  compacted,
  copyOf,
  endSessions,
  longText,
  objectsOf,
  openSnapshot,
  repaired,
} from './testing.ts'

/** A repository with three snapshots, of which the second is deleted: it shares content with the others. */
async function prepare(): Promise<TestRepository> {
  const made = await newTestRepository({ encryption: 'none' })
  await commitFiles(made, 'first', { a: longText('a'), b: longText('b') })
  const second = await commitFiles(made, 'second', { a: longText('a'), c: longText('c'), d: longText('d') })
  await commitFiles(made, 'third', { a: longText('a'), c: longText('c'), e: longText('e') })
  await (await reopen(made)).forget(second)
  return made
}

/** Fails unless everything is sound and these snapshots are there. */
async function expectSound(made: TestRepository, names: readonly string[]): Promise<void> {
  const repository = await reopen(made)
  assert.deepEqual((await checked(repository, { readData: true })).errors, [])
  await repository.loadIndex()
  assert.deepEqual((await loadSnapshots(repository)).map(({ name }) => name).sort(), names)
}

describe('compact()', () => {
  it('frees what only deleted snapshots had, and nothing else', async () => {
    const made = await prepare()
    const before = await keysOf(made.storage, 'packs/')
    const result = await compacted(await reopen(made))
    assert.deepEqual([result.unusedPacks, result.fragmentedPacks, result.waitingFor], [1, 1, 0]) // its trees; c stays, d goes
    assert.equal(result.deletedPacks, 2)
    assert.equal(result.removedSnapshots, 1)
    assert.ok(result.reclaimableBytes > 2000 && result.reclaimableBytes < 6000, String(result.reclaimableBytes))
    assert.equal((await keysOf(made.storage, 'packs/')).length, before.length - 1)
    await expectSound(made, ['first', 'third'])
    for (const prefix of ['condemned/', 'waiting/', 'forgotten/', 'sessions/'])
      assert.deepEqual(await keysOf(made.storage, prefix), [])
    const again = await compacted(await reopen(made))
    assert.deepEqual([again.deletedPacks, again.reclaimableBytes, again.storedBytes], [0, 0, 0])
    await expectSound(made, ['first', 'third'])
  })

  it('writes nothing in a dry run, and tells what a real one does', async () => {
    const made = await prepare()
    const before = await keysOf(made.storage)
    const told = await compacted(await reopen(made), { dryRun: true })
    assert.deepEqual(await keysOf(made.storage), before)
    const done = await compacted(await reopen(made))
    assert.deepEqual(told, { ...done, deletedPacks: 0, deletedBytes: 0, storedBytes: 0, removedSnapshots: 0 })
  })

  it('frees what takes no space where there is none to move anything to', async () => {
    const made = await prepare()
    const full = new FaultyStorage(made.storage) as FaultyStorage & { freeBytes: () => Promise<number> }
    full.freeBytes = async () => 100
    const { fragmentedPacks, deletedPacks } = await compacted(await reopen(made, full))
    assert.deepEqual([fragmentedPacks, deletedPacks], [1, 1])
    assert.equal(full.count({ kind: 'put', prefix: 'packs/' }), 0)
    assert.deepEqual(await keysOf(made.storage, 'condemned/'), [])
    await expectSound(made, ['first', 'third'])
    assert.equal((await compacted(await reopen(made))).deletedPacks, 1)
    await expectSound(made, ['first', 'third'])
  })

  it('rewrites packs of which enough is unused, and no more than it may', async () => {
    const made = await prepare()
    const packsOf = async (options: Partial<CompactOptions>): Promise<number> =>
      (await compacted(await reopen(copyOf(made)), { ...options, dryRun: true })).fragmentedPacks
    assert.equal(await packsOf({ threshold: 0.4 }), 1)
    assert.equal(await packsOf({ threshold: 0.6 }), 0)
    assert.equal(await packsOf({ maxRepackBytes: 100 }), 0)
    assert.equal(await packsOf({ threshold: 0, maxRepackBytes: 10_000 }), 1)
  })

  it('does its work when all snapshots are deleted, or none was ever made', async () => {
    const made = await prepare()
    const repository = await reopen(made)
    await repository.loadIndex()
    for (const { id } of await loadSnapshots(repository)) await repository.forget(id)
    await compacted(await reopen(made))
    await compacted(await reopen(made)) // takes its own record along
    assert.deepEqual(await keysOf(made.storage, 'packs/'), [])
    assert.deepEqual(await keysOf(made.storage, 'index/'), [])
    await compacted((await newTestRepository()).repository)
  })

  it('merges index objects once there are many small ones', async () => {
    const made = await newTestRepository({ encryption: 'none' })
    for (let i = 0; i < 20; i++) await commitFiles(made, `snapshot ${i}`, { a: `${i}` })
    assert.equal((await keysOf(made.storage, 'index/')).length, 20)
    await compacted(await reopen(made))
    assert.equal((await keysOf(made.storage, 'index/')).length, 1)
    assert.equal((await checked(await reopen(made), { readData: true })).snapshots, 20)
    await compacted(await reopen(made))
    assert.equal((await keysOf(made.storage, 'index/')).length, 1)
  })

  it('frees packs of runs that ended without a commit', async () => {
    const made = await prepare()
    const session = await WriteSession.open(await reopen(made))
    await saveChunks(made.repository, session, [Buffer.from(longText('orphan'))]).catch(() => undefined)
    const repository = await reopen(made)
    const other = await WriteSession.open(repository)
    await saveChunks(repository, other, [Buffer.from(longText('orphan'))])
    await other.abandon()
    await session.abandon()
    const result = await compacted(await reopen(made))
    assert.equal(result.orphanPacks, 1)
    for (const key of await keysOf(made.storage, 'index/'))
      assert.ok(!key.includes(other.id) && !key.includes(session.id), key)
    await expectSound(made, ['first', 'third'])
  })
})

describe('compact() beside other runs', () => {
  it('waits for those that may rely on what it deletes, and later goes on', async () => {
    const made = await prepare()
    const { commit: end } = await openSnapshot(await reopen(made), 'during', { d: longText('d') }) // relies on what is to go
    const first = await compacted(await reopen(made))
    assert.deepEqual([first.waitingFor, first.deletedPacks], [1, 0])
    assert.equal((await keysOf(made.storage, 'condemned/')).length, 1)
    const [waiting = ''] = await keysOf(made.storage, 'waiting/')
    await made.storage.put(waiting, Buffer.from('a list that is damaged is made anew'))
    const second = await compacted(await reopen(made))
    assert.deepEqual([second.waitingFor, second.deletedPacks], [1, 0])
    assert.equal((await keysOf(made.storage, 'condemned/')).length, 1, 'more was condemned, though runs are waited for')
    await end()
    const third = await compacted(await reopen(made))
    assert.equal(third.waitingFor, 0)
    assert.ok(third.deletedPacks > 0)
    await expectSound(made, ['during', 'first', 'third'])
  })

  it('can be interrupted while it waits', async () => {
    const made = await prepare()
    const { session } = await openSnapshot(await reopen(made), 'during', { d: longText('d') })
    const interrupt = new AbortController()
    const onProgress = ({ phase }: CompactProgress): void => {
      if (phase === 'waiting') setImmediate(() => interrupt.abort())
    }
    const waiting = compacted(await reopen(made), { wait: true, signal: interrupt.signal, onProgress })
    await assert.rejects(waiting, { code: 'CANCELLED' })
    await session.abandon()
  })

  it('does not wait for a run that ended without a commit, which then never can', async () => {
    const made = await prepare()
    const { session } = await openSnapshot(await reopen(made), 'during', { d: longText('d') })
    assert.equal((await compacted(await reopen(made))).waitingFor, 1)
    await session.abandon()
    const { waitingFor, deletedPacks } = await compacted(await reopen(made))
    assert.equal(waitingFor, 0)
    assert.ok(deletedPacks > 0)
    assert.equal((await made.storage.get(commitKey(session.id))).length, 0)
    await expectSound(made, ['first', 'third'])
  })

  it('keeps what tells that a run was taken for dead', async () => {
    const made = await prepare()
    const { session, commit: end } = await openSnapshot(await reopen(made), 'sleeper', { d: longText('d') })
    await made.storage.putIfAbsent(commitKey(session.id), Buffer.alloc(0))
    await compacted(await reopen(made))
    await compacted(await reopen(made))
    assert.equal((await made.storage.get(commitKey(session.id))).length, 0)
    await assert.rejects(end(), { code: 'SESSION_FENCED' })
    await expectSound(made, ['first', 'third'])
  })

  it('removes a list of runs that was put when its reclamation was over', async () => {
    const made = await prepare()
    await made.storage.put(`waiting/${'ab'.repeat(16)}`, Buffer.from('late'))
    await compacted(await reopen(made))
    assert.deepEqual(await keysOf(made.storage, 'waiting/'), [])
  })

  it('leaves the record of a deleted snapshot whose run may try to commit once more', async () => {
    const made = await prepare()
    const [forgotten = ''] = await keysOf(made.storage, 'forgotten/')
    const id = forgotten.slice('forgotten/'.length) as SessionId
    await made.storage.put(`sessions/${id}`, Buffer.from('it died before it could close'))
    await compacted(await reopen(made))
    assert.ok((await keysOf(made.storage)).includes(commitKey(id)))
    assert.ok((await keysOf(made.storage)).includes(forgottenKey(id)))
    await made.storage.delete(`sessions/${id}`)
    await compacted(await reopen(made))
    assert.deepEqual(await keysOf(made.storage, 'forgotten/'), [])
  })
})

describe('compact() of a damaged repository', () => {
  it('deletes nothing when it cannot tell what a snapshot needs', async () => {
    const made = await prepare()
    for (const prefix of ['packs/', 'index/', 'commits/']) {
      const copy = copyOf(made)
      for (const key of await keysOf(copy.storage, prefix)) {
        const isTree = prefix === 'packs/' && (await copy.storage.get(key))[6] === 2
        if (prefix === 'packs/' && !isTree) continue
        const bytes = Buffer.from(await copy.storage.get(key))
        bytes[60] = (bytes[60] ?? 0) ^ 1
        await copy.storage.put(key, bytes)
      }
      const before = await keysOf(copy.storage)
      await assert.rejects(compacted(await reopen(copy)), { code: 'DATA_CORRUPT' }, prefix)
      assert.deepEqual(await keysOf(copy.storage), before)
    }
  })

  it('deletes nothing that is needed when what it has to move is damaged', async () => {
    const made = await prepare()
    const reading = await readIndex(made.storage, made.repository.keys)
    const second = (await keysOf(made.storage, 'forgotten/'))[0]?.slice('forgotten/'.length)
    const packs = Array.from(reading.objects())
      .filter(({ session }) => session === second)
      .flatMap((object) => object.packs)
    for (const { id, header } of packs) {
      if (header[6] !== 1) continue
      const key = `packs/${id.slice(0, 2)}/${id}`
      const bytes = Buffer.from(await made.storage.get(key))
      bytes[100] = (bytes[100] ?? 0) ^ 1
      await made.storage.put(key, bytes)
    }
    const before = await keysOf(made.storage, 'packs/')
    const damage = objectsOf(await checked(await reopen(made), { readData: true }))
    assert.ok(damage.size > 1)
    for (let again = 0; again < 2; again++) {
      await assert.rejects(compacted(await reopen(made)), {
        code: 'DATA_CORRUPT',
        message: /nothing that is needed was/,
      })
      // What nobody needs had gone before: the tree of the deleted snapshot.
      assert.equal((await keysOf(made.storage, 'packs/')).length, before.length - 1)
      assert.deepEqual(objectsOf(await checked(await reopen(made), { readData: true })), damage)
    }
    // A backup that sees the content again stores it anew, and then it can go on.
    await commitFiles(made, 'healing', { c: longText('c') })
    assert.ok((await compacted(await reopen(made))).deletedPacks > 0)
    await expectSound(made, ['first', 'healing', 'third'])
  })

  it('refuses while a pack is missing that snapshots need, and works when that is repaired', async () => {
    const made = await prepare()
    const before = new Set(await keysOf(made.storage, 'packs/'))
    await commitFiles(made, 'lost', { a: longText('a'), z: longText('z') })
    for (const key of await keysOf(made.storage, 'packs/')) {
      const isData = (await made.storage.get(key))[6] === 1
      if (isData && !before.has(key)) await made.storage.delete(key)
    }
    const left = await keysOf(made.storage, 'packs/')
    await assert.rejects(compacted(await reopen(made)), { code: 'DATA_CORRUPT', message: /is missing; .* --repair/ })
    assert.deepEqual(await keysOf(made.storage, 'packs/'), left)
    assert.deepEqual((await repaired(await reopen(made))).lost, ['lost:z:file'])
    assert.ok((await compacted(await reopen(made))).deletedPacks > 0)
    await expectSound(made, ['first', 'lost', 'third'])
  })

  it('keeps the copy of a chunk that is there, when another is lost', async () => {
    const made = await newTestRepository({ encryption: 'none' })
    // Two runs at once store the same.
    const runs = []
    for (const name of ['one', 'two']) runs.push(await openSnapshot(await reopen(made), name, { a: longText('a') }))
    for (const { commit } of runs) await commit()
    const packs = await keysOf(made.storage, 'packs/')
    for (const lost of packs) {
      const copy = copyOf(made)
      await copy.storage.delete(lost)
      await compacted(await reopen(copy)).catch((error: unknown) => assert.ok(isCairnError(error, 'DATA_CORRUPT')))
      const left = await keysOf(copy.storage, 'packs/')
      assert.ok(left.length >= packs.length - 2, 'copies of one pack at most may go')
      await repaired(await reopen(copy))
      await compacted(await reopen(copy))
      await expectSound(copy, ['one', 'two'])
    }
  })

  it('leaves packs alone that no index names while something is missing that a snapshot needs', async () => {
    const made = await prepare()
    const indexed = new Set(await keysOf(made.storage, 'index/'))
    const id = await commitFiles(made, 'lost', { z: longText('z') })
    const key = (await keysOf(made.storage, 'index/')).find((name) => !indexed.has(name)) ?? ''
    const reading = await readIndex(made.storage, made.repository.keys)
    const packs = Array.from(reading.objects()).find((object) => object.session === id)?.packs ?? []
    // Of the index only what names the trees is left, as if there had been two objects of which one is lost.
    const trees = packs.filter(({ header }) => header[6] === 2)
    const rest = encodeIndex(made.repository.keys, id, 1, trees)
    await made.storage.put(rest.key, rest.object)
    const lost = await made.storage.get(key)
    await made.storage.delete(key)
    assert.ok((await compacted(await reopen(made))).deletedPacks > 0)
    await made.storage.put(key, lost)
    await expectSound(made, ['first', 'lost', 'third'])
  })

  it('loses nothing of a snapshot that shares trees with a damaged one which is deleted meanwhile', async () => {
    const made = await newTestRepository({ encryption: 'none' })
    const files = { a: longText('a'), b: longText('b') }
    for (const name of ['one', 'two']) await commitFiles(made, name, files)
    await commitFiles(made, 'other', { c: longText('c') })
    const repository = await reopen(made)
    await repository.loadIndex()
    const snapshots = new Map((await loadSnapshots(repository)).map((snapshot) => [snapshot.name, snapshot]))
    const [one, two, other] = ['one', 'two', 'other'].map((name) => snapshots.get(name) ?? assert.fail())
    assert.ok(one && two && other)
    // The first time, a tree cannot be read; by then the snapshot is deleted.
    let isFirst = true
    const readChunk = repository.readChunk.bind(repository)
    repository.readChunk = async (...given) => {
      if (!isFirst) return readChunk(...given)
      isFirst = false
      await repository.forget(one.id)
      throw new CairnError('DATA_CORRUPT', 'Cannot read chunk: damaged')
    }
    const usage = await markUsed(repository, [one, two, other], {})
    const needed = await markUsed(repository, [two, other], {})
    const reading = await readIndex(made.storage, made.repository.keys)
    for (const { packs } of reading.objects()) {
      for (const pack of packs) {
        for (const { ids: chunks, chunks: count } of segmentsOf(pack))
          for (let i = 0; i < count; i++) assert.equal(usage.has(chunks, 32 * i), needed.has(chunks, 32 * i))
      }
    }
  })

  it('says what it lacks where nothing may be deleted, and loses nothing', async () => {
    const made = await prepare()
    const faulty = new FaultyStorage(made.storage)
    faulty.fail({
      kind: 'delete',
      times: Infinity,
      error: new CairnError('STORAGE_DENIED', 'Cannot delete: not allowed'),
    })
    const before = await keysOf(made.storage)
    await assert.rejects(compacted(await reopen(made, faulty)), { code: 'STORAGE_DENIED' })
    assert.deepEqual(
      (await keysOf(made.storage)).filter((key) => !key.startsWith('probe/')),
      before,
    )
    await commitFiles(made, 'after', { d: longText('d') })
    await expectSound(made, ['after', 'first', 'third'])
    await compacted(await reopen(made))
    await expectSound(made, ['after', 'first', 'third'])
    assert.deepEqual(await keysOf(made.storage, 'condemned/'), [])
  })
})

describe('a compaction that is interrupted', () => {
  for (const point of ['before', 'after'] as const satisfies readonly CrashPoint[]) {
    it(`loses nothing when it crashes ${point} any operation, and the next one comes to its end`, async () => {
      const made = await prepare()
      const faulty = new FaultyStorage((made.storage as MemoryStorage).clone())
      await compacted(await reopen(made, faulty))
      const operations = faulty.countMutations()
      assert.ok(operations > 12, String(operations))
      for (let nth = 1; nth <= operations; nth++) {
        const copy = copyOf(made)
        const crashing = new FaultyStorage(copy.storage)
        const repository = await reopen(made, crashing)
        crashing.crashAt(nth, point)
        await compacted(repository).catch(() => undefined)
        await expectSound(copy, ['first', 'third'])
        await commitFiles(copy, 'next', { d: longText('d'), f: 'f' })
        await expectSound(copy, ['first', 'next', 'third'])
        await endSessions(copy)
        const { waitingFor } = await compacted(await reopen(copy))
        assert.equal(waitingFor, 0)
        await expectSound(copy, ['first', 'next', 'third'])
        assert.deepEqual(await keysOf(copy.storage, 'condemned/'), [], `crashed ${point} operation ${nth}`)
        assert.deepEqual(await keysOf(copy.storage, 'waiting/'), [])
      }
    })
  }
})
