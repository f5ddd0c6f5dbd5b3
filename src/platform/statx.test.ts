import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  type BigIntStats,
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { describe, it, type TestContext } from 'node:test'
import { toSystemPath } from '../base/raw-name.ts'
import { openDirectory } from './directory-handle.ts'
import { FILE_FLAGS, setFileFlags } from './file-flags.ts'
import { nativeTimes, setTimes } from './native.ts'
import { deviceNumbers, makeSpecialFile } from './special-files.ts'
import { FILE_TYPE_CODES } from './file-type.ts'
import { EntryStat } from './statx.ts'
import { LATIN1_NAME, newDirectory, newFileSystem, runScript, SKIP_UNLESS_LINUX, SKIP_UNLESS_ROOT } from './testing.ts'

const SECOND = 1_000_000_000n

/** All that an `EntryStat` tells, but for flags, which Node does not know. */
function told(stat: EntryStat): Record<string, unknown> {
  const { typeCode, mode, linkCount, uid, gid, inode, sizeBytes, blocks, atimeNs, mtimeNs, ctimeNs } = stat
  const { deviceMajor, deviceMinor, fileSystem } = stat
  return {
    typeCode,
    mode,
    linkCount,
    uid,
    gid,
    inode,
    sizeBytes,
    blocks,
    atimeNs,
    mtimeNs,
    ctimeNs,
    deviceMajor,
    deviceMinor,
    fileSystem,
  }
}

/** The same by way of Node. */
function wanted(stats: BigIntStats): Record<string, unknown> {
  const device = deviceNumbers(stats.rdev)
  const own = deviceNumbers(stats.dev)
  return {
    typeCode: Number(stats.mode) >> 12,
    mode: Number(stats.mode) & 0o7777,
    linkCount: Number(stats.nlink),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    inode: BigInt.asUintN(64, stats.ino),
    sizeBytes: Number(stats.size),
    blocks: Number(stats.blocks),
    atimeNs: stats.atimeNs,
    mtimeNs: stats.mtimeNs,
    ctimeNs: stats.ctimeNs,
    deviceMajor: device.major,
    deviceMinor: device.minor,
    fileSystem: own.major * 2 ** 21 + own.minor,
  }
}

/** As JSON has it. */
function inText(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? String(one) : one)))
}

/** Looks at a name by path, from its directory, and, if it can be opened, by descriptor; all must agree with lstat. */
function expectLikeNode(folder: string, name: string): void {
  const path = `${folder}/${name}`
  const stat = new EntryStat()
  const want = wanted(lstatSync(toSystemPath(path), { bigint: true }))
  stat.readPath(path)
  assert.deepEqual(told(stat), want, path)
  const directory = openDirectory(folder)
  try {
    stat.readAt(directory, name, path)
    assert.deepEqual(told(stat), want, `${path}, from its directory`)
  } finally {
    closeSync(directory)
  }
  if (stat.typeCode !== FILE_TYPE_CODES.file && stat.typeCode !== FILE_TYPE_CODES.dir) return
  const fd = openSync(toSystemPath(path), 'r')
  try {
    stat.readOpen(fd)
    assert.deepEqual(told(stat), want, `${path}, open`)
  } finally {
    closeSync(fd)
  }
}

/** A folder with one of each type of file but a socket, whose names it returns. */
function newFolderOfAll(): [folder: string, names: string[]] {
  const folder = newDirectory()
  writeFileSync(`${folder}/file`, 'content')
  chmodSync(`${folder}/file`, 0o6711)
  linkSync(`${folder}/file`, `${folder}/another name`)
  writeFileSync(`${folder}/sparse`, 'x')
  truncateSync(`${folder}/sparse`, 5 * 2 ** 32 + 7)
  mkdirSync(`${folder}/dir`)
  chmodSync(`${folder}/dir`, 0o1770)
  symlinkSync('file', `${folder}/link`)
  symlinkSync('nowhere', `${folder}/dangling`)
  execFileSync('mkfifo', [`${folder}/fifo`])
  writeFileSync(toSystemPath(`${folder}/${LATIN1_NAME}`), '')
  return [folder, ['file', 'another name', 'sparse', 'dir', 'link', 'dangling', 'fifo', LATIN1_NAME]]
}

describe('EntryStat', { skip: SKIP_UNLESS_LINUX }, () => {
  it('agrees with lstat in every field, for every type of file', async () => {
    const [folder, names] = newFolderOfAll()
    for (const name of names) expectLikeNode(folder, name)
    expectLikeNode('/dev', 'null')
    expectLikeNode('/', 'proc')
    const server = createServer().listen(`${folder}/socket`)
    await once(server, 'listening')
    expectLikeNode(folder, 'socket')
    server.close()
  })

  it('agrees about devices with large numbers, and about owners', { skip: SKIP_UNLESS_ROOT }, () => {
    const folder = newDirectory()
    for (const [name, device] of Object.entries({
      small: { major: 1, minor: 3 },
      large: { major: 0xabc, minor: 0xd_cba9 },
    })) {
      makeSpecialFile(`${folder}/b${name}`, 'blockdev', 0o600, device)
      makeSpecialFile(`${folder}/c${name}`, 'chardev', 0o600, device)
      for (const kind of ['b', 'c']) {
        expectLikeNode(folder, kind + name)
        const stat = new EntryStat()
        stat.readPath(`${folder}/${kind}${name}`)
        assert.deepEqual({ major: stat.deviceMajor, minor: stat.deviceMinor }, device)
      }
    }
    writeFileSync(`${folder}/owned`, '')
    chownSync(`${folder}/owned`, 0xffff_fffe, 70_000)
    expectLikeNode(folder, 'owned')
  })

  it('tells times before 1970 and after 2262 to the nanosecond', (t) => {
    const system = newFileSystem(t, 'tmpfs') // keeps seconds of 64 bits
    if (!system) return
    const file = `${system.directory}/file`
    writeFileSync(file, '')
    const stat = new EntryStat()
    for (const ns of [
      0n,
      -1n,
      -SECOND,
      -SECOND - 1n,
      -(2n ** 40n) * SECOND + 5n,
      2n ** 63n,
      2n ** 40n * SECOND + 999_999_999n,
    ]) {
      setTimes(file, ns + 1n, ns)
      stat.readPath(file)
      assert.deepEqual([stat.atimeNs, stat.mtimeNs], [ns + 1n, ns])
    }
  })

  it('tells the flags that chattr sets', { skip: SKIP_UNLESS_ROOT }, (t) => {
    const system = newFileSystem(t, 'ext4')
    if (!system) return
    const file = `${system.directory}/file`
    writeFileSync(file, '')
    const stat = new EntryStat()
    for (const flags of [FILE_FLAGS.NODUMP, FILE_FLAGS.NODUMP | FILE_FLAGS.IMMUTABLE, FILE_FLAGS.APPEND, 0]) {
      setFileFlags(file, flags)
      stat.readPath(file)
      assert.equal(stat.flags, flags)
    }
  })

  it('throws the system error, and names the path', () => {
    const folder = newDirectory()
    writeFileSync(`${folder}/file`, '')
    const fd = openDirectory(folder)
    const stat = new EntryStat()
    assert.throws(() => stat.readAt(fd, 'missing', `${folder}/missing`), { code: 'ENOENT', path: `${folder}/missing` })
    assert.throws(() => stat.readPath(`${folder}/file/x`), { code: 'ENOTDIR', path: `${folder}/file/x` })
    assert.throws(() => stat.readPath(`${folder}/a\0b`), { code: /EINVAL|ERR_INVALID_ARG_VALUE/ })
    closeSync(fd)
    assert.throws(() => stat.readOpen(fd), { code: 'EBADF' })
  })

  it('tells a file from its directory whatever became of the path to it', () => {
    const folder = newDirectory()
    mkdirSync(`${folder}/d`)
    writeFileSync(`${folder}/d/f`, 'twelve bytes')
    const fd = openDirectory(`${folder}/d`)
    execFileSync('mv', [`${folder}/d`, `${folder}/moved`])
    symlinkSync('/', `${folder}/d`)
    const stat = new EntryStat()
    stat.readAt(fd, 'f', `${folder}/d/f`)
    assert.equal(stat.sizeBytes, 12)
    closeSync(fd)
  })

  it('tells the same without koffi, but for flags', (t: TestContext) => {
    if (!nativeTimes()) return t.skip('there is no koffi anyway')
    const [folder, names] = newFolderOfAll()
    const times = [-1n, -SECOND - 1n, 1_234_567_890_123_456_789n]
    for (const [i, ns] of times.entries()) setTimes(`${folder}/${names[i]}`, ns, ns)
    const printed = runScript(`
      import { registerHooks } from 'node:module'
      registerHooks({ resolve(name, context, next) {
        if (name === 'koffi') throw new Error('no koffi here')
        return next(name, context)
      } })
      const { EntryStat } = await import(${JSON.stringify(import.meta.resolve('./statx.ts'))})
      const { openDirectory } = await import(${JSON.stringify(import.meta.resolve('./directory-handle.ts'))})
      const { nativeTimes } = await import(${JSON.stringify(import.meta.resolve('./native.ts'))})
      if (nativeTimes()) throw new Error('koffi is here after all')
      const told = ${told.toString() /* without types: Node erased them */}
      const folder = ${JSON.stringify(folder)}
      const fd = openDirectory(folder)
      const stat = new EntryStat()
      const all = ${JSON.stringify(names)}.map((name) => {
        stat.readAt(fd, name, folder + '/' + name)
        const byDirectory = told(stat)
        stat.readPath(folder + '/' + name)
        return [byDirectory, told(stat), stat.flags]
      })
      stat.readOpen(fd)
      all.push([told(stat), told(stat), stat.flags])
      console.log(JSON.stringify(all, (_, value) => (typeof value === 'bigint' ? String(value) : value)))`)
    const paths = [...names.map((name) => `${folder}/${name}`), folder]
    const want = paths.map((path) => wanted(lstatSync(toSystemPath(path), { bigint: true })))
    assert.deepEqual(
      JSON.parse(printed),
      want.map((one) => inText([one, one, 0])),
    )
  })
})
