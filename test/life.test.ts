/** The life of a repository: saving, deleting, bringing back, reclaiming, all while others read and write. */
import assert from 'node:assert/strict'
import { mkdirSync, statfsSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, describe, it } from 'node:test'
import { CairnError } from '../src/base/errors.ts'
import { testBytes } from '../src/chunker/testing.ts'
import { compactRepository } from '../src/operations/compact.ts'
import { deleteSnapshots } from '../src/operations/delete.ts'
import { undeleteSnapshot } from '../src/operations/undelete.ts'
import { newFileSystem } from '../src/platform/testing.ts'
import { LocalStorage } from '../src/storage/local/local-storage.ts'
import type { Storage } from '../src/storage/storage.ts'
import { TestRepository, cairn, expectSound, newFolder } from './testing.ts'
import { digestTree } from './tree-digest.ts'

const MIB = 1 << 20

/** A folder with files of its own and some that all have. */
function newSource(name: string): string {
  const folder = newFolder()
  mkdirSync(`${folder}/d`)
  for (let i = 0; i < 6; i++) writeFileSync(`${folder}/d/${name}-${i}`, testBytes(`${name} ${i}`, 300_000))
  for (let i = 0; i < 6; i++) writeFileSync(`${folder}/shared-${i}`, testBytes(`shared ${i}`, 200_000))
  return folder
}

/** A local store that calls `before` before each operation but listings. */
function interrupted(inner: Storage, before: (operation: string) => Promise<void>): Storage {
  return {
    location: inner.location,
    get: async (key, ...rest) => (await before(`get ${key}`), inner.get(key, ...rest)),
    put: async (key, ...rest) => (await before(`put ${key}`), inner.put(key, ...rest)),
    putIfAbsent: async (key, ...rest) => (await before(`put ${key}`), inner.putIfAbsent(key, ...rest)),
    list: (...given) => inner.list(...given),
    delete: async (key, ...rest) => (await before(`delete ${key}`), inner.delete(key, ...rest)),
    close: () => inner.close(),
  }
}

/** Three snapshots; the first is deleted, and most of what the third has lies in packs of the first. */
async function prepare(): Promise<{ repository: TestRepository; second: string; third: string }> {
  const repository = await TestRepository.create({ encryption: 'none' })
  const first = newSource('first')
  const [second, third] = [newSource('second'), newSource('third')]
  for (let i = 0; i < 6; i++) writeFileSync(`${third}/d/of-first-${i}`, testBytes(`first ${i}`, 300_000))
  await repository.create([first], { name: 'first' })
  await repository.create([second], { name: 'second' })
  await repository.create([third], { name: 'third' })
  await deleteSnapshots(repository.access, { selection: { wanted: ['first'] } })
  return { repository, second, third }
}

describe('reclaiming space', () => {
  it('in the middle of a restore moves its data under its hands, and it goes on', async () => {
    const { repository, third } = await prepare()
    await deleteSnapshots(repository.access, { selection: { wanted: ['second'] } })
    const before = repository.objects('packs/')
    for (const moment of [1, 2, 3]) {
      const copy = repository.copy()
      let reads = 0
      let deletedPacks = 0
      const openStorage = async (location: string): Promise<Storage> =>
        interrupted(await LocalStorage.open(location), async (operation) => {
          if (!operation.startsWith('get packs') || ++reads !== moment) return
          ;({ deletedPacks } = await compactRepository(copy.access, { threshold: 0 }))
        })
      const { target, issues, events } = await copy.extract({ snapshot: 'third', access: { openStorage }, workers: 2 })
      assert.deepEqual([issues, events.filter(({ type }) => type === 'issue')], [0, []])
      assert.deepEqual(digestTree(path.join(target, third)), digestTree(third))
      assert.ok(deletedPacks > 0, `nothing was moved at read ${moment}`)
      assert.notDeepEqual(copy.objects('packs/'), before)
      await expectSound(copy)
    }
  })

  it('in the middle of a backup waits for it', async () => {
    const { repository, second, third } = await prepare()
    const fourth = newSource('first') // all of it lies in packs of the deleted snapshot
    let waitingFor = 0
    let isCompacted = false
    const openStorage = async (location: string): Promise<Storage> =>
      interrupted(await LocalStorage.open(location), async (operation) => {
        if (isCompacted || !operation.startsWith('put packs')) return
        isCompacted = true
        ;({ waitingFor } = await compactRepository(repository.access, { threshold: 0 }))
      })
    await repository.create([fourth], { name: 'fourth', access: { openStorage } })
    assert.equal(waitingFor, 1)
    const { deletedPacks } = await compactRepository(repository.access, { threshold: 0 })
    assert.ok(deletedPacks > 0)
    for (const [name, source] of [
      ['second', second],
      ['third', third],
      ['fourth', fourth],
    ] as const)
      await repository.expectRestored(source, name)
    await expectSound(repository)
  })

  it('spares what is brought back after it was chosen', async () => {
    const { repository, second, third } = await prepare()
    const selection = { wanted: ['second'] }
    let undeleted = 0
    const openStorage = async (location: string): Promise<Storage> =>
      interrupted(await LocalStorage.open(location), async (operation) => {
        if (undeleted > 0 || !operation.startsWith('put packs')) return
        undeleted++
        await deleteSnapshots(repository.access, { selection })
        assert.equal((await compactRepository(repository.access, { threshold: 0 })).waitingFor, 1)
        assert.equal(repository.objects('condemned/').length, 1)
        await undeleteSnapshot(repository.access, { wanted: 'second' })
      })
    await repository.create([newSource('fourth')], { name: 'fourth', access: { openStorage } })
    assert.equal(undeleted, 1)
    assert.ok((await compactRepository(repository.access, { threshold: 0 })).deletedPacks > 0)
    await repository.expectRestored(second, 'second')
    await repository.expectRestored(third, 'third')
    await expectSound(repository)
  })

  it('works on a disk with no space left but the reserve', async (t) => {
    const disk = newTmpfs(t)
    if (!disk) return
    const repository = await TestRepository.create({ encryption: 'none', folder: disk })
    for (let i = 0; i < 3; i++) {
      const source = newFolder()
      writeFileSync(`${source}/f`, testBytes(`full ${i}`, 10 * MIB))
      writeFileSync(`${source}/kept`, testBytes(`kept ${i}`, MIB))
      await repository.create([source], { name: `${i}`, compression: 'none' })
    }
    assert.equal(cairn(['config', repository.location, 'additional_free_space', '12M']).status, 0)
    const { bavail, bsize } = statfsSync(disk)
    writeFileSync(`${disk}/ballast`, Buffer.alloc(Math.max(0, bavail * bsize - 10 * MIB)))
    const source = newFolder()
    writeFileSync(`${source}/f`, testBytes('no room', 8 * MIB))
    const refused = cairn(['create', `${repository.location}::no`, source])
    assert.equal(refused.status, 1, refused.stderr)
    const deleted = cairn(['delete', repository.location, '0', '1'])
    assert.equal(deleted.status, 0, deleted.stderr)
    assert.match(deleted.stderr, /'cairn compact' would free 2\d\.\d MiB/)
    const compacted = cairn(['compact', repository.location])
    assert.equal(compacted.status, 0, compacted.stderr)
    assert.match(compacted.stdout, /^Freed 2\d\.\d MiB/)
    const saved = cairn(['create', `${repository.location}::yes`, source])
    assert.equal(saved.status, 0, saved.stderr)
    await expectSound(repository)
  })
})

describe('a deleted snapshot', () => {
  it('is deleted also where it cannot be told how much that frees', async () => {
    const { repository } = await prepare()
    const selection = { wanted: ['second'] }
    const { snapshots, reclaimableBytes } = await deleteSnapshots(
      { ...repository.access, openStorage: openWithoutPacks },
      { selection },
    )
    assert.deepEqual([snapshots.map(({ name }) => name), reclaimableBytes], [['second'], undefined])
  })

  it('frees nothing, can be brought back, and is gone after a compaction', async () => {
    const { repository, second } = await prepare()
    const { location } = repository
    const bytes = repository.packBytes()
    const run = (...args: string[]): ReturnType<typeof cairn> =>
      cairn([...args.slice(0, 1), '-r', location, ...args.slice(1)])
    const expectRun = (...args: string[]): string => {
      const { status, stdout, stderr } = run(...args)
      assert.equal(status, 0, stderr)
      return stdout
    }
    expectRun('delete', 'second')
    assert.equal(repository.packBytes(), bytes)
    assert.match(expectRun('list', '--deleted'), /second/)
    expectRun('undelete', 'second')
    await repository.expectRestored(second, 'second')
    expectRun('compact')
    assert.ok(repository.packBytes() < bytes)
    const gone = run('undelete', 'first')
    assert.notEqual(gone.status, 0)
    await repository.expectRestored(second, 'second')
    expectRun('pin', 'second')
    assert.equal(run('delete', 'second').status, 2)
    expectRun('prune', '--keep-last', '1')
    assert.deepEqual(expectRun('list', '--short').trim().split('\n').sort(), ['second', 'third'])
    assert.match(expectRun('check', '--read-data'), /No errors were found/)
  })
})

function newTmpfs(t: TestContext): string | undefined {
  return newFileSystem(t, 'tmpfs', { mount: ['size=64m'] })?.directory
}

/** A store that gives no packs. */
async function openWithoutPacks(location: string): Promise<Storage> {
  return interrupted(await LocalStorage.open(location), async (operation) => {
    if (operation.startsWith('get packs')) throw new CairnError('STORAGE_UNAVAILABLE', 'Cannot read: it is away')
  })
}
