import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { describe, it, type TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { fromRawName, toRawName } from '../base/raw-name.ts'
import { readFileFlags, setFileFlags } from './file-flags.ts'
import { fileSystemKind, syncFileSystem } from './file-systems.ts'
import {
  closeFile,
  createFile,
  findFile,
  listDirectory,
  makeDirectory,
  makeHardLink,
  makeSymlink,
  openForReading,
  openForWriting,
  readFully,
  readLink,
  removeDirectory,
  removeFile,
  renameFile,
  setMode,
  setOwner,
  statFile,
  writeFully,
} from './files.ts'
import { withShortPath } from './long-path.ts'
import { setTimes } from './native.ts'
import { makeSpecialFile } from './special-files.ts'
import { SKIP_UNLESS_LINUX, SKIP_UNLESS_ROOT, newDirectory, run, runScript, skip } from './testing.ts'
import { createUnnamedFile, nameFile } from './unnamed-file.ts'
import { readXattrs, removeXattr, setXattr } from './xattrs.ts'

/** Names of 255 bytes: ASCII, of two bytes a letter, of four, and no UTF-8 at all. */
const NAMES = ['a'.repeat(255), `${'é'.repeat(127)}x`, `${'😀'.repeat(63)}abc`, fromRawName(Buffer.alloc(255, 0xe9))]

/** A directory so many levels of 255 bytes down; the tree is removed when the test ends. */
function newDeepDirectory(t: TestContext, levels: number): string {
  const root = newDirectory()
  t.after(() => execFileSync('rm', ['-rf', root]))
  let directory = root
  for (let level = 0; level < levels; level++) {
    directory += `/${NAMES[level % NAMES.length]}`
    makeDirectory(directory, 0o755)
  }
  return directory
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length
}

describe('functions that take a path', { skip: SKIP_UNLESS_LINUX }, () => {
  for (const levels of [16, 30, 120]) {
    it(`work in a directory ${levels} levels of 255 bytes down`, (t) => {
      const deep = newDeepDirectory(t, levels)
      assert.ok(toRawName(deep).length >= levels * 256)
      const before = openDescriptors()
      for (const name of ['file', ...NAMES]) {
        const path = `${deep}/${name}`
        const fd = createFile(path, 0o600)
        writeFully(fd, Buffer.from('content'), 0, 7)
        closeFile(fd)
        setMode(path, 0o641)
        setTimes(path, 1n, 2_000_000_003n)
        assert.deepEqual(
          [statFile(path).sizeBytes, statFile(path).mode, statFile(path).mtimeNs],
          [7, 0o641, 2_000_000_003n],
        )
        const buffer = Buffer.alloc(7)
        const reading = openForReading(path)
        assert.equal(readFully(reading, buffer, 0, 7), 7)
        closeFile(reading)
        assert.equal(buffer.toString(), 'content')
        closeFile(openForWriting(path))
        assert.deepEqual(listDirectory(deep), [name])

        makeHardLink(path, `${path.slice(0, -1)}2`)
        assert.deepEqual(findFile(`${path.slice(0, -1)}2`), statFile(path))
        assert.equal(statFile(path).linkCount, 2)
        renameFile(`${path.slice(0, -1)}2`, `${path.slice(0, -1)}3`)
        assert.equal(findFile(`${path.slice(0, -1)}2`), undefined)
        removeFile(`${path.slice(0, -1)}3`)
        removeFile(path)

        makeSymlink(name, path)
        assert.equal(readLink(path), name)
        setTimes(path, 5n, 6n)
        assert.deepEqual([statFile(path).type, statFile(path).mtimeNs], ['symlink', 6n])
        assert.throws(() => setMode(path, 0o777), { code: 'ENOTSUP', path })
        removeFile(path)
        makeSpecialFile(path, 'fifo', 0o600, { major: 0, minor: 0 })
        assert.equal(statFile(path).type, 'fifo')
        removeFile(path)
        makeDirectory(path, 0o700)
        removeDirectory(path)
      }
      assert.deepEqual(listDirectory(deep), [])
      assert.equal(fileSystemKind(deep), 'local')
      assert.equal(openDescriptors(), before)
    })
  }

  it('reach what find(1) and rm(1) reach', (t) => {
    const deep = newDeepDirectory(t, 40)
    const root = deep.slice(0, deep.indexOf('/aaaa'))
    assert.equal(run('find', root, '-type', 'd').trim().split('\n').length, 41)
    let level = deep
    for (let i = 0; i < 40; i++) {
      const parent = level.slice(0, level.lastIndexOf('/'))
      assert.deepEqual(listDirectory(parent), [level.slice(parent.length + 1)])
      removeDirectory(level)
      level = parent
    }
    assert.equal(run('find', root, '-type', 'd').trim(), root)
  })

  it('set attributes, flags and owners there too', { skip: SKIP_UNLESS_ROOT }, (t) => {
    const path = `${newDeepDirectory(t, 30)}/${NAMES[3]}`
    const before = openDescriptors()
    closeFile(createFile(path, 0o600))
    try {
      setXattr(path, 'user.x', Buffer.from('value'))
      setFileFlags(path, 1)
    } catch (error) {
      return skip(t, `the temporary directory keeps no attributes or flags: ${String(error)}`)
    }
    assert.deepEqual(readXattrs(path).find(({ name }) => name === 'user.x')?.value, Buffer.from('value'))
    removeXattr(path, 'user.x')
    assert.equal(readFileFlags(path), 1)
    setOwner(path, 12, 34)
    assert.deepEqual([statFile(path).uid, statFile(path).gid], [12, 34])
    syncFileSystem(path)
    assert.equal(openDescriptors(), before)
  })

  it('name an unnamed file there', (t) => {
    const deep = newDeepDirectory(t, 30)
    const fd = createUnnamedFile(deep, 0o600)
    nameFile(fd, `${deep}/named`)
    assert.throws(() => nameFile(fd, `${deep}/named`), { code: 'EEXIST', path: `${deep}/named` })
    closeFile(fd)
    assert.deepEqual(listDirectory(deep), ['named'])
  })

  it('name the real path in errors, and leave no descriptor open', (t) => {
    const deep = newDeepDirectory(t, 30)
    const before = openDescriptors()
    const [missing, other] = [`${deep}/${NAMES[3]}`, `${deep}/other`]
    const nowhere = `${newDirectory()}/nowhere`
    const missingWay = `${deep.slice(0, 3000)}-/${'x'.repeat(250)}/${NAMES.join('/')}/${NAMES.join('/')}`
    const expected = { code: 'ENOENT', errno: -2, path: missing }
    assert.throws(() => statFile(missing), {
      ...expected,
      syscall: 'lstat',
      message: `ENOENT: no such file or directory, lstat '${missing}'`,
    })
    assert.throws(() => listDirectory(missing), expected)
    assert.throws(() => openForReading(missing), expected)
    assert.throws(() => setTimes(missing, 0n, 0n), { ...expected, syscall: 'utimensat' })
    assert.throws(() => readXattrs(missing), expected)
    assert.throws(() => readFileFlags(missing), expected)
    assert.throws(() => makeHardLink(missing, other), {
      ...expected,
      dest: other,
      message: `ENOENT: no such file or directory, link '${missing}' -> '${other}'`,
    })
    assert.throws(() => renameFile(nowhere, missing), { code: 'ENOENT', path: nowhere, dest: missing })
    assert.throws(() => renameFile(missing, nowhere), { code: 'ENOENT', path: missing, dest: nowhere })
    assert.throws(() => makeDirectory(deep, 0o700), { code: 'EEXIST', path: deep })
    assert.throws(() => statFile(missingWay), { code: 'ENOENT', path: missingWay })
    assert.equal(findFile(missing), undefined)
    assert.equal(findFile(missingWay), undefined)
    assert.throws(() => statFile(`${deep}/${'x'.repeat(256)}`), { code: 'ENAMETOOLONG' })
    assert.throws(() => statFile(`${deep}/${'x'.repeat(5000)}`), { code: 'ENAMETOOLONG' })
    closeFile(createFile(other, 0o600))
    assert.throws(() => statFile(`${other}/${'./'.repeat(2000)}x`), { code: 'ENOTDIR' })
    assert.throws(() => statFile(`${deep}/a\0b`), { code: 'ERR_INVALID_ARG_VALUE' })
    assert.throws(() => setTimes(`${deep}/a\0b`, 0n, 0n), { code: 'EINVAL' })
    assert.equal(openDescriptors(), before)
  })

  it('work in several threads at once', async (t) => {
    const deep = newDeepDirectory(t, 20)
    const script = `const { workerData } = require('node:worker_threads')
      import(workerData.module).then(({ closeFile, createFile, listDirectory, removeFile, statFile }) => {
        for (let i = 0; i < 50; i++) {
          const path = workerData.deep + '/' + workerData.name + i
          closeFile(createFile(path, 0o600))
          if (!listDirectory(workerData.deep).includes(workerData.name + i)) throw new Error(path)
          if (statFile(path).type !== 'file') throw new Error(path)
          removeFile(path)
        }
      })`
    const before = openDescriptors()
    const module = import.meta.resolve('./files.ts')
    const ends = ['a', 'b', 'c', 'd'].map((name) =>
      once(new Worker(script, { eval: true, workerData: { module, deep, name } }), 'exit'),
    )
    assert.deepEqual((await Promise.all(ends)).flat(), [0, 0, 0, 0])
    assert.deepEqual(listDirectory(deep), [])
    assert.ok(openDescriptors() <= before + 2) // what is left of a thread that ended goes in its own time
  })
})

describe('withShortPath()', { skip: SKIP_UNLESS_LINUX }, () => {
  it('gives a path that fits as it is', () => {
    for (const path of ['', 'a', '/a/é', 'x'.repeat(4095), 'é'.repeat(2047), '😀'.repeat(1023)]) {
      withShortPath(path, (shortPath) => assert.equal(shortPath, path))
    }
    const raw = fromRawName(Buffer.alloc(4095, 0xff))
    withShortPath(raw, (shortPath) => assert.deepEqual(shortPath, Buffer.alloc(4095, 0xff)))
  })

  it('reaches the same file by any detour of any length', () => {
    const directory = newDirectory()
    for (const name of ['é', '\udcff\udcfe', 'plain']) {
      makeDirectory(`${directory}/${name}`, 0o700)
    }
    const { inode } = statFile(directory)
    const detour = fc.constantFrom('.', '', 'é/..', '\udcff\udcfe/..', 'plain/../.', '///')
    const many = fc.array(detour, { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(many, fc.integer({ min: 3900, max: 13_000 }), (detours, units) => {
        let path = directory
        for (let i = 0; path.length < units; i++) path += `/${detours[i % detours.length]}`
        assert.equal(statFile(`${path}/.`).inode, inode)
        assert.deepEqual(listDirectory(path), ['plain', 'é', '\udcff\udcfe'])
      }),
    )
  })

  it('takes every length around the limit', () => {
    const directory = newDirectory()
    for (let bytes = 4080; bytes < 4110; bytes++) {
      const path = `${directory}${'/'.repeat(bytes - directory.length - 1)}x`
      closeFile(createFile(path, 0o600))
      assert.equal(statFile(path).type, 'file')
      removeFile(path)
    }
  })

  it('works below relative paths', (t) => {
    const deep = newDeepDirectory(t, 30)
    const root = deep.slice(0, deep.indexOf('/aaaa'))
    const output = runScript(`
      import { statFile } from '${import.meta.resolve('./files.ts')}'
      process.chdir(${JSON.stringify(root)})
      console.log(String(statFile(${JSON.stringify(deep.slice(root.length + 1))}).inode))`)
    assert.equal(output.trim(), String(statFile(deep).inode))
  })

  it('refuses a symlink where it takes a step', () => {
    const directory = newDirectory()
    makeSymlink('.', `${directory}/link`)
    const start = `${directory}${'/.'.repeat(2000)}`.slice(0, 3995 - ((3995 - directory.length) % 2) - 5)
    const path = `${start}/link/${NAMES[0]}`
    assert.throws(() => statFile(path), { code: 'ENOTDIR', path })
  })

  it('leaves it at ENAMETOOLONG where there is no /proc', { skip: SKIP_UNLESS_ROOT }, (t) => {
    const directory = newDirectory()
    const script = `
      import { statFile } from '${import.meta.resolve('./files.ts')}'
      const path = '${directory}' + '/.'.repeat(3000)
      try { statFile(path) } catch (error) { console.log(error.code, error.path === path) }`
    const command = `umount -l /proc && exec "$0" -e "$1"`
    const { stdout, stderr, status } = spawnSync('unshare', ['-m', 'sh', '-c', command, process.execPath, script], {
      encoding: 'utf8',
    })
    if (status !== 0) return skip(t, `no process without /proc can be made: ${stderr}`)
    assert.equal(stdout, 'ENAMETOOLONG true\n')
  })
})
