import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CairnError } from '../base/errors.ts'
import { type PackId, type SessionId, asPackId } from '../base/ids.ts'
import { packKindOf, putCondemned, readCondemned } from '../repository/low-level.ts'
import { type TestRepository, ZSTD, keysOf, newTestRepository, reopen } from '../repository/testing.ts'
import { loadSnapshots } from '../snapshot/catalog.ts'
import { readContent } from '../snapshot/content.ts'
import { readTree } from '../snapshot/tree-reader.ts'
import type { Storage } from '../storage/storage.ts'
import { type CrashPoint, FaultyStorage } from '../storage/testing.ts'
import { reclaim, reclaimRecordOf } from './compact/reclaim.ts'
import {
  checked,
  type Checked,
  commitFiles,
  compacted,
  copyOf,
  endSessions,
  type Files,
  loadRepoV1,
  longText,
  openSnapshot,
  repaired,
} from './testing.ts'

const FIRST: Files = { a: longText('a'), b: longText('b') }
const SECOND: Files = { a: longText('a'), c: longText('c') }

async function prepare(): Promise<TestRepository> {
  const made = await newTestRepository({ encryption: 'none' })
  await commitFiles(made, 'first', FIRST)
  await commitFiles(made, 'second', SECOND)
  return made
}

/** What the snapshots hold, by their names; fails where anything of them cannot be read. */
async function contentOf(made: TestRepository): Promise<Record<string, Files>> {
  const repository = await reopen(made)
  await repository.loadIndex()
  const load = (id: Uint8Array): Promise<Uint8Array> => repository.readChunk(id)
  const snapshots: Record<string, Files> = {}
  for (const { name, tree } of await loadSnapshots(repository)) {
    const files: Record<string, string> = {}
    for await (const nodes of readTree(tree, load)) {
      for (const node of nodes) {
        let content = ''
        if (node.content)
          for await (const { id } of readContent(node.content, load, node.name))
            content += Buffer.from(await load(id)).toString()
        files[node.name] = content
      }
    }
    snapshots[name] = files
  }
  return snapshots
}

async function checkedWholly(made: TestRepository): Promise<Checked> {
  return checked(await reopen(made), { readData: true })
}

async function packsOf({ storage }: TestRepository, kind: 'dataPack' | 'treePack'): Promise<string[]> {
  const keys: string[] = []
  for (const key of await keysOf(storage, 'packs/')) if (packKindOf(await storage.get(key)) === kind) keys.push(key)
  return keys
}

function idOfPack(key: string): PackId {
  return asPackId(key.slice('packs/xx/'.length)) ?? assert.fail(key)
}

async function flipBit(storage: Storage, key: string, at = 60): Promise<void> {
  const bytes = Buffer.from(await storage.get(key))
  bytes[at] = (bytes[at] ?? 0) ^ 1
  await storage.put(key, bytes)
}

/** The index object of the run that committed this snapshot. */
async function indexOf({ storage }: TestRepository, session: SessionId): Promise<string> {
  const [key = assert.fail()] = await keysOf(storage, `index/${session}-`)
  return key
}

/** Fails unless a second repair finds nothing to do, and writes nothing. */
async function expectDone(made: TestRepository): Promise<void> {
  assert.deepEqual((await checkedWholly(made)).errors, [])
  const before = await keysOf(made.storage)
  const { remaining, lost } = await repaired(await reopen(made), { readData: true })
  assert.deepEqual([remaining, lost], [[], []])
  assert.deepEqual(await keysOf(made.storage), before)
}

describe('repair() of the index', () => {
  for (const encryption of ['keyfile', 'none'] as const) {
    it(`rebuilds it from packs alone (${encryption})`, async () => {
      const { storage, open } = await loadRepoV1(encryption)
      const before = (await checked(open(storage))).chunks
      for (const key of await keysOf(storage, 'index/')) await storage.delete(key)
      const result = await repaired(open(storage))
      assert.deepEqual([result.remaining, result.lost], [[], []])
      assert.equal(result.indexedPacks, (await keysOf(storage, 'packs/')).length)
      const after = await checked(open(storage), { readData: true })
      assert.deepEqual(after.errors, [])
      assert.equal(after.chunks, before)
    })

    it(`replaces any of its objects that is damaged, missing or torn (${encryption})`, async () => {
      const { storage, open } = await loadRepoV1(encryption)
      const packs = await keysOf(storage, 'packs/')
      for (const key of await keysOf(storage, 'index/')) {
        const ways: ((copy: Storage) => Promise<void>)[] = [
          (copy) => flipBit(copy, key),
          (copy) => copy.delete(key),
          async (copy) => copy.put(key, (await copy.get(key)).subarray(0, 70)),
        ]
        for (const damage of ways) {
          const copy = storage.clone()
          await damage(copy)
          const isThere = (await keysOf(copy, key)).length > 0
          const result = await repaired(open(copy))
          assert.deepEqual([result.remaining, result.lost], [[], []])
          assert.equal(result.removedIndexObjects, isThere ? 1 : 0)
          assert.deepEqual(await keysOf(copy, key), [])
          assert.deepEqual(await keysOf(copy, 'packs/'), packs)
          assert.deepEqual((await checked(open(copy), { readData: true })).errors, [])
        }
      }
    })
  }

  it('never names what is condemned', async () => {
    const made = await prepare()
    const before = new Set(await keysOf(made.storage, 'packs/'))
    const third = await commitFiles(made, 'third', { z: longText('z') })
    const repository = await reopen(made)
    await repository.forget(third)
    const packs = (await keysOf(made.storage, 'packs/')).filter((key) => !before.has(key)).map(idOfPack)
    await putCondemned(made.storage, repository.keys, packs, {})
    for (const key of await keysOf(made.storage, 'index/')) await made.storage.delete(key)
    const { indexedPacks, remaining } = await repaired(await reopen(made))
    assert.equal(indexedPacks, before.size)
    assert.deepEqual(remaining, [])
    await compacted(await reopen(made))
    await expectDone(made)
    assert.deepEqual(await contentOf(made), { first: FIRST, second: SECOND })
  })

  it('writes nothing where nothing is damaged, whatever interrupted runs left', async () => {
    const made = await prepare()
    const { session } = await openSnapshot(await reopen(made), 'third', { z: longText('z') })
    await session.abandon()
    const faulty = new FaultyStorage(made.storage)
    const { remaining, found } = await repaired(await reopen(made, faulty), { readData: true })
    assert.deepEqual([remaining, found.errors], [[], 0])
    assert.equal(faulty.countMutations(), 0)
  })

  it('takes nothing for lost that only cannot be read now', async () => {
    const made = await prepare()
    for (const prefix of ['packs/', 'index/', 'commits/']) {
      const [key = ''] = prefix === 'packs/' ? await packsOf(made, 'treePack') : await keysOf(made.storage, prefix)
      const faulty = new FaultyStorage(made.storage)
      const error = new CairnError('STORAGE_UNAVAILABLE', 'Cannot read it now')
      faulty.fail({ kind: 'get', prefix: key, times: Infinity, error })
      await assert.rejects(
        repaired(await reopen(made, faulty), { readData: true }),
        { code: 'STORAGE_UNAVAILABLE' },
        prefix,
      )
      assert.equal(faulty.countMutations(), 0)
    }
  })
})

describe('repair() of packs', () => {
  const ways: Record<string, (storage: Storage, key: string) => Promise<void>> = {
    missing: (storage, key) => storage.delete(key),
    truncated: async (storage, key) => storage.put(key, (await storage.get(key)).subarray(0, 90)),
    'flipped in its segment': (storage, key) => flipBit(storage, key),
  }
  for (const [what, damage] of Object.entries(ways)) {
    it(`leaves out of snapshots what was in a data pack that is ${what}, and heals with the next backup`, async () => {
      const made = await prepare()
      const [first = '', second = ''] = await packsOf(made, 'dataPack')
      const isFirst = (await made.storage.get(first)).length > (await made.storage.get(second)).length
      await damage(made.storage, isFirst ? first : second) // a and b, which were stored together
      const damaged = await loadedSnapshots(made)
      const result = await repaired(await reopen(made), { readData: true })
      assert.deepEqual(result.lost, ['first:a:file', 'first:b:file', 'second:a:file'])
      assert.deepEqual([result.remaining, result.retiredPacks], [[], 1])
      // Nothing is left of the first, which is deleted; what is left of the second says so.
      assert.deepEqual(await contentOf(made), { second: { c: SECOND['c'] } })
      const [rest] = await loadedSnapshots(made)
      assert.equal(rest?.comment, 'repaired: 1 file lost')
      assert.equal(rest?.issues, 1)
      assert.equal(rest?.madeFrom, damaged.find(({ name }) => name === 'second')?.id)
      await expectDone(made)
      await commitFiles(made, 'third', { ...FIRST, ...SECOND })
      await expectDone(made)
      await compacted(await reopen(made))
      await expectDone(made)
      assert.deepEqual(await contentOf(made), { second: { c: SECOND['c'] }, third: { ...FIRST, ...SECOND } })
      assert.deepEqual(await keysOf(made.storage, 'condemned/'), [])
    })

    it(`deletes a snapshot of which nothing is left when a tree pack is ${what}`, async () => {
      const made = await prepare()
      const [key = ''] = await packsOf(made, 'treePack')
      await damage(made.storage, key)
      const result = await repaired(await reopen(made))
      assert.deepEqual(result.remaining, [])
      assert.equal(result.lost.length, 1)
      const { before, after } = result.dropped[0] ?? assert.fail()
      assert.deepEqual([result.lost[0], after], [`${before.name}::directory`, undefined])
      assert.deepEqual(Object.keys(await contentOf(made)), [before.name === 'first' ? 'second' : 'first'])
      await expectDone(made)
      await compacted(await reopen(made))
      await expectDone(made)
    })
  }

  it('moves what is sound out of a pack of which only the table is damaged, and loses nothing', async () => {
    const made = await prepare()
    for (const key of await packsOf(made, 'dataPack'))
      await flipBit(made.storage, key, (await made.storage.get(key)).length - 10)
    const result = await repaired(await reopen(made), { readData: true })
    assert.deepEqual([result.remaining, result.lost, result.retiredPacks], [[], [], 2])
    assert.deepEqual(await contentOf(made), { first: FIRST, second: SECOND })
    await compacted(await reopen(made))
    await expectDone(made)
    assert.deepEqual(await contentOf(made), { first: FIRST, second: SECOND })
  })

  it('keeps the name, comment, tags and pin of what is left', async () => {
    const made = await newTestRepository({ encryption: 'none' })
    await commitFiles(made, 'first', { a: longText('a') })
    const [pack = ''] = await packsOf(made, 'dataPack')
    const fields = { snapshot: { comment: 'weekly', tags: ['t'] } }
    const { session, commit: end } = await openSnapshot(await reopen(made), 'second', FIRST, fields)
    await end()
    await made.storage.put(`pins/${session.id}`, new Uint8Array())
    await made.storage.delete(pack)
    const { dropped } = await repaired(await reopen(made))
    assert.equal(dropped.length, 2)
    const [rest, ...others] = await loadedSnapshots(made)
    assert.equal(others.length, 0)
    assert.deepEqual(
      [rest?.name, rest?.comment, rest?.tags, rest?.pinned],
      ['second', 'weekly (repaired: 1 file lost)', ['t'], true],
    )
    await expectDone(made)
  })
})

describe('repair() of commits and condemned sets', () => {
  it('deletes a snapshot whose record is damaged, and keeps what others use of it', async () => {
    const made = await prepare()
    const [first] = await loadedSnapshots(made)
    const id = first?.id ?? assert.fail()
    await flipBit(made.storage, `commits/${id}`)
    const result = await repaired(await reopen(made))
    assert.deepEqual([result.lostSnapshots, result.remaining], [[id], []])
    const left = await contentOf(made)
    assert.equal(Object.keys(left).length, 1)
    await compacted(await reopen(made))
    await expectDone(made)
    assert.deepEqual(await contentOf(made), left)
    assert.deepEqual(await keysOf(made.storage, 'forgotten/'), [])
  })

  it('lets runs write again that a damaged condemned set has stopped', async () => {
    const made = await prepare()
    const repository = await reopen(made)
    const packs = (await keysOf(made.storage, 'packs/')).map(idOfPack)
    const set = await putCondemned(made.storage, repository.keys, packs, {})
    await flipBit(made.storage, `condemned/${set}`)
    await assert.rejects(commitFiles(made, 'third', FIRST), { code: 'DATA_CORRUPT' })
    const result = await repaired(await reopen(made))
    assert.deepEqual([result.replacedCondemned, result.remaining, result.lost], [1, [], []])
    await commitFiles(made, 'third', FIRST)
    await expectDone(made)
    assert.deepEqual(await contentOf(made), { first: FIRST, second: SECOND, third: FIRST })
  })

  it('brings a reclamation to its end that had committed when its set was damaged', async () => {
    const made = await prepare()
    const first = (await loadedSnapshots(made)).find(({ name }) => name === 'first')
    await (await reopen(made)).forget(first?.id ?? assert.fail())
    let stopped = 0
    for (let nth = 1; ; nth++) {
      const copy = copyOf(made)
      const faulty = new FaultyStorage(copy.storage)
      faulty.crashAt(nth, 'before')
      const isDone = await compacted(await reopen(copy, faulty)).then(
        () => true,
        () => false,
      )
      if (isDone) break
      await endSessions(copy)
      const damaged = await keysOf(copy.storage, 'condemned/')
      for (const key of damaged) await flipBit(copy.storage, key)
      const { remaining, lost } = await repaired(await reopen(copy))
      assert.deepEqual([remaining, lost], [[], []])
      if (await hasReclaimed(copy, damaged)) {
        // Whoever had begun to delete may go on at any moment: nobody may adopt what he deletes.
        const { notes } = await checked(await reopen(copy))
        const orphans = notes.filter(({ object }) => object.startsWith('packs/')).map(({ object }) => idOfPack(object))
        const condemned = [...(await readCondemned(copy.storage, made.repository.keys, {})).values()].flat()
        assert.deepEqual(orphans.sort(), condemned.sort())
        stopped++
      }
      await commitFiles(copy, 'third', { ...FIRST, ...SECOND })
      await compacted(await reopen(copy))
      assert.deepEqual((await checkedWholly(copy)).errors, [])
      assert.deepEqual(await contentOf(copy), { second: SECOND, third: { ...FIRST, ...SECOND } })
      assert.deepEqual(await keysOf(copy.storage, 'condemned/'), [])
    }
    assert.ok(stopped > 2, String(stopped))
  })
})

describe('repair() beside other runs', () => {
  it('waits for those that may rely on what is lost, and looks at what they have committed', async () => {
    const made = await prepare()
    const [{ name } = assert.fail(), ...others] = await loadedSnapshots(made)
    assert.equal(others.length, 1)
    const { commit: end } = await openSnapshot(await reopen(made), 'third', { ...FIRST, ...SECOND }) // stores no content
    for (const key of await packsOf(made, 'dataPack')) await made.storage.delete(key)
    let ended: Promise<void> | undefined
    const lost: string[] = []
    const { remaining, dropped } = await repaired(await reopen(made), {
      observer: {
        error: () => undefined,
        note: () => undefined,
        progress: () => undefined,
        lost: (snapshot, path) => void lost.push(`${snapshot.name}:${path}`),
        waiting(runs) {
          assert.equal(runs, 1)
          assert.deepEqual(lost, [], `${name} was changed before the run had ended`)
          ended ??= end()
        },
      },
    })
    await ended
    assert.deepEqual([remaining, dropped.length], [[], 3])
    assert.deepEqual(lost.filter((path) => path.startsWith('third')).sort(), ['third:a', 'third:b', 'third:c'])
    await expectDone(made)
    await commitFiles(made, 'third', { ...FIRST, ...SECOND })
    assert.deepEqual(await contentOf(made), { third: { ...FIRST, ...SECOND } })
  })

  it('is not thwarted by a reclamation that knows of a set which was given up', async () => {
    const made = await prepare()
    const packs = (await keysOf(made.storage, 'packs/')).map(idOfPack)
    const given = await reclaim(await reopen(made), new Map([['0'.repeat(32), packs]]), { compression: ZSTD })
    assert.equal(given, undefined)
    await expectDone(made)
  })
})

describe('a repair that is interrupted', () => {
  const kinds: Record<string, (made: TestRepository) => Promise<void>> = {
    'a missing pack': async (made) => {
      const [key = ''] = await packsOf(made, 'dataPack')
      await made.storage.delete(key)
    },
    'a flipped bit and a damaged index object': async (made) => {
      const [{ id } = assert.fail()] = await loadedSnapshots(made)
      const [key = ''] = await packsOf(made, 'dataPack')
      await flipBit(made.storage, key)
      await flipBit(made.storage, await indexOf(made, id))
    },
  }
  for (const [what, damage] of Object.entries(kinds)) {
    for (const point of ['before', 'after'] as const satisfies readonly CrashPoint[]) {
      it(`is completed by the next one, wherever it crashes (${what}, ${point})`, async () => {
        const made = await prepare()
        await damage(made)
        const whole = copyOf(made)
        await repaired(await reopen(whole), { readData: true })
        const want = await contentOf(whole)
        for (let nth = 1; ; nth++) {
          const copy = copyOf(made)
          const faulty = new FaultyStorage(copy.storage)
          const repository = await reopen(copy, faulty)
          faulty.crashAt(nth, point)
          await repaired(repository, { readData: true }).catch(() => undefined)
          await endSessions(copy)
          await repaired(await reopen(copy), { readData: true })
          assert.deepEqual(await contentOf(copy), want, `crashed ${point} operation ${nth}`)
          await compacted(await reopen(copy))
          assert.deepEqual(await contentOf(copy), want, `crashed ${point} operation ${nth}, compacted`)
          await expectDone(copy)
          if (faulty.crashed) continue
          assert.ok(nth > 8, String(nth))
          return
        }
      })
    }
  }
})

/** Whether a reclamation of one of these sets has committed. */
async function hasReclaimed(made: TestRepository, condemned: readonly string[]): Promise<boolean> {
  const repository = await reopen(made)
  await repository.loadIndex()
  const records = (await repository.loadCommits()).map(({ value }) => reclaimRecordOf(value))
  return records.some((record) => record?.reclaimed.some((id) => condemned.includes(`condemned/${id}`)))
}

async function loadedSnapshots(made: TestRepository): ReturnType<typeof loadSnapshots> {
  const repository = await reopen(made)
  await repository.loadIndex()
  return loadSnapshots(repository)
}
