import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { statfsSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileSystemKind, kindOfType, syncFileSystem } from './file-systems.ts'
import { makeSymlink } from './files.ts'
import {
  SKIP_UNLESS_LINUX,
  SKIP_UNLESS_ROOT,
  hasPrograms,
  newDirectory,
  newFile,
  newFileSystem,
  run,
  startFuseServer,
} from './testing.ts'

describe('kindOfType()', () => {
  it('knows the numbers of linux/magic.h and of stat(1)', () => {
    for (const type of [0x6969, 0xff534d42, 0xfe534d42, 0x65735546, 0x01021997, 0x00c36400, 0x47504653, 0x0bd00bd0]) {
      assert.equal(kindOfType(type), 'network')
    }
    assert.equal(kindOfType(0xff534d42 | 0), 'network') // as a signed number, which some systems give
    for (const type of [0x4d44, 0x2011bab0]) assert.equal(kindOfType(type), 'coarse')
    // ext4, XFS, btrfs, tmpfs, overlay, ZFS, bcachefs, one that nobody knows
    for (const type of [
      0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0x2fc12fc1, 0xca451a4e, 0x12345678, 0,
    ]) {
      assert.equal(kindOfType(type), 'local')
    }
  })
})

describe('fileSystemKind()', { skip: SKIP_UNLESS_LINUX }, () => {
  it('sees what a path is on, and never through a symlink', { skip: SKIP_UNLESS_ROOT }, async (t) => {
    const mount = await startFuseServer(t)
    if (mount === undefined) return
    const link = `${newDirectory()}/link`
    makeSymlink(mount, link)
    assert.equal(fileSystemKind(mount), 'network')
    assert.equal(fileSystemKind(`${mount}/failing`), 'network')
    assert.equal(fileSystemKind(link), 'local')
    assert.equal(kindOfType(statfsSync(link).type), 'network')
    assert.equal(run('stat', '-f', '-c', '%T', mount), 'fuseblk\n')
  })

  it('takes the usual ones as local', () => {
    for (const path of ['/', '/proc', '/dev/null', newFile(), newDirectory()])
      assert.equal(fileSystemKind(path), 'local')
  })

  it('throws the system error', () => {
    assert.throws(() => fileSystemKind(`${newDirectory()}/missing`), { code: 'ENOENT' })
  })
})

describe('syncFileSystem()', { skip: SKIP_UNLESS_LINUX }, () => {
  it('brings what was written to the disk', { skip: SKIP_UNLESS_ROOT }, (t) => {
    // The first commit of a journal by itself is an hour away, and data wait for it.
    const mounted = hasPrograms(t, 'debugfs') ? newFileSystem(t, 'ext4', { mount: ['commit=3600'] }) : undefined
    if (!mounted) return
    const readDisk = (): string =>
      execFileSync('debugfs', ['-R', 'cat /file', mounted.image], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      })
    writeFileSync(`${mounted.directory}/file`, 'synced')
    syncFileSystem(mounted.directory)
    assert.equal(readDisk(), 'synced')
    writeFileSync(`${mounted.directory}/file`, 'synced again')
    syncFileSystem(`${mounted.directory}/file`)
    assert.equal(readDisk(), 'synced again')
  })

  it('throws the system error and follows no symlink', () => {
    const file = newFile()
    makeSymlink(file, `${file}-link`)
    assert.throws(() => syncFileSystem(`${file}-link`), { code: 'ELOOP' })
    assert.throws(() => syncFileSystem(`${file}-missing`), { code: 'ENOENT', path: `${file}-missing` })
  })
})
