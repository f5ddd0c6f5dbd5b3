import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmod, mkdir, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { isCairnError } from '../../base/errors.ts'
import { processSpace } from '../process-space.ts'
import { describeStorage } from '../suite.ts'
import { LocalStorage } from './local-storage.ts'
import { tempFileName } from './temp-files.ts'
import { needs, tempFilesOf, tempFolder } from './testing.ts'

const DATA = Uint8Array.of(1, 2, 3)

async function create(t: TestContext): Promise<LocalStorage> {
  return LocalStorage.create(join(await tempFolder(t), 'repo'))
}

describeStorage('LocalStorage', create)

describe('LocalStorage.create()', () => {
  it('makes folders and files that only their owner can touch, whatever the umask', async (t) => {
    const before = process.umask(0)
    t.after(() => process.umask(before))
    const storage = await create(t)
    await storage.put('packs/ab/abcd', DATA)
    await storage.putIfAbsent('commits/a', DATA)
    for (const folder of ['', '.tmp', 'packs', 'packs/ab', 'commits']) {
      assert.equal((await stat(join(storage.location, folder))).mode & 0o7777, 0o700, folder)
    }
    for (const file of ['packs/ab/abcd', 'commits/a']) {
      assert.equal((await stat(join(storage.location, file))).mode & 0o7777, 0o600, file)
    }
  })

  it('names a missing parent', async (t) => {
    const folder = await tempFolder(t)
    await assert.rejects(LocalStorage.create(join(folder, 'none/repo')), (error) => {
      assert.ok(isCairnError(error, 'INVALID_ARGUMENT'))
      assert.ok(error.message.includes(`want a folder at ${join(folder, 'none')};`))
      return true
    })
    assert.deepEqual(await readdir(folder), [])
  })

  it('refuses a file, and a path below a file', async (t) => {
    const folder = await tempFolder(t)
    await writeFile(join(folder, 'file'), '')
    for (const path of ['file', 'file/repo']) {
      await assert.rejects(LocalStorage.create(join(folder, path)), { code: 'INVALID_ARGUMENT' })
    }
  })

  it('takes over an empty folder, with what an interrupted try or mkfs left in it', async (t) => {
    const folder = await tempFolder(t)
    await mkdir(join(folder, '.tmp'))
    await mkdir(join(folder, 'lost+found'))
    const storage = await LocalStorage.create(folder)
    await storage.put('config', DATA)
    assert.deepEqual(await storage.get('config'), DATA)
  })

  it('refuses a folder that holds anything but what it may contain', async (t) => {
    const folder = await tempFolder(t)
    await writeFile(join(folder, 'config'), '')
    await writeFile(join(folder, 'Photo.jpg'), '')
    const mayContain = ['config', 'keys']
    await assert.rejects(LocalStorage.create(folder), { message: /it holds 'Photo.jpg' and 1 more, want/ })
    await assert.rejects(LocalStorage.create(folder, { mayContain }), {
      code: 'INVALID_ARGUMENT',
      message: /it holds 'Photo.jpg', want a new or an empty folder$/,
    })
    await rm(join(folder, 'Photo.jpg'))
    await LocalStorage.create(folder, { mayContain })
  })
})

describe('LocalStorage.open()', () => {
  it('throws REPOSITORY_NOT_FOUND where there is no folder', async (t) => {
    const folder = await tempFolder(t)
    await writeFile(join(folder, 'file'), '')
    for (const path of ['none', 'file', 'file/below']) {
      await assert.rejects(LocalStorage.open(join(folder, path)), { code: 'REPOSITORY_NOT_FOUND' }, path)
    }
  })

  it('sweeps temporary files of dead processes and old ones, and nothing else', async (t) => {
    const { location } = await create(t)
    const owner = processSpace()
    const gone = spawnSync(process.execPath, ['-e', '']).pid
    const random = '0123456789abcdef'
    const swept = [
      `${owner}-${gone}-${random}`,
      `00000000-${process.pid}-${random}`,
      `${owner}-${process.pid}-${random}`,
    ]
    const kept = [
      tempFileName(owner),
      `00000000-${gone}-${random}`, // on another host that pid may live
      `${owner}-0-${random}`,
      `${owner}-${gone}-${random}.jpg`,
      'draft',
      'old-draft',
    ]
    await mkdir(join(location, '.tmp'))
    for (const name of [...swept, ...kept]) await writeFile(join(location, '.tmp', name), '')
    for (const name of [swept[1], swept[2], 'old-draft']) await utimes(join(location, '.tmp', name ?? ''), 1, 1)
    await LocalStorage.open(location)
    assert.deepEqual((await tempFilesOf(location)).sort(), kept.sort())
  })

  it('keeps the temporary files of a day by the given clock', async (t) => {
    const { location } = await create(t)
    const name = `00000000-1-0123456789abcdef`
    await mkdir(join(location, '.tmp'))
    await writeFile(join(location, '.tmp', name), '')
    const { mtimeMs } = await stat(join(location, '.tmp', name))
    const day = 24 * 60 * 60 * 1000
    await LocalStorage.open(location, { clock: { now: () => mtimeMs + day } })
    assert.deepEqual(await tempFilesOf(location), [name])
    await LocalStorage.open(location, { clock: { now: () => mtimeMs + day + 1 } })
    assert.deepEqual(await tempFilesOf(location), [])
  })
})

describe('LocalStorage', () => {
  it('stores each object as the file of its key and leaves no temporary file', async (t) => {
    const storage = await create(t)
    await storage.put('packs/ab/abcd', DATA)
    await storage.put('packs/ab/abcd', DATA)
    await storage.putIfAbsent('commits/a', DATA)
    await storage.putIfAbsent('commits/a', DATA)
    assert.deepEqual(new Uint8Array(await readFile(join(storage.location, 'packs/ab/abcd'))), DATA)
    assert.equal((await stat(join(storage.location, 'commits/a'))).nlink, 1)
    assert.deepEqual(await tempFilesOf(storage.location), [])
  })

  it('shows what another one on the same folder does', async (t) => {
    const one = await create(t)
    const other = await LocalStorage.open(one.location)
    await one.put('data/a', DATA)
    assert.deepEqual(await other.get('data/a'), DATA)
    assert.equal((await Array.fromAsync(other.list('data/'))).length, 1)
    await other.delete('data/a')
    await assert.rejects(one.get('data/a'), { code: 'NOT_FOUND' })
    const won = await Promise.all([one, other, one, other].map((storage) => storage.putIfAbsent('commits/a', DATA)))
    assert.equal(won.filter(Boolean).length, 1)
  })

  it('does not list what is no object', async (t) => {
    const storage = await create(t)
    await storage.put('data/a', DATA)
    for (const name of ['README', '.hidden', 'data/.a.swp', 'data/B', 'data/ä', `.tmp/${tempFileName('01234567')}`]) {
      await writeFile(join(storage.location, name), '')
    }
    for (const name of ['Documents', 'data/lost+found', 'data/empty']) await mkdir(join(storage.location, name))
    await writeFile(join(storage.location, 'Documents/a'), '')
    const keys = (await Array.fromAsync(storage.list(''))).map(({ key }) => key)
    assert.deepEqual(keys, ['data/a'])
  })

  it('goes on after somebody removed a folder', async (t) => {
    const storage = await create(t)
    await storage.put('packs/ab/abcd', DATA)
    await rm(join(storage.location, 'packs'), { recursive: true })
    await assert.rejects(storage.put('packs/ab/abce', DATA), { code: 'STORAGE_UNAVAILABLE' })
    await storage.put('packs/ab/abce', DATA)
    assert.deepEqual(await storage.get('packs/ab/abce'), DATA)
    assert.deepEqual(await tempFilesOf(storage.location), [])
  })

  it('takes an unmounted disk for a failure, not for an empty repository', async (t) => {
    const storage = await create(t)
    await storage.put('data/a', DATA)
    const assertFails = async () => {
      const failed = { code: 'STORAGE_UNAVAILABLE' }
      await assert.rejects(storage.get('data/a'), failed)
      await assert.rejects(storage.delete('data/a'), failed)
      for (const key of ['data/b', 'data/b', 'new/b']) await assert.rejects(storage.put(key, DATA), failed)
      for (const prefix of ['', 'data/', 'none/']) await assert.rejects(Array.fromAsync(storage.list(prefix)), failed)
    }
    await rename(storage.location, `${storage.location}.away`)
    await assertFails()
    await mkdir(storage.location)
    await assertFails()
    assert.deepEqual(await readdir(storage.location), [])
    await rm(storage.location, { recursive: true })
    await rename(`${storage.location}.away`, storage.location)
    await storage.put('data/b', DATA)
    assert.equal((await Array.fromAsync(storage.list(''))).length, 2)
  })

  it(
    'does not wait for a FIFO in the place of an object',
    needs('mkfifo is missing', 'mkfifo', '--version'),
    async (t) => {
      const storage = await create(t)
      spawnSync('mkfifo', [join(storage.location, 'config')])
      await assert.rejects(storage.get('config'), { code: 'NOT_FOUND' })
      assert.deepEqual(await Array.fromAsync(storage.list('')), [])
    },
  )
})

describe('LocalStorage with a symbolic link inside', () => {
  const denied = { code: 'STORAGE_DENIED', message: /is a symbolic link/ }

  it('neither reads nor writes through one in the place of an object', async (t) => {
    const storage = await create(t)
    const outside = join(await tempFolder(t), 'secret')
    await writeFile(outside, 'secret')
    await storage.put('data/a', DATA)
    const path = join(storage.location, 'data/link')
    await symlink(outside, path)
    await assert.rejects(storage.get('data/link'), denied)
    await assert.rejects(storage.get('data/link', { offset: 0, length: 1 }), denied)
    await assert.rejects(Array.fromAsync(storage.list('data/')), denied)
    assert.equal(await storage.putIfAbsent('data/link', DATA), false)
    await storage.put('data/link', DATA)
    assert.deepEqual(await storage.get('data/link'), DATA)
    await rm(path)
    await symlink(outside, path)
    await storage.delete('data/link')
    assert.equal(await readFile(outside, 'utf8'), 'secret')
    assert.equal((await Array.fromAsync(storage.list(''))).length, 1)
  })

  it('neither lists nor writes through one in the place of a folder', async (t) => {
    const { location } = await create(t)
    const storage = await LocalStorage.open(location)
    const outside = await tempFolder(t)
    await symlink(outside, join(location, 'index'))
    await assert.rejects(storage.put('index/a', DATA), denied)
    await assert.rejects(storage.putIfAbsent('index/b/c', DATA), denied)
    await assert.rejects(Array.fromAsync(storage.list('index/')), denied)
    await assert.rejects(Array.fromAsync(storage.list('')), denied)
    await storage.put('packs/a', DATA)
    assert.equal((await Array.fromAsync(storage.list('packs/'))).length, 1)
    assert.deepEqual(await readdir(outside), [])
    assert.deepEqual(await tempFilesOf(location), [])
  })

  it('works when the repository itself is reached through one', async (t) => {
    const folder = await tempFolder(t)
    await mkdir(join(folder, 'real'))
    await chmod(join(folder, 'real'), 0o700)
    await symlink('real', join(folder, 'link'))
    const storage = await LocalStorage.create(join(folder, 'link'))
    await storage.put('data/a', DATA)
    assert.deepEqual((await readdir(join(folder, 'real'))).sort(), ['.tmp', 'data'])
  })
})
