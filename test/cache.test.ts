/** The cache of a repository on another machine is an accelerator: whatever happens to it, what runs do is the same. */
import assert from 'node:assert/strict'
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { compactRepository } from '../src/operations/compact.ts'
import { checkRepository } from '../src/operations/check.ts'
import { deleteSnapshots } from '../src/operations/delete.ts'
import type { RepositoryAccess } from '../src/operations/repository-access.ts'
import { LocalStorage } from '../src/storage/local/local-storage.ts'
import type { Storage } from '../src/storage/storage.ts'
import { FaultyStorage } from '../src/storage/testing.ts'
import { TestRepository, newFolder } from './testing.ts'

const CACHED = ['index/', 'commits/']

/** A repository as if it were on another machine, with three snapshots. */
async function newRemote() {
  const repository = await TestRepository.create()
  const cacheFolder = newFolder()
  let store: FaultyStorage | undefined
  const openStorage = async (location: string): Promise<Storage> => {
    store = new FaultyStorage(await LocalStorage.open(location))
    return Object.assign(store, { isRemote: true })
  }
  const access: RepositoryAccess = { ...repository.access, cacheFolder, openStorage }
  const sources: { name: string; source: string }[] = []
  for (const name of ['first', 'second', 'third']) {
    const source = newFolder()
    for (let i = 0; i < 5; i++) writeFileSync(path.join(source, `f${i}`), `${name} ${i} `.repeat(5000))
    await repository.create([source], { name, access })
    sources.push({ name, source })
  }
  /** Restores all snapshots; returns how many objects that could be cached were read from the store. */
  const expectAll = async (names = ['first', 'second', 'third']): Promise<number> => {
    let reads = 0
    for (const { name, source } of sources.filter((each) => names.includes(each.name))) {
      const { target } = await repository.extract({ snapshot: name, access })
      assert.deepEqual(readdirSync(path.join(target, source)), readdirSync(source))
      for (const file of readdirSync(source))
        assert.deepEqual(readFileSync(path.join(target, source, file)), readFileSync(path.join(source, file)))
      for (const prefix of CACHED) reads += store?.count({ kind: 'get', prefix }) ?? 0
    }
    return reads
  }
  // Below it, all that is cached.
  const folder = path.join(cacheFolder, readdirSync(cacheFolder)[0] ?? assert.fail('no cache'))
  return { repository, access, folder, expectAll }
}

describe('a cache', () => {
  it('spares what was read or written before, and is filled again when it was deleted', async () => {
    const { folder, expectAll } = await newRemote()
    await expectAll()
    assert.equal(await expectAll(), 0)
    rmSync(folder, { recursive: true })
    assert.ok((await expectAll()) > 0)
    assert.equal(await expectAll(), 0)
  })

  it('may be older than the repository', async () => {
    const { repository, access, folder, expectAll } = await newRemote()
    await expectAll()
    const old = newFolder()
    cpSync(folder, old, { recursive: true })
    await deleteSnapshots(access, { selection: { wanted: ['first'] } })
    assert.ok((await compactRepository(access, { threshold: 0 })).deletedPacks > 0)
    rmSync(folder, { recursive: true })
    cpSync(old, folder, { recursive: true })
    await expectAll(['second', 'third'])
    await assert.rejects(repository.extract({ snapshot: 'first', access }), { code: 'NOT_FOUND' })
    const cached = CACHED.flatMap((prefix) => readdirSync(path.join(folder, prefix)).map((name) => prefix + name))
    assert.deepEqual(cached.sort(), [...repository.objects('commits/'), ...repository.objects('index/')].sort())
  })

  it('may be damaged, or hold other things', async () => {
    const { folder, expectAll } = await newRemote()
    await expectAll()
    for (const file of CACHED.flatMap((prefix) =>
      readdirSync(path.join(folder, prefix)).map((name) => prefix + name),
    )) {
      const bytes = readFileSync(path.join(folder, file))
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 4
      writeFileSync(path.join(folder, file), bytes)
    }
    writeFileSync(path.join(folder, 'index', 'foreign'), 'x')
    assert.ok((await expectAll()) > 0)
    assert.equal(await expectAll(), 0)
  })

  it('hides no damage of the store from a check', async () => {
    const { repository, access, expectAll } = await newRemote()
    await expectAll()
    for (const key of CACHED.map((prefix) => repository.objects(prefix)[0] ?? assert.fail(prefix))) {
      const file = path.join(repository.location, key)
      const bytes = readFileSync(file)
      bytes[bytes.length - 1] = (bytes[bytes.length - 1] as number) ^ 1
      writeFileSync(file, bytes)
    }
    await expectAll()
    assert.ok((await checkRepository(access, {})).errors >= 2)
  })
})
