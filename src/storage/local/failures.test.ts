/** What a `LocalStorage` makes of a disk that is full, refuses, or fails: the error, and what it leaves behind. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { LocalStorage } from './local-storage.ts'
import { toStorageError } from './system-error.ts'
import { localStorageScript, needs, tempFilesOf, tempFolder } from './testing.ts'

const OLD = Uint8Array.of(1, 2, 3)

// Runs `operation` in a process that was prepared to meet failures and reports the code of its error.
const REPORT = `
const report = {}
const attempt = async (name, operation) => {
  try {
    await operation()
    report[name] = 'done'
  } catch (error) {
    report[name] = error.code
    report[name + ' message'] = error.message
  }
}
process.once('beforeExit', () => process.stdout.write(JSON.stringify(report)))
`

function run(command: string, args: readonly string[], code: string, ...scriptArgs: string[]): Record<string, unknown> {
  const script = localStorageScript(REPORT + code, ...scriptArgs)
  const { stdout, stderr } = spawnSync(command, [...args, process.execPath, ...script], {
    encoding: 'utf8',
    env: { ...process.env, UV_THREADPOOL_SIZE: '1' }, // strace counts calls by thread
  })
  assert.match(stdout, /^\{/, stderr)
  return JSON.parse(stdout) as Record<string, unknown>
}

/** A repository with the object `data/old` and every folder made. */
async function createWithOld(t: TestContext): Promise<LocalStorage> {
  const storage = await LocalStorage.create(join(await tempFolder(t), 'repo'))
  await storage.put('data/old', OLD)
  return storage
}

async function assertOnlyOld(storage: LocalStorage): Promise<void> {
  assert.deepEqual(await storage.get('data/old'), OLD)
  assert.equal((await Array.fromAsync(storage.list(''))).length, 1)
  assert.deepEqual(await tempFilesOf(storage.location), [])
}

/** Runs `code` on another `LocalStorage` of the same folder while strace makes system calls fail, or only those on one path. */
function runWithFault(storage: LocalStorage, fault: string, code: string, only?: string): Record<string, unknown> {
  const at = only === undefined ? [] : ['-P', join(storage.location, only)]
  return run(
    'strace',
    ['-f', '-qq', '-o', '/dev/null', ...at, '-e', `inject=${fault}`],
    `const storage = await LocalStorage.open(process.argv[1])
    ${code}`,
    storage.location,
  )
}

describe('LocalStorage on a full disk', () => {
  const unshare = ['--mount', ...(process.geteuid?.() === 0 ? [] : ['--map-root-user'])]

  it(
    'throws STORAGE_FULL, keeps what was there and leaves no temporary file',
    needs('mounting a small tmpfs is not allowed', 'unshare', ...unshare, 'mount', '-t', 'tmpfs', 'none', '/mnt'),
    async (t) => {
      const mount = 'mount -t tmpfs -o size=8m none "$1" && shift && exec "$@"'
      const folder = await tempFolder(t)
      const report = run(
        'unshare',
        [...unshare, 'sh', '-c', mount, 'sh', folder],
        `import { readdirSync } from 'node:fs'
        import { execFileSync } from 'node:child_process'
        const root = process.argv[1] + '/repo'
        const storage = await LocalStorage.create(root)
        const old = Buffer.alloc(5_000_000, 1)
        const large = Buffer.alloc(9_000_000, 2)
        const inspect = async (when) => {
          report['old ' + when] = Buffer.compare(await storage.get('data/old'), old)
          report['objects ' + when] = (await Array.fromAsync(storage.list(''))).map(({ key }) => key)
          report['temporary files ' + when] = readdirSync(root + '/.tmp')
        }
        await storage.put('data/old', old)
        await attempt('put', () => storage.put('data/new', large))
        await attempt('replace', () => storage.put('data/old', large))
        await attempt('putIfAbsent', () => storage.putIfAbsent('data/new', large))
        await inspect('then')
        await attempt('small put', () => storage.put('data/small', Buffer.alloc(1_000_000)))
        await storage.delete('data/small')

        execFileSync('mount', ['-o', 'remount,bind,ro', process.argv[1]])
        await attempt('read-only put', () => storage.put('data/small', large))
        await attempt('read-only delete', () => storage.delete('data/old'))
        await inspect('read-only')`,
        folder,
      )
      const same = { 0: 'data/old' }
      assert.deepEqual(report['objects then'], Object.values(same))
      assert.deepEqual(report['objects read-only'], Object.values(same))
      for (const when of ['then', 'read-only']) {
        assert.equal(report[`old ${when}`], 0)
        assert.deepEqual(report[`temporary files ${when}`], [])
      }
      assert.equal(report['put'], 'STORAGE_FULL')
      assert.equal(report['replace'], 'STORAGE_FULL')
      assert.equal(report['putIfAbsent'], 'STORAGE_FULL')
      assert.equal(report['small put'], 'done')
      assert.equal(report['read-only put'], 'STORAGE_DENIED')
      assert.equal(report['read-only delete'], 'STORAGE_DENIED')
      assert.match(
        String(report['put message']),
        /^Cannot store data\/new: the disk has no space left .*free some space/,
      )
    },
  )

  it('throws STORAGE_FULL when the file may not grow that large', async (t) => {
    const storage = await createWithOld(t)
    const report = run(
      'sh',
      ['-c', 'ulimit -f 64 && exec "$@"', 'sh'],
      `const storage = await LocalStorage.open(process.argv[1])
      await attempt('put', () => storage.put('data/old', Buffer.alloc(1_000_000)))
      await attempt('small put', () => storage.put('data/old', Buffer.from([1, 2, 3])))`,
      storage.location,
    )
    assert.equal(report['put'], 'STORAGE_FULL')
    assert.equal(report['small put'], 'done')
    await assertOnlyOld(storage)
  })
})

describe('LocalStorage without permission', () => {
  // Root may do everything, so the child gives that up after loading the code.
  const asNobody = `
  if (process.geteuid() === 0) {
    process.setegid(65534)
    process.seteuid(65534)
  }
  const storage = await LocalStorage.open(process.argv[1])
  await attempt('get', () => storage.get('data/old'))
  await attempt('list', () => Array.fromAsync(storage.list('')))
  await attempt('put', () => storage.put('data/old', Buffer.alloc(1)))
  await attempt('put in a new folder', () => storage.put('packs/ab/abcd', Buffer.alloc(1)))
  await attempt('putIfAbsent', () => storage.putIfAbsent('commits/a', Buffer.alloc(1)))
  await attempt('delete', () => storage.delete('data/old'))`

  async function runAsNobody(t: TestContext, folderMode: number): Promise<Record<string, unknown>> {
    const storage = await createWithOld(t)
    const { location } = storage
    await chmod(join(location, '..'), 0o755)
    await chmod(join(location, 'data/old'), 0o644)
    const folders = ['data', '.tmp', '.'].map((name) => join(location, name))
    for (const folder of folders) await chmod(folder, folderMode)
    const report = run('env', [], asNobody, location)
    for (const folder of folders.reverse()) await chmod(folder, 0o700)
    await assertOnlyOld(storage)
    return report
  }

  it('throws STORAGE_DENIED for changes where it may only read', async (t) => {
    const report = await runAsNobody(t, 0o555)
    assert.equal(report['get'], 'done')
    assert.equal(report['list'], 'done')
    for (const name of ['put', 'put in a new folder', 'putIfAbsent', 'delete']) {
      assert.equal(report[name], 'STORAGE_DENIED', name)
    }
    assert.match(String(report['put message']), /^Cannot store data\/old: permission denied for \/.*; run as the owner/)
  })

  it('throws STORAGE_DENIED for everything where it may not even read', async (t) => {
    const report = await runAsNobody(t, 0)
    for (const name of ['get', 'list', 'put', 'put in a new folder', 'putIfAbsent', 'delete']) {
      assert.equal(report[name], 'STORAGE_DENIED', name)
    }
  })
})

describe('LocalStorage on a failing disk', () => {
  const strace = needs('strace is missing or not allowed', 'strace', '-o', '/dev/null', 'true')

  // The third fsync is that of the file; the first two find that the folders exist.
  for (const [fault, operation, code] of [
    ['fsync:error=EIO:when=3', 'put', 'STORAGE_UNAVAILABLE'],
    ['fsync:error=ENOSPC:when=3', 'put', 'STORAGE_FULL'], // NFS says so only now
    ['fsync:error=EDQUOT:when=3', 'put', 'STORAGE_FULL'],
    ['fsync:error=ESTALE:when=3', 'put', 'STORAGE_UNAVAILABLE'],
    ['/^rename(at2?)?$:error=ENOSPC', 'put', 'STORAGE_FULL'],
    ['/^rename(at2?)?$:error=EACCES', 'put', 'STORAGE_DENIED'],
    ['/^rename(at2?)?$:error=EXDEV', 'put', 'STORAGE_UNAVAILABLE'],
    ['/^link(at)?$:error=ENOSPC', 'putIfAbsent', 'STORAGE_FULL'],
    ['/^link(at)?$:error=EPERM', 'putIfAbsent', 'INVALID_ARGUMENT'], // FAT
    ['/^link(at)?$:error=EOPNOTSUPP', 'putIfAbsent', 'INVALID_ARGUMENT'], // SMB
    ['/^link(at)?$:error=ENOSYS', 'putIfAbsent', 'INVALID_ARGUMENT'], // FUSE
  ] as const) {
    it(`throws ${code} from ${operation}() for ${fault} and leaves nothing behind`, strace, async (t) => {
      const storage = await createWithOld(t)
      const key = operation === 'put' ? 'data/old' : 'data/new'
      const report = runWithFault(
        storage,
        fault,
        `await attempt('operation', () => storage.${operation}('${key}', Buffer.alloc(100)))`,
      )
      assert.equal(report['operation'], code)
      assert.match(String(report['operation message']), /^Cannot store data\/(old|new): /)
      await assertOnlyOld(storage)
    })
  }

  it('says which file systems can hold a repository when there are no hard links', strace, async (t) => {
    const storage = await createWithOld(t)
    const code = `await attempt('operation', () => storage.putIfAbsent('data/new', Buffer.alloc(1)))`
    const report = runWithFault(storage, '/^link(at)?$:error=EPERM', code)
    assert.match(String(report['operation message']), /has no hard links \(EPERM\).* such as ext4/)
  })

  it('accepts a file system that cannot sync folders', strace, async (t) => {
    for (const error of ['EINVAL', 'EOPNOTSUPP']) {
      const storage = await createWithOld(t)
      const code = `await attempt('operation', () => storage.put('data/old', Buffer.from([1, 2, 3])))`
      assert.equal(runWithFault(storage, `fsync:error=${error}`, code, 'data')['operation'], 'done')
      await assertOnlyOld(storage)
    }
  })

  it('does not say that an object is durable when its folder was not', strace, async (t) => {
    const storage = await createWithOld(t)
    const code = `await attempt('put', () => storage.put('data/old', Buffer.from([1, 2, 3])))
      await attempt('putIfAbsent', () => storage.putIfAbsent('data/old', Buffer.alloc(1)))
      await attempt('delete', () => storage.delete('data/none'))`
    const report = runWithFault(storage, 'fsync:error=EIO', code, 'data')
    for (const name of ['put', 'putIfAbsent', 'delete']) assert.equal(report[name], 'STORAGE_UNAVAILABLE', name)
    await assertOnlyOld(storage)
  })

  it('throws rather than list a part of a folder that cannot be read', strace, async (t) => {
    const storage = await createWithOld(t)
    const code = `await attempt('list', () => Array.fromAsync(storage.list('data/')))`
    assert.equal(runWithFault(storage, 'getdents64:error=EIO', code, 'data')['list'], 'STORAGE_UNAVAILABLE')
  })

  it('throws rather than return a part of an object that cannot be read', strace, async (t) => {
    const storage = await createWithOld(t)
    const code = `await attempt('get', () => storage.get('data/old'))
      await attempt('range', () => storage.get('data/old', { offset: 1, length: 1 }))`
    const report = runWithFault(storage, 'pread64:error=EIO', code, 'data/old')
    assert.equal(report['get'], 'STORAGE_UNAVAILABLE')
    assert.equal(report['range'], 'STORAGE_UNAVAILABLE')
    const torn = runWithFault(storage, 'pread64:retval=0', code, 'data/old')
    assert.equal(torn['get'], 'DATA_CORRUPT')
    assert.equal(torn['range'], 'DATA_CORRUPT')
  })
})

describe('toStorageError()', () => {
  it('names errors that Node has no name for', () => {
    const error = Object.assign(new Error('Unknown system error -116'), {
      errno: -116,
      code: 'Unknown system error -116',
    })
    assert.equal(toStorageError(error, 'store a', '/repo/a').details['errno'], 'ESTALE')
  })

  it('keeps the cause, and takes what is no system error for a bug', () => {
    const bug = new TypeError('x is not a function')
    const error = toStorageError(bug, 'store a', '/repo/a')
    assert.equal(error.code, 'INTERNAL')
    assert.equal(error.cause, bug)
    assert.equal(toStorageError(error, 'list', '/repo'), error)
  })
})
