import assert from 'node:assert/strict'
import { closeSync, openSync } from 'node:fs'
import { describe, it, type TestContext } from 'node:test'
import { toSystemPath } from '../base/raw-name.ts'
import { FILE_FLAGS, readFileFlags, setFileFlags } from './file-flags.ts'
import { makeDirectory, makeSymlink, setOwner } from './files.ts'
import {
  BECOME_NOBODY,
  LATIN1_NAME,
  SKIP_UNLESS_LINUX,
  SKIP_UNLESS_ROOT,
  hasPrograms,
  newDirectory,
  newFifo,
  newFile,
  newFileSystem,
  run,
  runScript,
} from './testing.ts'

const MODULE = import.meta.resolve('./file-flags.ts')
const { NODUMP, IMMUTABLE, APPEND } = FILE_FLAGS
const ALL = [0, 1, 2, 3, 4, 5, 6, 7]

/** The letters of chattr(1) that stand for flags. */
function letters(flags: number): string {
  return (flags & IMMUTABLE ? 'i' : '') + (flags & APPEND ? 'a' : '') + (flags & NODUMP ? 'd' : '')
}

/** All letters that lsattr(1) of the system prints. */
function lettersBySystem(file: string): string {
  return (run('lsattr', '-d', file).split(' ')[0] ?? '').replaceAll('-', '')
}

function ourLettersBySystem(file: string): string {
  return lettersBySystem(file).replaceAll(/[^iad]/g, '')
}

/** A file and a directory on a new file system, whose flags are cleared when the test ends. */
function newTargets(t: TestContext, type: 'ext2' | 'ext4' | 'tmpfs'): string[] | undefined {
  const mounted = hasPrograms(t, 'lsattr', 'chattr') ? newFileSystem(t, type) : undefined
  if (!mounted) return undefined
  const targets = [`${mounted.directory}/${LATIN1_NAME}`, `${mounted.directory}/dir`]
  run('touch', targets[0] ?? '')
  makeDirectory(targets[1] ?? '', 0o700)
  return targets
}

describe('FILE_FLAGS', () => {
  it('has the bits of the repository format', () => {
    assert.deepEqual(FILE_FLAGS, { NODUMP: 1, IMMUTABLE: 2, APPEND: 4 })
  })
})

describe('readFileFlags()', { skip: SKIP_UNLESS_ROOT || SKIP_UNLESS_LINUX }, () => {
  for (const type of ['ext4', 'ext2', 'tmpfs'] as const) {
    it(`sees every combination that chattr(1) sets on ${type}`, (t) => {
      for (const target of newTargets(t, type) ?? []) {
        for (const flags of ALL) {
          run('chattr', '=', target) // an immutable file takes no other change
          run('chattr', `=${letters(flags)}`, target)
          assert.equal(readFileFlags(target), flags)
          const fd = openSync(toSystemPath(target), 'r')
          assert.equal(readFileFlags(fd), flags)
          closeSync(fd)
        }
        run('chattr', '=', target)
      }
    })
  }

  it('sees those of a symlink, not of its target', (t) => {
    const [file = ''] = newTargets(t, 'ext4') ?? []
    if (file === '') return
    makeSymlink(file, `${file}-link`)
    run('chattr', '+d', file)
    assert.equal(readFileFlags(file), NODUMP)
    assert.equal(readFileFlags(`${file}-link`), 0)
  })

  it('gives 0 where there are none', () => {
    for (const path of [newFifo(), newDirectory(), '/proc/self/status', '/dev/null'])
      assert.equal(readFileFlags(path), 0)
  })

  it('throws errors like those of Node', () => {
    const missing = `${newDirectory()}/missing`
    assert.throws(() => readFileFlags(missing), { code: 'ENOENT', errno: -2, syscall: 'statx', path: missing })
    assert.throws(() => readFileFlags(1_000_000), { code: 'EBADF', syscall: 'statx' })
  })
})

describe('setFileFlags()', { skip: SKIP_UNLESS_ROOT || SKIP_UNLESS_LINUX }, () => {
  for (const type of ['ext4', 'ext2', 'tmpfs'] as const) {
    it(`sets every combination from every other, as lsattr(1) sees, on ${type}`, (t) => {
      for (const target of newTargets(t, type) ?? []) {
        for (const before of ALL) {
          for (const after of ALL) {
            setFileFlags(target, before)
            setFileFlags(target, after)
            assert.equal(ourLettersBySystem(target), letters(after))
          }
        }
        setFileFlags(target, 0)
      }
    })
  }

  it('keeps other attributes', (t) => {
    const [file = '', directory = ''] = newTargets(t, 'ext4') ?? []
    if (file === '') return
    run('chattr', '+AS', file)
    run('chattr', '+DT', directory)
    const before = [file, directory].map(lettersBySystem)
    for (const target of [file, directory]) setFileFlags(target, NODUMP | APPEND)
    assert.deepEqual(
      [file, directory].map((target) => lettersBySystem(target).replaceAll(/[ad]/g, '')),
      before,
    )
    for (const target of [file, directory]) setFileFlags(target, 0)
    assert.deepEqual([file, directory].map(lettersBySystem), before)
    assert.match(before.join(), /S.*A.*,.*D.*T/)
  })

  it('works by descriptor', (t) => {
    const [, directory = ''] = newTargets(t, 'ext4') ?? []
    if (directory === '') return
    const fd = openSync(directory, 'r')
    setFileFlags(fd, NODUMP)
    assert.equal(readFileFlags(fd), NODUMP)
    closeSync(fd)
    assert.equal(ourLettersBySystem(directory), 'd')
    assert.throws(() => setFileFlags(fd, 0), { code: 'EBADF', syscall: 'ioctl' })
  })

  it('refuses everything but files and directories, and file systems that keep none', (t) => {
    const [file = ''] = newTargets(t, 'ext4') ?? []
    if (file === '') return
    makeSymlink(file, `${file}-link`)
    for (const path of [`${file}-link`, newFifo(), '/dev/null', '/proc/self/status']) {
      assert.throws(() => setFileFlags(path, NODUMP), { code: 'ENOTSUP', syscall: 'ioctl', path })
    }
    assert.equal(readFileFlags(file), 0)
    assert.throws(() => setFileFlags(`${file}-missing`, 0), { code: 'ENOENT' })
  })

  it('lets an owner without rights set NODUMP alone', (t) => {
    const [file = '', directory = ''] = newTargets(t, 'ext4') ?? []
    if (file === '') return
    setOwner(file, 65_534, 65_534)
    const output = runScript(`
      import { readFileFlags, setFileFlags } from '${MODULE}'
      ${BECOME_NOBODY}
      const codeOf = (action) => { try { return action() } catch (error) { return error.code } }
      const [file, other] = ${JSON.stringify([file, directory])}
      for (const flags of [1, 2, 5]) console.log(codeOf(() => setFileFlags(file, flags)), readFileFlags(file))
      console.log(codeOf(() => setFileFlags(other, 1)))`)
    assert.equal(output, 'undefined 1\nEPERM 1\nEPERM 1\nEACCES\n')
    assert.equal(readFileFlags(newFile()), 0)
  })
})
