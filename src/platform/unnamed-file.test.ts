import assert from 'node:assert/strict'
import { fstatSync, readFileSync } from 'node:fs'
import { describe, it, type TestContext } from 'node:test'
import { errnoOf } from '../base/errors.ts'
import { toSystemPath } from '../base/raw-name.ts'
import { closeFile, listDirectory, makeSymlink, readFully, statFile, writeFully } from './files.ts'
import {
  BECOME_NOBODY,
  LATIN1_NAME,
  SKIP_UNLESS_LINUX,
  SKIP_UNLESS_ROOT,
  newDirectory,
  newFile,
  newFileSystem,
  runScript,
  skip,
  startFuseServer,
} from './testing.ts'
import { createUnnamedFile, nameFile } from './unnamed-file.ts'

const MODULE = import.meta.resolve('./unnamed-file.ts')

/** An unnamed file in a new directory that can hold one. */
function newUnnamedFile(t: TestContext): { fd: number; directory: string } | undefined {
  const directory = newDirectory()
  try {
    return { fd: createUnnamedFile(directory, 0o640), directory }
  } catch (error) {
    if (errnoOf(error) !== 'ENOTSUP') throw error
    skip(t, 'the temporary directory takes no unnamed files')
    return undefined
  }
}

describe('createUnnamedFile() and nameFile()', { skip: SKIP_UNLESS_LINUX }, () => {
  it('make a file that is seen whole or not at all', (t) => {
    const { fd, directory } = newUnnamedFile(t) ?? {}
    if (fd === undefined || directory === undefined) return
    writeFully(fd, Buffer.from('content'), 0, 7)
    assert.deepEqual(listDirectory(directory), [])
    assert.equal(fstatSync(fd).nlink, 0)
    const path = `${directory}/${LATIN1_NAME}`
    nameFile(fd, path)
    assert.deepEqual(listDirectory(directory), [LATIN1_NAME])
    assert.equal(readFileSync(toSystemPath(path), 'utf8'), 'content')
    assert.equal(readFully(fd, Buffer.alloc(7), 0, 7, 0), 7)
    assert.equal(statFile(path).mode, 0o640 & ~process.umask())
    assert.equal(statFile(path).linkCount, 1)
    closeFile(fd)
  })

  it('replace nothing, not even a dangling symlink', (t) => {
    const { fd, directory } = newUnnamedFile(t) ?? {}
    if (fd === undefined || directory === undefined) return
    const file = newFile('old')
    makeSymlink(`${directory}/missing`, `${directory}/link`)
    for (const path of [file, `${directory}/link`, directory]) {
      assert.throws(() => nameFile(fd, path), { code: 'EEXIST', errno: -17, syscall: 'linkat', path })
    }
    assert.throws(() => nameFile(fd, `${directory}/missing/file`), { code: 'ENOENT' })
    assert.throws(() => nameFile(fd, `${directory}/a\0b`), { code: 'EINVAL' })
    assert.equal(readFileSync(file, 'utf8'), 'old')
    nameFile(fd, `${directory}/file`) // still possible
    closeFile(fd)
    assert.deepEqual(listDirectory(directory), ['file', 'link'])
  })

  it('leave nothing behind when the process dies', (t) => {
    const { fd, directory } = newUnnamedFile(t) ?? {}
    if (fd === undefined || directory === undefined) return
    closeFile(fd)
    runScript(`
      import { createUnnamedFile } from '${MODULE}'
      createUnnamedFile('${directory}', 0o600)`)
    assert.deepEqual(listDirectory(directory), [])
  })

  it('fail where the folder is none, and on a descriptor that is closed', () => {
    const file = newFile()
    makeSymlink('.', `${file}-link`)
    assert.throws(() => createUnnamedFile(file, 0o600), { code: 'ENOTDIR' })
    assert.throws(() => createUnnamedFile(`${file}-missing`, 0o600), { code: 'ENOENT' })
    assert.throws(() => createUnnamedFile(`${file}-link`, 0o600), { code: /^(ENOTDIR|ELOOP)$/ })
    assert.throws(() => nameFile(1_000_000, `${file}-new`), { code: 'ENOENT' })
  })

  it('fail with ENOTSUP where the file system has no unnamed files', { skip: SKIP_UNLESS_ROOT }, async (t) => {
    const mount = await startFuseServer(t)
    if (mount === undefined) return
    assert.throws(() => createUnnamedFile(mount, 0o600), { code: 'ENOTSUP', syscall: 'open' })
  })

  it('name nothing in another file system', { skip: SKIP_UNLESS_ROOT }, (t) => {
    const { fd } = newUnnamedFile(t) ?? {}
    const mounted = newFileSystem(t, 'tmpfs')
    if (fd === undefined || !mounted) return
    assert.throws(() => nameFile(fd, `${mounted.directory}/file`), { code: 'EXDEV' })
    closeFile(fd)
    const other = createUnnamedFile(mounted.directory, 0o600)
    nameFile(other, `${mounted.directory}/file`)
    closeFile(other)
    assert.deepEqual(listDirectory(mounted.directory), ['file'])
  })

  it('let users without rights name their files', { skip: SKIP_UNLESS_ROOT }, () => {
    const directory = newDirectory()
    const output = runScript(`
      import { chmodSync, readdirSync } from 'node:fs'
      import { createUnnamedFile, nameFile } from '${MODULE}'
      chmodSync('${directory}', 0o777)
      ${BECOME_NOBODY}
      nameFile(createUnnamedFile('${directory}', 0o600), '${directory}/named')
      console.log(readdirSync('${directory}').join())`)
    assert.equal(output, 'named\n')
  })
})
