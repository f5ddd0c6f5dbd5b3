import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { CairnError } from '../base/errors.ts'
import { type SessionId, asChunkId } from '../base/ids.ts'
import { fromRawName, toRawName } from '../base/raw-name.ts'
import { deriveRepositoryKeys } from '../repository/keys.ts'
import { changeLabel, changeName, changePin } from '../repository/labels.ts'
import type { CommitRecord } from '../repository/repository.ts'
import { MemoryStorage } from '../storage/memory/memory-storage.ts'
import { SnapshotCatalog, findParent, findSnapshot, loadSnapshots, withoutRestored } from './catalog.ts'
import { type Snapshot, encodeSnapshot } from './snapshot.ts'
import { testSnapshot } from './testing.ts'

function snapshot(id: string, fields: Partial<Snapshot> = {}): Snapshot {
  return testSnapshot({ id: id.padEnd(32, '0') as SessionId, ...fields })
}

/** A repository with these commits, and no labels. */
function withCommits(records: readonly CommitRecord[]): Parameters<typeof loadSnapshots>[0] {
  const keys = deriveRepositoryKeys(Buffer.alloc(32), 'none')
  return { loadCommits: async () => [...records], storage: new MemoryStorage(), keys }
}

describe('loadSnapshots()', () => {
  it('gives the oldest first, equal times by id, and leaves out commits of something else', async () => {
    const made = [
      snapshot('c', { startedAt: '2026-01-02T00:00:00.000Z' }),
      snapshot('b', { startedAt: '2026-01-03T00:00:00.000Z' }),
      snapshot('a', { startedAt: '2026-01-03T00:00:00.000Z' }),
      snapshot('d', { startedAt: '2025-12-31T23:59:59.999Z' }),
    ]
    const records = made.map((one) => ({ session: one.id, value: encodeSnapshot(one) }))
    const other = { session: 'e'.repeat(32) as SessionId, value: { reclaimed: [] } }
    const loaded = await loadSnapshots(withCommits([other, ...records]))
    assert.deepEqual(
      loaded.map(({ id }) => id[0]),
      ['d', 'c', 'a', 'b'],
    )
  })

  it('ends at a record that makes no sense, or passes it over and tells', async () => {
    const [good, bad] = [snapshot('a'), snapshot('b')]
    const records = [
      { session: bad.id, value: { snapshot: { ...(encodeSnapshot(bad)['snapshot'] as object), name: 1 } } },
      { session: good.id, value: encodeSnapshot(good) },
    ]
    const repository = withCommits(records)
    await assert.rejects(loadSnapshots(repository), { code: 'DATA_CORRUPT' })
    const damaged: unknown[] = []
    const loaded = await loadSnapshots(repository, { onDamaged: ({ details }) => damaged.push(details['object']) })
    assert.deepEqual([loaded.map(({ id }) => id), damaged], [[good.id], [`commits/${bad.id}`]])
  })
})

describe('SnapshotCatalog', () => {
  it('reads each commit once, and follows what comes, goes and is renamed', async () => {
    const [a, b] = [snapshot('a', { name: 'a' }), snapshot('b', { name: 'b' })]
    const other = { session: 'e'.repeat(32) as SessionId, value: { reclaimed: [] } }
    const records = [other, ...[a, b].map((one) => ({ session: one.id, value: encodeSnapshot(one) }))]
    const { storage, keys } = withCommits([])
    let there = records
    const read: SessionId[] = []
    const repository = {
      storage,
      keys,
      listCommits: async () => there.map(({ session }) => session),
      loadCommitsOf: async (sessions: readonly SessionId[]) => {
        read.push(...sessions)
        return records.filter(({ session }) => sessions.includes(session))
      },
    }
    const catalog = new SnapshotCatalog()
    const names = async (): Promise<string[]> => (await catalog.load(repository)).map(({ name }) => name)
    there = records.slice(0, 2)
    assert.deepEqual(await names(), ['a'])
    there = records
    assert.deepEqual(await names(), ['a', 'b'])
    assert.deepEqual(
      read,
      records.map(({ session }) => session),
    )
    await changeName({ storage, keys }, b.id, 'c')
    assert.deepEqual(await names(), ['a', 'c'])
    there = records.slice(2)
    assert.deepEqual(await names(), ['c'])
    assert.equal(read.length, 3)
  })

  it('tells of a damaged record every time', async () => {
    const bad = { session: 'b'.repeat(32) as SessionId, value: { snapshot: { name: 1 } } }
    const { storage, keys } = withCommits([])
    const repository = { storage, keys, listCommits: async () => [bad.session], loadCommitsOf: async () => [bad] }
    const catalog = new SnapshotCatalog()
    const damaged: unknown[] = []
    const onDamaged = ({ details }: CairnError): void => void damaged.push(details['object'])
    for (let i = 0; i < 2; i++) assert.deepEqual(await catalog.load(repository, { onDamaged }), [])
    assert.deepEqual(damaged, [`commits/${bad.session}`, `commits/${bad.session}`])
    await assert.rejects(catalog.load(repository), { code: 'DATA_CORRUPT' })
  })
})

describe('a label', () => {
  it('says what a snapshot is called now, and leaves the rest to its commit', async () => {
    const made = [
      snapshot('a', { name: 'old', comment: 'c', tags: ['t'] }),
      snapshot('b', { name: 'b', comment: 'c', tags: ['t'] }),
      snapshot('c', { name: 'c', comment: 'c', tags: ['t'] }),
    ]
    const [a, b] = made.map(({ id }) => id) as [SessionId, SessionId]
    const repository = withCommits(made.map((one) => ({ session: one.id, value: encodeSnapshot(one) })))
    await changeName(repository, a, 'new')
    await changeLabel(repository, b, () => ({ comment: '' }))
    await changeLabel(repository, b, () => ({ tags: [] }))
    await changePin(repository, b, true)
    const loaded = await loadSnapshots(repository)
    assert.deepEqual(
      loaded.map(({ name, comment, tags, pinned }) => [name, comment, tags, pinned]),
      [
        ['new', 'c', ['t'], false],
        ['b', '', [], true],
        ['c', 'c', ['t'], false],
      ],
    )
    assert.equal(findSnapshot(loaded, 'new').id, a)
    assert.throws(() => findSnapshot(loaded, 'old'), { code: 'NOT_FOUND' })
  })
})

describe('withoutRestored()', () => {
  it('leaves out what has come back whole, not what was made from it otherwise', () => {
    const deleted = [snapshot('a'), snapshot('b'), snapshot('c')]
    const [a, b] = deleted.map(({ id }) => id)
    const other = asChunkId(Buffer.alloc(32, 7))
    const present = [snapshot('d', { madeFrom: a }), snapshot('e', { madeFrom: b, tree: other })]
    assert.deepEqual(withoutRestored(deleted, present), deleted.slice(1))
  })
})

describe('findSnapshot()', () => {
  const snapshots = [
    snapshot('aaaa1', { name: 'monday' }),
    snapshot('aaaa2', { name: 'tuesday' }),
    snapshot('bbbb1', { name: 'aaaa' }),
    snapshot('cccc1', { name: 'latest' }),
    snapshot('dddd1', { name: 'wednesday' }),
  ]
  const find = (wanted: string): string => findSnapshot(snapshots, wanted).id.slice(0, 5)

  it('finds the latest, a name, and a prefix of an id', () => {
    assert.equal(find('latest'), 'dddd1')
    assert.equal(find('tuesday'), 'aaaa2')
    assert.equal(find('aaaa1'), 'aaaa1')
    assert.equal(find('dddd'), 'dddd1')
    assert.equal(find(snapshots[0]?.id ?? ''), 'aaaa1')
  })

  it('takes a name for a name even where it looks like an id', () => {
    assert.equal(find('aaaa'), 'bbbb1')
  })

  it('takes the newest of several with one name', () => {
    assert.equal(findSnapshot([snapshot('1111', { name: 'x' }), snapshot('2222', { name: 'x' })], 'x').id[0], '2')
  })

  it('refuses a prefix that several ids begin with', () => {
    const two = [snapshot('abcd1'), snapshot('abcd2')]
    assert.throws(() => findSnapshot(two, 'abcd'), { code: 'INVALID_ARGUMENT', message: /2 ids begin so/ })
  })

  it('throws NOT_FOUND for anything else, and says so when there is no snapshot at all', () => {
    for (const wanted of ['', 'aaa', 'AAAA', 'aaaa9', 'mon', 'monday ', 'f'.repeat(33)])
      assert.throws(() => find(wanted), { code: 'NOT_FOUND', message: /no name or id matches/ }, wanted)
    for (const wanted of ['latest', 'x', 'abcd'])
      assert.throws(() => findSnapshot([], wanted), { code: 'NOT_FOUND', message: /none yet/ })
  })
})

/** The latest snapshot, and the parent for a run of `/` on `host`. */
function found(...snapshots: Snapshot[]): (string | undefined)[] {
  return [findSnapshot(snapshots, 'latest').id[0], findParent(snapshots, 'host', ['/'])?.id[0]]
}

describe('a snapshot that takes the place of another', () => {
  it('is found by the name that both have, whichever is later', () => {
    const old = snapshot('a', { name: 'n' })
    const made = snapshot('b', { name: 'n', madeFrom: old.id })
    for (const snapshots of [
      [old, made],
      [made, old],
    ]) {
      assert.equal(findSnapshot(snapshots, 'n'), made)
      assert.equal(findSnapshot(snapshots, old.id), old)
    }
    assert.equal(findSnapshot([old], 'n'), old)
  })
})

describe('a checkpoint', () => {
  const [one, two, three] = [snapshot('1'), snapshot('2', { checkpoint: true }), snapshot('3', { checkpoint: true })]

  it('is the latest snapshot, or a parent, only where there is nothing else', () => {
    assert.deepEqual(found(one, two, three), ['1', '1'])
    assert.deepEqual(found(two, one, three), ['1', '1'])
    assert.deepEqual(found(two, three), ['3', '3'])
    const elsewhere = { ...one, hostname: 'elsewhere' }
    assert.deepEqual(found(elsewhere, two, three), ['1', '3'])
  })

  it('is found by its name and its id', () => {
    const named = { ...two, name: 'on the way' }
    assert.equal(findSnapshot([one, named], 'on the way'), named)
    assert.equal(findSnapshot([one, named], '20000'), named)
  })
})

describe('findParent()', () => {
  const snapshots = [
    snapshot('1', { hostname: 'h', paths: ['/a', '/b'] }),
    snapshot('2', { hostname: 'h', paths: ['/a'] }),
    snapshot('3', { hostname: 'other', paths: ['/a'] }),
    snapshot('4', { hostname: 'h', paths: ['/b', '/a'] }),
  ]
  const parent = (hostname: string, ...paths: string[]): string | undefined =>
    findParent(snapshots, hostname, paths)?.id[0]

  it('is the newest of the same host and the same paths in any order', () => {
    assert.equal(parent('h', '/a', '/b'), '4')
    assert.equal(parent('h', '/b', '/a'), '4')
    assert.equal(parent('h', '/a'), '2')
    assert.equal(parent('other', '/a'), '3')
  })

  it('is found by the bytes of its paths, however those became text', () => {
    const joined = '/caf\u00e9/\udcff'
    const asAWhole = fromRawName(toRawName(joined))
    assert.notEqual(joined, asAWhole)
    assert.equal(findParent([snapshot('1', { hostname: 'h', paths: [asAWhole] })], 'h', [joined])?.id[0], '1')
  })

  it('is none where nothing was backed up so before', () => {
    assert.equal(parent('h', '/b'), undefined)
    assert.equal(parent('new', '/a'), undefined)
    assert.equal(parent('h', '/a', '/a'), undefined)
    assert.equal(findParent([], 'h', ['/a']), undefined)
  })
})
