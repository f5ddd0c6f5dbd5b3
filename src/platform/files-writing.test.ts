import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { toSystemPath } from '../base/raw-name.ts'
import {
  closeFile,
  createFile,
  findFile,
  makeDirectory,
  makeHardLink,
  makeSymlink,
  openForReading,
  openForWriting,
  removeDirectory,
  removeFile,
  renameFile,
  setMode,
  setOwner,
  statFile,
  writeFully,
} from './files.ts'
import { LATIN1_NAME, SKIP_UNLESS_ROOT, newDirectory, newFile, newFifo, openBothWays } from './testing.ts'

describe('writeFully()', () => {
  it('writes parts of a buffer at their positions', () => {
    const content = randomBytes(50_000)
    const file = `${newDirectory()}/${LATIN1_NAME}`
    const fd = createFile(file, 0o600)
    writeFully(fd, content, 20_000, 30_000, 20_000)
    writeFully(fd, content, 0, 20_000, 0)
    writeFully(fd, content, 0, 0, 0)
    closeFile(fd)
    assert.ok(readFileSync(toSystemPath(file)).equals(content))
  })

  it('waits for a slow reader of a pipe in non-blocking mode', async () => {
    const fifo = newFifo()
    const content = randomBytes(1 << 20)
    const fd = openBothWays(fifo)
    const reader = spawn('sh', ['-c', 'sleep 0.05; exec head -c 1048576 "$0" >"$0.copy"', fifo])
    writeFully(fd, content, 0, content.length)
    await once(reader, 'close')
    closeFile(fd)
    assert.ok(readFileSync(`${fifo}.copy`).equals(content))
  })
})

describe('createFile() and openForWriting()', () => {
  it('create only what is not there, not even through a dangling symlink', () => {
    const file = newFile()
    const link = path.join(newDirectory(), 'link')
    makeSymlink(`${file}-new`, link)
    assert.throws(() => createFile(file, 0o600), { code: 'EEXIST' })
    assert.throws(() => createFile(link, 0o600), { code: 'EEXIST' })
    assert.equal(findFile(`${file}-new`), undefined)
  })

  it('open only a file that is there, keep its content, and refuse symlinks and FIFOs', () => {
    const file = newFile('0123456789')
    const link = path.join(newDirectory(), 'link')
    makeSymlink(file, link)
    const fd = openForWriting(file)
    writeFully(fd, Buffer.from('ab'), 0, 2, 3)
    closeFile(fd)
    assert.equal(readFileSync(file, 'utf8'), '012ab56789')
    assert.throws(() => openForWriting(link), { code: 'ELOOP' })
    assert.throws(() => openForWriting(newFifo()), { code: 'ENXIO' })
    assert.throws(() => openForWriting(`${file}-missing`), { code: 'ENOENT' })
  })
})

describe('setMode()', () => {
  it('sets all twelve bits, whatever the umask, by path and by descriptor', () => {
    const file = newFile('', LATIN1_NAME)
    const directory = `${newDirectory()}/d`
    makeDirectory(directory, 0o700)
    const fd = openForWriting(file)
    for (const mode of [0o7777, 0o4755, 0o2755, 0o1777, 0, 0o666]) {
      setMode(file, mode)
      assert.equal(statFile(file).mode, mode)
      setMode(file, 0o600)
      setMode(fd, mode)
      assert.equal(statFile(file).mode, mode)
      setMode(directory, mode)
      assert.equal(statFile(directory).mode, mode)
    }
    closeFile(fd)
  })

  it('refuses a symlink and leaves its target alone', () => {
    const file = newFile()
    setMode(file, 0o600)
    const link = path.join(newDirectory(), 'link')
    makeSymlink(file, link)
    assert.throws(() => setMode(link, 0o777), { code: 'ENOTSUP' })
    assert.equal(statFile(file).mode, 0o600)
  })
})

describe('setOwner()', () => {
  it('sets numbers beyond 31 bits, and on a symlink those of the link', { skip: SKIP_UNLESS_ROOT }, () => {
    const file = newFile()
    const link = `${newDirectory()}/${LATIN1_NAME}`
    makeSymlink(file, link)
    const { uid, gid } = statFile(file)
    setOwner(link, 4_294_967_294, 12)
    assert.deepEqual([statFile(link).uid, statFile(link).gid], [4_294_967_294, 12])
    assert.deepEqual([statFile(file).uid, statFile(file).gid], [uid, gid])
    const fd = openForReading(file)
    setOwner(fd, 34, 56)
    closeFile(fd)
    assert.deepEqual([statFile(file).uid, statFile(file).gid], [34, 56])
  })
})

describe('makeHardLink() and removeFile()', () => {
  it('add and remove names, of a symlink its own', () => {
    const file = newFile('', LATIN1_NAME)
    const link = `${file}-link`
    makeSymlink(file, link)
    makeHardLink(link, `${link}2`)
    assert.equal(statFile(`${link}2`).inode, statFile(link).inode)
    removeFile(link)
    assert.equal(findFile(link), undefined)
    assert.equal(statFile(`${link}2`).type, 'symlink')
    assert.equal(statFile(file).type, 'file')
    assert.throws(() => removeFile(newDirectory()), { code: /^(EISDIR|EPERM)$/ })
  })
})

describe('removeDirectory()', () => {
  it('removes an empty directory and nothing else', () => {
    const directory = `${newDirectory()}/${LATIN1_NAME}`
    makeDirectory(directory, 0o700)
    makeSymlink(directory, `${directory}-link`)
    closeFile(createFile(`${directory}/file`, 0o600))
    assert.throws(() => removeDirectory(directory), { code: 'ENOTEMPTY' })
    assert.throws(() => removeDirectory(`${directory}/file`), { code: 'ENOTDIR' })
    removeFile(`${directory}/file`)
    assert.throws(() => removeDirectory(`${directory}-link`), { code: 'ENOTDIR' })
    removeDirectory(directory)
    assert.equal(findFile(directory), undefined)
  })
})

describe('renameFile()', () => {
  it('replaces the file that has the name, and not what a symlink of that name points to', () => {
    const [from, to] = [newFile('new', LATIN1_NAME), newFile('old')]
    renameFile(from, to)
    assert.equal(findFile(from), undefined)
    assert.equal(readFileSync(to, 'utf8'), 'new')
    const link = `${newDirectory()}/link`
    makeSymlink(to, link)
    renameFile(newFile('third'), link)
    assert.equal(statFile(link).type, 'file')
    assert.equal(readFileSync(to, 'utf8'), 'new')
  })

  it('keeps both names of the same file, and puts no file in the place of a directory', () => {
    const file = newFile()
    makeHardLink(file, `${file}2`)
    renameFile(file, `${file}2`)
    assert.equal(statFile(file).linkCount, 2)
    assert.throws(() => renameFile(file, newDirectory()), { code: 'EISDIR' })
    assert.throws(() => renameFile(`${file}-missing`, file), { code: 'ENOENT', dest: file })
  })
})
