import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { TestRepository, expectSound, newFolder } from '../../test/testing.ts'
import { CairnError } from '../base/errors.ts'
import { LocalStorage } from '../storage/local/local-storage.ts'
import { FaultyStorage, type OperationFilter } from '../storage/testing.ts'
import { deleteSnapshots } from './delete.ts'
import { changeTags, pinSnapshots } from './labels.ts'
import { listSnapshots } from './list.ts'
import { renameSnapshot } from './rename.ts'
import type { RepositoryAccess } from './repository-access.ts'
import type { SnapshotSelection } from './snapshot-selection.ts'
import { undeleteSnapshot } from './undelete.ts'

const select = (...wanted: string[]): SnapshotSelection => ({ wanted })

/** A repository with snapshots of these names, each of another folder; by name. */
async function repositoryWith(
  ...names: string[]
): Promise<{ repository: TestRepository; sources: Map<string, string> }> {
  const repository = await TestRepository.create()
  const sources = new Map<string, string>()
  for (const name of names) {
    const source = newFolder()
    writeFileSync(`${source}/${name}`, `content of ${name}`)
    await repository.create([source], { name })
    sources.set(name, source)
  }
  return { repository, sources }
}

async function namesOf({ access }: TestRepository, deleted = false): Promise<string[]> {
  return (await listSnapshots(access, { deleted })).snapshots.map(({ name }) => name)
}

/** Access by way of a store that refuses some operations, as one does that only takes new objects. */
function refusing(access: RepositoryAccess, filter: OperationFilter, nth = 1): RepositoryAccess {
  return {
    ...access,
    openStorage: async (location) => {
      const storage = new FaultyStorage(await LocalStorage.open(location))
      const error = new CairnError('STORAGE_DENIED', `Cannot change ${location}: append only`)
      storage.fail({ ...filter, nth, times: Infinity, error })
      return storage
    },
  }
}

describe('deleteSnapshots()', () => {
  it('deletes what is named, by names, ids, patterns and prefixes, and frees nothing', async () => {
    const { repository, sources } = await repositoryWith('a', 'b', 'web-1', 'web-2', 'db-1')
    const { access } = repository
    const before = repository.objects('packs/')
    const id = (await listSnapshots(access)).snapshots[1]?.id ?? ''
    const told: string[] = []
    const { snapshots: deleted, reclaimableBytes } = await deleteSnapshots(access, {
      selection: select('a', id.slice(0, 8), 'a'),
      onDeleted: ({ snapshot, number, total }) => told.push(`${number}/${total} ${snapshot.name}`),
    })
    assert.deepEqual(
      [deleted.map(({ name }) => name), told],
      [
        ['a', 'b'],
        ['1/2 a', '2/2 b'],
      ],
    )
    assert.ok(reclaimableBytes !== undefined && reclaimableBytes > 0)
    await deleteSnapshots(access, { selection: { wanted: [], glob: '*-1' } })
    assert.deepEqual(await namesOf(repository), ['web-2'])
    await repository.expectRestored(sources.get('web-2') ?? '', 'web-2')
    await deleteSnapshots(access, { selection: { wanted: [], prefix: 'web-' } })
    assert.deepEqual(await namesOf(repository), [])
    assert.deepEqual((await deleteSnapshots(access, { selection: { wanted: [], prefix: 'web-' } })).snapshots, [])
    assert.deepEqual(repository.objects('packs/'), before)
    await expectSound(repository)
  })

  it('takes a pattern for one of names, with all that shell patterns have', async () => {
    const { repository } = await repositoryWith('web-1', 'web-2', 'web-30', 'my web-1', 'web.1')
    for (const [glob, want] of [
      ['web-?', ['web-1', 'web-2']],
      ['web-[13]*', ['web-1', 'web-30']],
      ['web-*', ['web-1', 'web-2', 'web-30']],
      ['*web*', ['web-1', 'web-2', 'web-30', 'my web-1', 'web.1']],
      ['web', []],
      ['WEB-1', []],
    ] as const) {
      const selection = { wanted: [], glob }
      const { snapshots: deleted } = await deleteSnapshots(repository.access, { selection, dryRun: true })
      assert.deepEqual(
        deleted.map(({ name }) => name),
        want,
        glob,
      )
    }
    assert.equal((await namesOf(repository)).length, 5)
    for (const wrong of [{ glob: 'web-*', prefix: 'web' }, { glob: '' }, { glob: 'a/b' }]) {
      const selection = { wanted: [], ...wrong }
      await assert.rejects(deleteSnapshots(repository.access, { selection }), { code: 'INVALID_ARGUMENT' })
    }
  })

  it('deletes nothing when one of them is unknown or pinned', async () => {
    const { repository } = await repositoryWith('a', 'b', 'c')
    const { access } = repository
    await pinSnapshots(access, select('b'), true)
    await assert.rejects(deleteSnapshots(access, { selection: select('a', 'nope') }), {
      code: 'NOT_FOUND',
      message: /'nope'/,
    })
    await assert.rejects(deleteSnapshots(access, { selection: { wanted: [], glob: '*' } }), {
      code: 'INVALID_ARGUMENT',
      message: /Cannot delete 'b': pinned, and nothing was deleted; use 'cairn unpin' first, or --force/,
    })
    assert.deepEqual(await namesOf(repository), ['a', 'b', 'c'])
    await deleteSnapshots(access, { selection: select('b'), force: true })
    await pinSnapshots(access, select('c'), true)
    await pinSnapshots(access, select('c'), false)
    await deleteSnapshots(access, { selection: select('c') })
    assert.deepEqual(await namesOf(repository), ['a'])
  })

  it('says so where the store does not permit it, and what is deleted by then', async () => {
    const { repository } = await repositoryWith('a', 'b', 'c')
    for (const [nth, left, message] of [
      [
        1,
        ['a', 'b', 'c'],
        /Cannot delete snapshot 'a' \(nothing was deleted\): the store does not permit it .*append only/,
      ],
      [2, ['b', 'c'], /Cannot delete snapshot 'b' \(1 before it was deleted\)/],
    ] as const) {
      const access = refusing(repository.access, { kind: 'put' }, nth)
      await assert.rejects(deleteSnapshots(access, { selection: { wanted: [], glob: '*' } }), {
        code: 'STORAGE_DENIED',
        message,
      })
      assert.deepEqual(await namesOf(repository), left)
    }
  })

  it('is no error when another process deletes the same at the same time', async () => {
    const { repository } = await repositoryWith('a', 'b')
    const { access } = repository
    await Promise.all([1, 2, 3].map(() => deleteSnapshots(access, { selection: select('a', 'b') })))
    assert.deepEqual([await namesOf(repository), repository.objects('forgotten/').length], [[], 2])
  })
})

describe('undeleteSnapshot()', () => {
  it('brings back the whole snapshot, with its labels, and says where it came from', async () => {
    const { repository, sources } = await repositoryWith('a', 'b')
    const { access } = repository
    await changeTags(access, select('a'), { add: ['t'] })
    await renameSnapshot(access, 'a', 'z')
    const [before] = (await listSnapshots(access)).snapshots
    await deleteSnapshots(access, { selection: select('z', 'b') })
    assert.deepEqual(await namesOf(repository, true), ['z', 'b'])
    const { id, ...restored } = await undeleteSnapshot(access, { wanted: 'z' })
    const { id: oldId, ...wanted } = before ?? assert.fail()
    assert.deepEqual(restored, { ...wanted, madeFrom: oldId })
    assert.notEqual(id, oldId)
    assert.deepEqual((await listSnapshots(access)).snapshots, [{ id, ...restored }])
    assert.deepEqual(await namesOf(repository, true), ['b'])
    await repository.expectRestored(sources.get('a') ?? '', 'z')
    // It can be deleted and brought back again, and counts as deleted then.
    await deleteSnapshots(access, { selection: select('z') })
    assert.equal((await listSnapshots(access, { deleted: true })).snapshots.length, 3)
    await assert.rejects(undeleteSnapshot(access, { wanted: 'z' }), {
      code: 'INVALID_ARGUMENT',
      message: new RegExp(`2 deleted ones have this name; give one of the ids .*${id.slice(0, 8)}`),
    })
    await undeleteSnapshot(access, { wanted: id.slice(0, 8) })
    await expectSound(repository)
  })

  it('takes another name where the old one is taken', async () => {
    const { repository } = await repositoryWith('a')
    const { access } = repository
    await deleteSnapshots(access, { selection: select('a') })
    await repository.create([import.meta.filename], { name: 'a' })
    await assert.rejects(undeleteSnapshot(access, { wanted: 'a' }), {
      code: 'SNAPSHOT_EXISTS',
      message: /another one has this name by now; choose one with --name/,
    })
    await assert.rejects(undeleteSnapshot(access, { wanted: 'a', name: 'a' }), { code: 'SNAPSHOT_EXISTS' })
    await undeleteSnapshot(access, { wanted: 'a', name: 'old a' })
    assert.deepEqual(await namesOf(repository), ['old a', 'a'])
    assert.deepEqual(repository.objects('sessions/'), [])
  })

  it('says what it finds in place of a deleted snapshot', async () => {
    const { repository } = await repositoryWith('a')
    for (const [wanted, message] of [
      ['a', /'a': it is not deleted/],
      ['nope', /'nope': no deleted snapshot has this name or id; 'cairn list --deleted'/],
      ['latest', /'latest': no deleted snapshot/],
    ] as const)
      await assert.rejects(undeleteSnapshot(repository.access, { wanted }), { code: 'NOT_FOUND', message })
  })

  it('refuses what is not there wholly, and names it', async () => {
    const { repository } = await repositoryWith('first')
    const { access } = repository
    const source = newFolder()
    writeFileSync(`${source}/shared`, 'content of first')
    writeFileSync(`${source}/own`, 'something else')
    await repository.create([source], { name: 'a' })
    const ids = new Map((await listSnapshots(access)).snapshots.map(({ name, id }) => [name, id]))
    await deleteSnapshots(access, { selection: select('a', 'first') })
    // What a reclamation leaves: the index names less.
    for (const [of, lost] of [
      ['first', /1 of its chunks are gone \(of [^ ]*shared\); nothing was changed/],
      ['a', /\d+ of its chunks are gone \(of .*\/.*\)/],
    ] as const) {
      const copy = repository.copy()
      for (const key of copy.objects(`index/${ids.get(of)}`)) await removeObject(copy, key)
      const before = copy.objects('commits/')
      await assert.rejects(undeleteSnapshot(copy.access, { wanted: 'a' }), {
        code: 'NOT_FOUND',
        message: /Cannot undelete snapshot 'a': its space has been reclaimed in part/,
      })
      await assert.rejects(undeleteSnapshot(copy.access, { wanted: 'a' }), { message: lost })
      assert.deepEqual([copy.objects('commits/'), copy.objects('sessions/')], [before, []])
    }
  })

  it('leaves nothing half done where the store does not permit it', async () => {
    const { repository } = await repositoryWith('a')
    await deleteSnapshots(repository.access, { selection: select('a') })
    for (const [kind, prefix] of [
      ['put', 'sessions/'],
      ['putIfAbsent', 'names/'],
      ['putIfAbsent', 'commits/'],
    ] as const) {
      await assert.rejects(undeleteSnapshot(refusing(repository.access, { kind, prefix }), { wanted: 'a' }), {
        code: 'STORAGE_DENIED',
      })
      assert.deepEqual([await namesOf(repository), await namesOf(repository, true)], [[], ['a']])
    }
    await undeleteSnapshot(repository.access, { wanted: 'a' })
    assert.deepEqual(await namesOf(repository), ['a'])
  })

  it('brings it back or not, wherever it is stopped, and the next try does', async () => {
    const { repository, sources } = await repositoryWith('a')
    await deleteSnapshots(repository.access, { selection: select('a') })
    for (let nth = 1; ; nth++) {
      for (const point of ['before', 'after'] as const) {
        const copy = repository.copy()
        let storage: FaultyStorage | undefined
        const openStorage = async (location: string): Promise<FaultyStorage> => {
          storage = new FaultyStorage(await LocalStorage.open(location))
          storage.crashAt(nth, point)
          return storage
        }
        const isDone = await undeleteSnapshot({ ...copy.access, openStorage }, { wanted: 'a' }).then(
          () => true,
          () => false,
        )
        const isBack = (await namesOf(copy)).length === 1
        if (!isBack) {
          // A run of this process is not dead, so its name is not free yet; the store forgets it here, as time would make it.
          for (const key of copy.objects('sessions/')) await removeObject(copy, key)
          await undeleteSnapshot(copy.access, { wanted: 'a' })
        }
        assert.deepEqual(await namesOf(copy), ['a'])
        await copy.expectRestored(sources.get('a') ?? '', 'a')
        await expectSound(copy)
        copy.remove()
        if (isDone && !storage?.crashed) {
          assert.ok(nth > 3)
          return
        }
      }
    }
  })
})

async function removeObject({ location }: TestRepository, key: string): Promise<void> {
  const storage = await LocalStorage.open(location)
  await storage.delete(key)
  await storage.close()
}
