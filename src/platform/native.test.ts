import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, lstatSync, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { fromRawName, toSystemPath } from '../base/raw-name.ts'
import { nativeProblem, nativeTimes, setModeByPath, setOpenFileTimes, setTimes } from './native.ts'
import { newDirectory, runScript, SKIP_UNLESS_LINUX } from './testing.ts'

const MODULE = import.meta.resolve('./native.ts')
const SECOND = 1_000_000_000n
const at = (date: string, ns = 0n): bigint => BigInt(Date.parse(date)) * 1_000_000n + ns

const TIMES: readonly bigint[] = [
  0n,
  1n,
  -1n,
  SECOND - 1n,
  -SECOND,
  -SECOND - 1n,
  at('1901-12-14T00:00:00Z', 123_456_789n),
  at('1969-12-31T23:59:59Z', 1n),
  at('2001-09-09T01:46:40Z', 999_999_999n),
  at('2026-11-21T12:34:56Z', 987_654_321n),
  at('2037-12-31T23:59:59Z', 999_999_999n),
]

const names = ['plain', 'grüße 😀', fromRawName(Buffer.from([0x66, 0xff, 0x80, 0x6f])), 'x'.repeat(255)]

/** One new file of each kind under each name. */
function newFiles(): string[] {
  const directory = newDirectory()
  return names.flatMap((name) => {
    for (const kind of ['file', 'dir', 'link']) mkdirSync(`${directory}/${kind}`, { recursive: true })
    writeFileSync(toSystemPath(`${directory}/file/${name}`), '')
    mkdirSync(toSystemPath(`${directory}/dir/${name}`))
    symlinkSync(toSystemPath(`../file/${name}`), toSystemPath(`${directory}/link/${name}`))
    return ['file', 'dir', 'link'].map((kind) => `${directory}/${kind}/${name}`)
  })
}

function timesOf(file: string): bigint[] {
  const { atimeNs, mtimeNs } = lstatSync(toSystemPath(file), { bigint: true })
  return [atimeNs, mtimeNs]
}

/** Access and modification time as stat(1) sees them. */
function timesBySystem(file: string): bigint[] {
  const printed = execFileSync('stat', ['-c', '%.9X %.9Y', file], { encoding: 'utf8' }).trim().split(' ')
  return printed.map((text) => {
    const [, sign = '', seconds = '', rest = ''] = /^(-?)(\d+)\.(\d{9})$/.exec(text) ?? assert.fail(text)
    return BigInt(`${sign}${seconds}${rest}`)
  })
}

describe('setTimes()', () => {
  it('is exact to the nanosecond on files, directories and symlinks of any name', () => {
    assert.equal(nativeProblem(), undefined)
    assert.ok(nativeTimes())
    const files = newFiles()
    for (const file of files) {
      for (const [i, mtimeNs] of TIMES.entries()) {
        const atimeNs = TIMES[TIMES.length - 1 - i] ?? 0n
        setTimes(file, atimeNs, mtimeNs)
        assert.deepEqual(timesOf(file), [atimeNs, mtimeNs])
      }
    }
    // None of the later calls went through a symlink or to another name.
    for (const [i, file] of files.entries()) setTimes(file, BigInt(i), SECOND * BigInt(i))
    for (const [i, file] of files.entries()) assert.deepEqual(timesOf(file), [BigInt(i), SECOND * BigInt(i)])
  })

  it('sets what stat(1) prints', () => {
    const [file = ''] = newFiles()
    for (const ns of TIMES) {
      setTimes(file, -ns, ns)
      assert.deepEqual(timesBySystem(file), [-ns, ns])
    }
  })

  it('gives back any nanosecond from 1902 to 2037', () => {
    const [file = ''] = newFiles()
    const anyTime = fc.bigInt({ min: at('1902-01-01'), max: at('2037-12-31') })
    fc.assert(
      fc.property(anyTime, anyTime, (atimeNs, mtimeNs) => {
        setTimes(file, atimeNs, mtimeNs)
        assert.deepEqual(timesOf(file), [atimeNs, mtimeNs])
      }),
    )
  })

  it('stores what touch(1) stores for times that a file system may not be able to keep', () => {
    const [file = '', , , other = ''] = newFiles()
    for (const seconds of [-(2n ** 40n), -(2n ** 31n) - 1n, 2n ** 31n, 2n ** 32n, 15_000_000_000n, 2n ** 40n]) {
      const ns = seconds * SECOND + 7n
      setTimes(file, ns, ns)
      const [sign, size] = ns < 0n ? ['-', -ns] : ['', ns]
      const fraction = String(size % SECOND).padStart(9, '0')
      execFileSync('touch', ['-d', `@${sign}${size / SECOND}.${fraction}`, other])
      assert.deepEqual(timesOf(file), timesOf(other))
    }
  })

  it('throws errors like those of Node', () => {
    const missing = `${newDirectory()}/missing`
    assert.throws(() => setTimes(missing, 0n, 0n), {
      code: 'ENOENT',
      errno: -2,
      syscall: 'utimensat',
      path: missing,
      message: `ENOENT: no such file or directory, utimensat '${missing}'`,
    })
    const [file = ''] = newFiles()
    assert.throws(() => setTimes(`${file}/x`, 0n, 0n), { code: 'ENOTDIR' })
    assert.throws(() => setTimes(`${newDirectory()}/${'x'.repeat(256)}`, 0n, 0n), { code: 'ENAMETOOLONG' })
  })

  it('takes paths that are as long as the kernel takes them, and longer', () => {
    const directory = newDirectory()
    for (const bytes of [4094, 4095, 4096, 4097, 4098, 40_000]) {
      const ns = BigInt(bytes)
      setTimes(`${directory}${'/.'.repeat(bytes)}`.slice(0, bytes), ns, ns)
      assert.deepEqual(timesOf(directory), [ns, ns])
    }
    for (const tooLong of [
      `${directory}/${'x'.repeat(4096)}`,
      `${directory}/${'é'.repeat(2048)}`,
      '\udcff'.repeat(4096),
    ]) {
      assert.throws(() => setTimes(tooLong, 0n, 0n), { code: 'ENAMETOOLONG', path: tooLong })
    }
  })

  it('refuses a NUL in a path instead of touching another file', () => {
    const [file = ''] = newFiles()
    setTimes(file, 1n, 2n)
    for (const end of ['\0', '\0x', '\0\udcff']) {
      assert.throws(() => setTimes(`${file}${end}`, 3n, 4n), { code: 'EINVAL' })
      assert.throws(() => setModeByPath(`${file}${end}`, 0), { code: 'EINVAL' })
    }
    assert.deepEqual(timesOf(file), [1n, 2n])
  })

  it('works in worker threads, in several at once', async () => {
    const files = newFiles()
    const script = `const { workerData } = require('node:worker_threads')
      import(workerData.module).then(({ setTimes }) => {
        for (let i = 0n; i < 1000n; i++) setTimes(workerData.file, i, workerData.ns + i)
      })`
    const ends = files.map((file, i) => {
      const workerData = { module: MODULE, file, ns: BigInt(i) * SECOND }
      return once(new Worker(script, { eval: true, workerData }), 'exit')
    })
    assert.deepEqual((await Promise.all(ends)).flat(), Array(files.length).fill(0))
    for (const [i, file] of files.entries()) assert.deepEqual(timesOf(file), [999n, BigInt(i) * SECOND + 999n])
  })
})

describe('setOpenFileTimes()', () => {
  it('is exact to the nanosecond', () => {
    const [file = ''] = newFiles()
    const fd = openSync(file, 'r')
    for (const ns of TIMES) {
      setOpenFileTimes(fd, ns, -ns)
      assert.deepEqual(timesOf(file), [ns, -ns])
    }
    closeSync(fd)
    assert.throws(() => setOpenFileTimes(fd, 0n, 0n), { code: 'EBADF', errno: -9, syscall: 'futimens' })
  })
})

describe('the native module', () => {
  it('loads koffi only when a function needs it', { skip: SKIP_UNLESS_LINUX }, () => {
    const output = runScript(`
      import { readFileSync } from 'node:fs'
      const loaded = () => readFileSync('/proc/self/maps', 'utf8').includes('koffi')
      const native = await import('${MODULE}')
      console.log(loaded(), native.nativeTimes(), loaded())`)
    assert.equal(output, 'false true true\n')
  })

  it('does without koffi: times to the microsecond, no mode through a symlink, and a reason', () => {
    const [file = '', directory = '', link = ''] = newFiles()
    const output = runScript(`
      import { registerHooks } from 'node:module'
      import { openSync } from 'node:fs'
      registerHooks({ resolve(name, context, next) {
        if (name === 'koffi') throw new Error('no koffi here')
        return next(name, context)
      } })
      const native = await import('${MODULE}')
      const [file, directory, link] = ${JSON.stringify([file, directory, link])}
      console.log(native.nativeTimes(), native.nativeProblem())
      native.setTimes(link, -1_234_567_891n, 1_700_000_000_123_456_789n)
      native.setTimes(directory, -1_000n, 1_000n)
      native.setOpenFileTimes(openSync(file), 1_700_000_000_123_456_789n, -1_234_567_891n)
      native.setModeByPath(directory, 0o1700)
      try { native.setModeByPath(link, 0o777) } catch (error) { console.log(error.code) }`)
    assert.equal(output, 'false Native system calls are not available: no koffi here\nENOTSUP\n')
    assertNear(timesOf(link), [-1_234_567_891n, 1_700_000_000_123_456_789n])
    assertNear(timesOf(directory), [-1_000n, 1_000n])
    assertNear(timesOf(file), [1_700_000_000_123_456_789n, -1_234_567_891n])
    assert.equal(lstatSync(directory).mode & 0o7777, 0o1700)
    assert.notEqual(lstatSync(file).mode & 0o7777, 0o777)
  })

  it('does without koffi: reads no attributes, flags and holes, and refuses to set or make what needs it', () => {
    const [file = ''] = newFiles()
    const output = runScript(`
      import { registerHooks } from 'node:module'
      import { openSync, truncateSync } from 'node:fs'
      registerHooks({ resolve(name, context, next) {
        if (name === 'koffi') throw new Error('no koffi here')
        return next(name, context)
      } })
      const { readXattrs, removeXattr, setXattr } = await import('${import.meta.resolve('./xattrs.ts')}')
      const { readFileFlags, setFileFlags } = await import('${import.meta.resolve('./file-flags.ts')}')
      const { findHoles } = await import('${import.meta.resolve('./sparse.ts')}')
      const { makeSpecialFile } = await import('${import.meta.resolve('./special-files.ts')}')
      const { fileSystemKind, syncFileSystem } = await import('${import.meta.resolve('./file-systems.ts')}')
      const { nameFile } = await import('${import.meta.resolve('./unnamed-file.ts')}')
      const file = ${JSON.stringify(file)}
      const fd = openSync(file, 'r+')
      truncateSync(file, 1 << 20)
      console.log(readXattrs(file), readXattrs(fd), readFileFlags(file), readFileFlags(fd), findHoles(fd, 1 << 20))
      console.log(fileSystemKind(file))
      const value = Buffer.alloc(1)
      for (const action of [
        () => setXattr(file, 'user.x', value), () => setXattr(fd, 'user.x', value), () => removeXattr(file, 'user.x'),
        () => setFileFlags(file, 1), () => setFileFlags(fd, 1), () => syncFileSystem(file),
        () => makeSpecialFile(file + '-new', 'fifo', 0o600, { major: 0, minor: 0 }), () => nameFile(fd, file + '-new'),
      ]) try { action() } catch (error) { console.log(error.code, error.syscall, error.path === file) }`)
    assert.equal(
      output,
      `[] [] 0 0 []
local
ENOTSUP lsetxattr true
ENOTSUP fsetxattr false
ENOTSUP lremovexattr true
ENOTSUP ioctl true
ENOTSUP ioctl false
ENOTSUP syncfs true
ENOTSUP mknodat false
ENOTSUP linkat false
`,
    )
  })
})

function assertNear(times: bigint[], expected: bigint[]): void {
  for (const [i, time] of times.entries()) {
    const off = time - (expected[i] ?? 0n)
    assert.ok(off > -2_000n && off < 2_000n, `${time} is ${off} ns off`)
  }
}
