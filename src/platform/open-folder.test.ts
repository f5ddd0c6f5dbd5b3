import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { toSystemPath } from '../base/raw-name.ts'
import { makeDirectory, statFile } from './files.ts'
import { OpenFolders } from './open-folder.ts'
import { LATIN1_NAME, SKIP_UNLESS_LINUX, newDirectory, newFile } from './testing.ts'

/** Also without `/proc`, where paths are used. */
function bothWays(root: string): { readonly how: string; readonly folders: OpenFolders }[] {
  const ways = [{ how: 'by path', folders: new OpenFolders(root) }]
  if (process.platform === 'linux') ways.push({ how: 'by descriptor', folders: OpenFolders.open(root) })
  return ways
}

describe('OpenFolders', () => {
  it('gives a path to act in for any directory, in any order', () => {
    const root = newDirectory()
    const names = ['a', 'b', LATIN1_NAME, '-', ' ']
    const all = ['', ...names, ...names.flatMap((name) => names.map((below) => `${name}/${below}`))]
    for (const folder of all) {
      if (folder !== '') mkdirSync(toSystemPath(`${root}/${folder}`))
      writeFileSync(toSystemPath(`${root}/${folder}/file`), Buffer.from(`in ${folder}`))
    }
    for (const { how, folders } of bothWays(root)) {
      fc.assert(
        fc.property(fc.array(fc.constantFrom(...all)), (visits) => {
          for (const folder of visits) {
            const found = readFileSync(toSystemPath(`${folders.enter(folder)}/file`))
            assert.ok(found.equals(Buffer.from(`in ${folder}`)), how)
          }
        }),
      )
      folders.close()
    }
  })

  it('follows no symlink, neither in the middle nor at the end, and works on after that', () => {
    const root = newDirectory()
    const outside = newDirectory()
    mkdirSync(`${outside}/below`)
    mkdirSync(`${root}/real/below`, { recursive: true })
    symlinkSync(outside, `${root}/link`)
    symlinkSync('real', `${root}/inner`)
    writeFileSync(`${root}/file`, '')
    for (const { how, folders } of bothWays(root)) {
      folders.enter('real/below')
      for (const bad of ['link', 'link/below', 'inner', 'inner/below', 'file', 'file/below'])
        assert.throws(() => folders.enter(bad), { code: 'ENOTDIR' }, `${how}: ${bad}`)
      assert.throws(() => folders.enter('real/none'), { code: 'ENOENT' })
      assert.equal(statFile(`${folders.enter('real/below')}/.`).inode, statFile(`${root}/real/below`).inode)
      folders.close()
    }
  })

  it('stays in the directory that it entered, whatever takes its name', { skip: SKIP_UNLESS_LINUX }, () => {
    const root = newDirectory()
    const outside = newDirectory()
    mkdirSync(`${root}/d`)
    const folders = OpenFolders.open(root)
    const here = folders.enter('d')
    renameSync(`${root}/d`, `${root}/moved`)
    symlinkSync(outside, `${root}/d`)
    writeFileSync(`${here}/file`, '')
    assert.deepEqual([readdirSync(outside), readdirSync(`${root}/moved`)], [[], ['file']])
    folders.forget('d')
    assert.throws(() => folders.enter('d'), { code: 'ENOTDIR' })
    folders.close()
  })

  it('forgets what is below a path too, so that its successor is opened anew', () => {
    const root = newDirectory()
    mkdirSync(`${root}/d/e/f`, { recursive: true })
    for (const { folders } of bothWays(root)) {
      folders.enter('d/e/f')
      folders.forget('d/e')
      rmSync(`${root}/d/e`, { recursive: true })
      mkdirSync(`${root}/d/e/f`, { recursive: true })
      writeFileSync(`${folders.enter('d/e/f')}/file`, '')
      assert.deepEqual(readdirSync(`${root}/d/e/f`), ['file'])
      folders.close()
    }
  })

  it(
    'goes deeper than paths can, up and down, with a bounded number of open directories',
    { skip: SKIP_UNLESS_LINUX },
    () => {
      const root = newDirectory()
      const name = 'x'.repeat(250)
      const before = readdirSync('/proc/self/fd').length
      const folders = OpenFolders.open(root)
      const paths = ['']
      for (let depth = 0; depth < 300; depth++) {
        makeDirectory(`${folders.enter(paths.at(-1) ?? '')}/${name}`, 0o755)
        paths.push(paths.length === 1 ? name : `${paths.at(-1)}/${name}`)
        assert.ok(readdirSync('/proc/self/fd').length - before < 110)
      }
      for (const folder of [...paths].reverse()) writeFileSync(`${folders.enter(folder)}/file`, '')
      for (const folder of [paths[300], paths[10], paths[299], paths[150], ''] as string[])
        assert.ok(readdirSync(`${folders.enter(folder)}/.`).includes('file'))
      folders.close()
      assert.equal(readdirSync('/proc/self/fd').length, before)
    },
  )

  it('opens a root by way of symlinks, and nothing that is no directory', () => {
    const root = newDirectory()
    const link = path.join(newDirectory(), 'link')
    symlinkSync(root, link)
    mkdirSync(`${root}/d`)
    const folders = OpenFolders.open(link)
    assert.equal(statFile(`${folders.enter('d')}/.`).inode, statFile(`${root}/d`).inode)
    folders.close()
    assert.throws(() => OpenFolders.open(newFile()), { code: 'ENOTDIR' })
    assert.throws(() => OpenFolders.open(`${root}/none`), { code: 'ENOENT' })
  })

  it('lends its root to another instance', () => {
    const root = newDirectory()
    mkdirSync(`${root}/a/b`, { recursive: true })
    const first = OpenFolders.open(root)
    const second = new OpenFolders(first.root)
    first.enter('a')
    assert.equal(statFile(`${second.enter('a/b')}/.`).inode, statFile(`${root}/a/b`).inode)
    assert.equal(first.mount(), second.mount())
    second.close()
    assert.equal(statFile(`${first.enter('a/b')}/.`).inode, statFile(`${root}/a/b`).inode)
    first.close()
  })
})
