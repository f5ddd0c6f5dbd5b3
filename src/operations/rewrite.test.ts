import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { TestRepository, expectSound, newFolder, statuses } from '../../test/testing.ts'
import { digestTree } from '../../test/tree-digest.ts'
import { testBytes } from '../chunker/testing.ts'
import { CairnError } from '../base/errors.ts'
import type { PackId } from '../base/ids.ts'
import { putCondemned } from '../repository/low-level.ts'
import { packKey } from '../repository/repository.ts'
import { LocalStorage } from '../storage/local/local-storage.ts'
import { FaultyStorage } from '../storage/testing.ts'
import { compactRepository } from './compact.ts'
import { changeComment, changeTags, pinSnapshots } from './labels.ts'
import { listSnapshots } from './list.ts'
import { renameSnapshot } from './rename.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import { type RewriteResult, rewriteSnapshots } from './rewrite.ts'
import type { SnapshotInfo } from './snapshot-info.ts'
import { undeleteSnapshot } from './undelete.ts'

const ALL = { wanted: [], glob: '*' } as const

function newSource(): string {
  const source = newFolder()
  mkdirSync(`${source}/keep`)
  mkdirSync(`${source}/secret/deep`, { recursive: true })
  writeFileSync(`${source}/keep/a`, testBytes('a', 200_000))
  writeFileSync(`${source}/keep/secret.txt`, 'a secret')
  writeFileSync(`${source}/secret/deep/b`, testBytes('b', 200_000))
  writeFileSync(`${source}/z`, 'z')
  return source
}

const withoutSecrets = (source: string): { kind: 'exclude'; value: string }[] => [
  { kind: 'exclude', value: source.slice(1) + '/secret' },
  { kind: 'exclude', value: '*/secret.txt' },
]

/** What is left on the disk once the same is removed there. */
function removeSecrets(source: string): void {
  rmSync(`${source}/secret`, { recursive: true })
  rmSync(`${source}/keep/secret.txt`)
}

/** Lines of a digest without times: a folder from which something was removed has another one. */
function withoutTimes(lines: readonly string[]): string[] {
  return lines.map((line) => line.replaceAll(/\b\d{15,}n?\b/g, 'time'))
}

async function rewrite(
  repository: TestRepository,
  source: string,
  access: Partial<RepositoryAccess> = {},
): Promise<readonly RewriteResult[]> {
  const options = { selection: ALL, patterns: withoutSecrets(source) }
  return (await rewriteSnapshots({ ...repository.access, ...access }, options)).results
}

async function snapshotsOf({ access }: TestRepository, deleted = false): Promise<readonly SnapshotInfo[]> {
  return (await listSnapshots(access, { deleted })).snapshots
}

async function expectSecretsGone(repository: TestRepository, source: string, name: string): Promise<void> {
  const { target, issues } = await repository.extract({ snapshot: name })
  assert.equal(issues, 0)
  removeSecrets(source)
  assert.deepEqual(withoutTimes(digestTree(target + source)), withoutTimes(digestTree(source)))
}

describe('rewriteSnapshots()', () => {
  it('puts a snapshot without these paths in the place of the old one, with all that is said of it', async () => {
    const repository = await TestRepository.create()
    const { access } = repository
    const source = newSource()
    const digest = digestTree(source)
    await repository.create([source], { name: 'a' })
    await renameSnapshot(access, 'a', 'b')
    await changeTags(access, ALL, { add: ['t'] })
    await changeComment(access, ALL, 'c')
    await pinSnapshots(access, ALL, true)
    const [before] = await snapshotsOf(repository)
    const packs = repository.objects('packs/')

    const [result] = await rewrite(repository, source)
    const [after, ...more] = await snapshotsOf(repository)
    assert.deepEqual(
      [result?.leftOut, result?.before, result?.after, more],
      [2, before, { ...after, pinned: true }, []],
    )
    const { id, tree, stats, ...rest } = after ?? assert.fail()
    const { id: oldId, tree: oldTree, stats: oldStats, ...oldRest } = before ?? assert.fail()
    assert.deepEqual(rest, { ...oldRest, madeFrom: oldId })
    assert.ok(id !== oldId && tree !== oldTree)
    assert.deepEqual(
      [stats.filesUnmodified, stats.directories, stats.originalBytes],
      [2, oldStats.directories - 2, 200_001],
    )
    // Content is not stored again: one pack of trees.
    assert.equal(repository.objects('packs/').length, packs.length + 1)
    assert.deepEqual(repository.objects('sessions/'), [])

    // The old one can be brought back, under another name.
    await assert.rejects(undeleteSnapshot(access, { wanted: 'b' }), { code: 'SNAPSHOT_EXISTS' })
    await undeleteSnapshot(access, { wanted: 'b', name: 'old' })
    await repository.expectRestored(source, 'old', digest)
    await expectSecretsGone(repository, source, 'b')
    await expectSound(repository)
  })

  it('relies on no pack that is about to be deleted', async () => {
    const repository = await TestRepository.create()
    const { access } = repository
    const source = newSource()
    await repository.create([source], { name: 'a' })
    const packs = await withRepository(access, async (opened) => {
      await opened.loadIndex()
      const ids = opened.index.packs.map(({ id }) => id as PackId)
      await putCondemned(opened.storage, opened.keys, ids, {})
      return ids
    })
    await rewrite(repository, source)
    // The reclamation does not wait for a run that began after it; and somebody deletes the old one before it looks.
    await withRepository(access, async ({ storage }) => {
      for (const id of packs) await storage.delete(packKey(id))
    })
    await expectSecretsGone(repository, source, 'a')
  })

  it('lets the next backup find what has not changed', async () => {
    const repository = await TestRepository.create()
    const source = newSource()
    await repository.create([source], { name: 'a' })
    await rewrite(repository, source)
    const { events, snapshot } = await repository.create([source], { name: 'next' })
    assert.deepEqual(
      Object.entries(statuses(events))
        .filter(([path]) => path.startsWith(source.slice(1)))
        .map(([path, status]) => [path.slice(source.length), status])
        .filter(([, status]) => status !== 'd')
        .toSorted(),
      [
        ['keep/a', 'U'],
        ['keep/secret.txt', 'A'],
        ['secret/deep/b', 'A'],
        ['z', 'U'],
      ],
    )
    // And what was left out is still in the repository, since nothing has been reclaimed.
    assert.equal(snapshot.stats.chunksNew, 0)
    await repository.expectRestored(source, 'next')
  })

  it('leaves alone what nothing matches in, and everything in a dry run', async () => {
    const repository = await TestRepository.create()
    const source = newSource()
    await repository.create([source], { name: 'a' })
    const other = newFolder()
    writeFileSync(`${other}/x`, 'x')
    await repository.create([other], { name: 'other' })
    const before = repository.objects('')
    const told: string[] = []
    const { results, reclaimableBytes } = await rewriteSnapshots(repository.access, {
      selection: ALL,
      patterns: withoutSecrets(source),
      dryRun: true,
      onLeftOut: ({ name }, path) => told.push(`${name} ${path.slice(source.length)}`),
    })
    assert.deepEqual(told, ['a keep/secret.txt', 'a secret'])
    assert.equal(reclaimableBytes, undefined)
    assert.deepEqual(
      results.map(({ leftOut, after }) => [leftOut, after]),
      [
        [2, undefined],
        [0, undefined],
      ],
    )
    assert.deepEqual(repository.objects(''), before)
    const ids = (await snapshotsOf(repository)).map(({ id }) => id)
    const [first, second] = await rewrite(repository, source)
    assert.ok(first?.after && !second?.after)
    assert.ok((await snapshotsOf(repository)).some(({ id, name }) => id === ids[1] && name === 'other'))
    assert.equal((await rewrite(repository, source))[0]?.after, undefined)
  })

  it('tells how much a compaction would give back', async () => {
    const repository = await TestRepository.create({ encryption: 'none' })
    const source = newSource()
    writeFileSync(`${source}/secret/large`, testBytes('large', 3 << 20))
    await repository.create([source], { name: 'a' })
    const { reclaimableBytes } = await rewriteSnapshots(repository.access, {
      selection: ALL,
      patterns: withoutSecrets(source),
    })
    const bytes = repository.packBytes()
    await compactRepository(repository.access, { threshold: 0 })
    assert.ok(reclaimableBytes !== undefined && reclaimableBytes > 3 << 20)
    assert.ok(Math.abs(bytes - repository.packBytes() - reclaimableBytes) < 100_000)
  })

  it('refuses what makes no sense, and then changes nothing', async () => {
    const repository = await TestRepository.create()
    const { access } = repository
    const source = newSource()
    await repository.create([source], { name: 'a' })
    const before = repository.objects('commits/')
    for (const [patterns, message] of [
      [[], /nothing to leave out was given/],
      [[{ kind: 'exclude', value: '*' }], /nothing would be left of it; use 'cairn delete'/],
      [[{ kind: 'pattern', value: 'R /home' }], /it names a path to back up/],
    ] as const)
      await assert.rejects(rewriteSnapshots(access, { selection: ALL, patterns }), {
        code: 'INVALID_ARGUMENT',
        message,
      })
    await assert.rejects(
      rewriteSnapshots(access, { selection: { wanted: ['nope'] }, patterns: withoutSecrets(source) }),
      { code: 'NOT_FOUND' },
    )
    assert.deepEqual([repository.objects('commits/'), repository.objects('sessions/')], [before, []])
  })

  it('changes nothing where the store does not permit it, and says when the old one has to be deleted by hand', async () => {
    const repository = await TestRepository.create()
    const source = newSource()
    await repository.create([source], { name: 'a' })
    for (const [kind, prefix, message, left] of [
      ['put', 'sessions/', /Cannot rewrite snapshot 'a': the store does not permit it/, 1],
      ['put', 'packs/', /Cannot rewrite snapshot 'a': the store does not permit it/, 1],
      ['putIfAbsent', 'names/', /Cannot rewrite snapshot 'a': the store does not permit it/, 1],
      ['putIfAbsent', 'commits/', /Cannot rewrite snapshot 'a': the store does not permit it/, 1],
      [
        'put',
        'forgotten/',
        /Cannot delete the snapshot [0-9a-f]{32} that was rewritten: .* delete the old one by its id/,
        2,
      ],
    ] as const) {
      const openStorage = async (location: string): Promise<FaultyStorage> => {
        const storage = new FaultyStorage(await LocalStorage.open(location))
        storage.fail({ kind, prefix, times: Infinity, error: new CairnError('STORAGE_DENIED', 'Cannot: append only') })
        return storage
      }
      await assert.rejects(rewrite(repository, source, { openStorage }), { code: 'STORAGE_DENIED', message })
      assert.equal((await snapshotsOf(repository)).length, left)
    }
    await expectSound(repository)
  })

  it('leaves the old snapshot or the new one under the name, wherever it is stopped, and can be run again', async () => {
    const repository = await TestRepository.create()
    const source = newSource()
    await repository.create([source], { name: 'a' })
    await pinSnapshots(repository.access, ALL, true)
    const digest = digestTree(source)
    for (let nth = 1; ; nth++) {
      const copy = repository.copy()
      let storage: FaultyStorage | undefined
      const openStorage = async (location: string): Promise<FaultyStorage> => {
        storage = new FaultyStorage(await LocalStorage.open(location))
        storage.crashAt(nth, 'before')
        return storage
      }
      const isDone = await rewrite(copy, source, { openStorage }).then(
        () => true,
        () => false,
      )
      const found = await snapshotsOf(copy)
      assert.deepEqual([...new Set(found.map(({ name }) => name))], ['a'])
      assert.ok(found.every(({ pinned }) => pinned))
      const isCommitted = found.some(({ madeFrom }) => madeFrom !== undefined)
      assert.equal(found.length, isDone || !isCommitted ? 1 : 2)
      // A name is nobody else's meanwhile; and a process of this machine that lives is not taken for dead.
      for (const key of copy.objects('sessions/')) await removeObject(copy, key)
      await assert.rejects(copy.create([source], { name: 'a' }), { code: 'SNAPSHOT_EXISTS' })
      if (!isCommitted) await copy.expectRestored(source, 'a', digest)
      // By the name, the new one is found. The next run does what is left to do.
      if (isCommitted) await expectRewritten(copy, source, digest)
      await rewrite(copy, source)
      assert.equal((await snapshotsOf(copy)).length, 1)
      await expectRewritten(copy, source, digest)
      await expectSound(copy)
      copy.remove()
      if (!storage?.crashed) {
        assert.ok(nth > 6)
        return
      }
    }
  })
})

async function expectRewritten(repository: TestRepository, source: string, digest: readonly string[]): Promise<void> {
  const { target } = await repository.extract({ snapshot: 'a' })
  assert.equal(digestTree(target + source).length, digest.length - 4)
}

async function removeObject({ location }: TestRepository, key: string): Promise<void> {
  const storage = await LocalStorage.open(location)
  await storage.delete(key)
  await storage.close()
}
