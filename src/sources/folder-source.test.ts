import assert from 'node:assert/strict'
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { newDirectory } from '../platform/testing.ts'
import { openFolderSource } from './folder-source.ts'
import { walkSource } from './testing.ts'

/** A new folder with `a/b/c/file`, `a/x`, `a.b/y` and `z`. */
function newTree(): string {
  const root = newDirectory()
  mkdirSync(`${root}/a/b/c`, { recursive: true })
  mkdirSync(`${root}/a.b`)
  for (const file of ['a/b/c/file', 'a/x', 'a.b/y', 'z']) writeFileSync(path.join(root, file), file)
  return root
}

async function walk(cwd: string, ...paths: string[]): Promise<string[]> {
  const { paths: found, issues } = await walkSource(openFolderSource(paths, cwd))
  assert.deepEqual(issues, [])
  return found
}

/** Parents of `root` as they stand in a snapshot of an absolute path, and the root itself. */
function partsOf(root: string): string[] {
  const parts = root.split('/').slice(1)
  return parts.map((_, i) => parts.slice(0, i + 1).join('/'))
}

const UNOBSERVED = { issue: () => undefined, excluded: () => undefined }

describe('openFolderSource()', () => {
  it('rebuilds an absolute path from the root', async () => {
    const root = newTree()
    const { entries } = await walkSource(openFolderSource([`${root}/a/b`], '/'))
    assert.deepEqual(
      entries.map(({ path }) => path),
      [...partsOf(root), ...['a', 'a/b', 'a/b/c', 'a/b/c/file'].map((one) => `${root.slice(1)}/${one}`)],
    )
    // What is only on the way has a name and nothing else.
    assert.deepEqual(
      entries.filter(({ ancestor }) => ancestor).map(({ path }) => path),
      [...partsOf(root), `${root.slice(1)}/a`],
    )
    for (const { path, name, depth, systemPath, ancestor } of entries) {
      assert.equal(path.split('/').at(-1), name)
      assert.equal(path.split('/').length, depth)
      assert.equal(systemPath, ancestor ? '' : `/${path}`)
    }
  })

  it('keeps a relative path relative, and drops dots, double and trailing slashes', async () => {
    const root = newTree()
    const want = ['a', 'a/b', 'a/b/c', 'a/b/c/file', 'a/x']
    for (const given of ['a', './a', 'a/', 'a//', './/a/.', 'z/../a', 'a/b/..'])
      assert.deepEqual(await walk(root, given), want, given)
    assert.deepEqual(await walk(root, 'a/b/c/'), ['a', 'a/b', 'a/b/c', 'a/b/c/file'])
  })

  it('puts the content of "." and ".." at the top', async () => {
    const root = newTree()
    const all = ['a', 'a/b', 'a/b/c', 'a/b/c/file', 'a/x', 'a.b', 'a.b/y', 'z']
    for (const given of ['.', './', 'a/..', '././.']) assert.deepEqual(await walk(root, given), all, given)
    for (const given of ['..', '../', '../a/..']) assert.deepEqual(await walk(`${root}/a`, given), all, given)
    assert.deepEqual(await walk(`${root}/a/b`, '../../a.b'), ['a.b', 'a.b/y'])
    assert.deepEqual(await walk(`${root}/a/b`, '../x'), ['x'])
  })

  it('takes "/" as a whole', async () => {
    const source = openFolderSource(['/'], '/tmp')
    assert.deepEqual(source.paths, ['/'])
    await using started = source.walk(UNOBSERVED)
    const batches = started[Symbol.asyncIterator]()
    const { value: first = [] } = await batches.next()
    assert.ok(first.length > 0)
    assert.deepEqual([first[0]?.depth, first[0]?.systemPath], [1, `/${first[0]?.path}`])
    await batches.return?.()
  })

  it('names what was asked for by absolute paths', () => {
    const root = newTree()
    assert.deepEqual(openFolderSource(['a/', '.', `${root}//z`], root).paths, [`${root}/a`, root, `${root}/z`])
  })

  it('walks several roots as one tree, in its order, whatever the order they come in', async () => {
    const root = newTree()
    const want = ['a', 'a/b', 'a/b/c', 'a/b/c/file', 'a/x', 'a.b', 'a.b/y', 'z']
    assert.deepEqual(await walk(root, 'z', 'a.b', 'a'), want)
    // Between a/b/c and a/x nothing is opened twice.
    assert.deepEqual(await walk(root, 'z', 'a/x', 'a.b/y', 'a/b/c'), want)
  })

  it('takes a root inside another one, or given twice, only once', async () => {
    const root = newTree()
    const want = ['a', 'a/b', 'a/b/c', 'a/b/c/file', 'a/x']
    for (const paths of [
      ['a', 'a'],
      ['a', './a/'],
      ['a/b', 'a'],
      ['a', 'a/b/c/file'],
      ['a/x', 'a', 'a/b'],
    ]) {
      assert.deepEqual(await walk(root, ...paths), want, paths.join())
    }
    assert.deepEqual(await walk(root, '.', 'a', 'z'), await walk(root, '.'))
    assert.deepEqual(await walk(root, root, `${root}/a`), await walk(root, root))
  })

  it('refuses roots that would be one in the snapshot but are not', () => {
    const [one, two] = [newTree(), newTree()]
    const refused = { code: 'INVALID_ARGUMENT', message: /absolute paths/ }
    mkdirSync(`${one}/a.b/a`)
    assert.throws(() => openFolderSource(['../a', 'a'], `${one}/a.b`), refused)
    assert.throws(() => openFolderSource(['../a/x', 'a'], `${one}/a.b`), refused)
    assert.throws(() => openFolderSource(['.', two], one), refused)
  })

  it('refuses a root behind a symlink that another root holds, since a walk does not follow it', () => {
    const [root, elsewhere] = [newTree(), newTree()]
    symlinkSync(elsewhere, `${root}/a/link`)
    for (const paths of [
      ['a', 'a/link/a'],
      ['.', 'a/link/a/x'],
      ['a/link', 'a/link/z'],
    ]) {
      assert.throws(() => openFolderSource(paths, root), { code: 'INVALID_ARGUMENT', message: /link/ }, paths.join())
    }
  })

  it('follows symlinks on the way to a root, and keeps one that is the root', async () => {
    const [root, elsewhere] = [newTree(), newTree()]
    symlinkSync(elsewhere, `${root}/link`)
    assert.deepEqual(await walk(root, 'link/a/b'), ['link', 'link/a', 'link/a/b', 'link/a/b/c', 'link/a/b/c/file'])
    for (const given of ['link', 'link/']) {
      const { entries } = await walkSource(openFolderSource([given], root))
      assert.deepEqual(
        entries.map(({ path, type, linkTarget }) => [path, type, linkTarget]),
        [['link', 'symlink', elsewhere]],
      )
    }
  })

  it('takes a file, a dangling symlink and an empty folder as roots', async () => {
    const root = newTree()
    symlinkSync('nowhere', `${root}/dangling`)
    mkdirSync(`${root}/empty`)
    assert.deepEqual(await walk(root, 'z', 'dangling', 'empty'), ['dangling', 'empty', 'z'])
  })

  it('throws SOURCE_FAILED when a path does not exist, and says which', () => {
    const root = newTree()
    for (const given of ['missing', 'a/missing', 'z/below', `${root}/a/b/missing`]) {
      assert.throws(
        () => openFolderSource(['a', given], root),
        (error: Error & { code?: string }) => error.code === 'SOURCE_FAILED' && error.message.includes(given),
      )
    }
  })

  it('reports a root that vanishes before its walk, and goes on with the others', async () => {
    const root = newTree()
    const source = openFolderSource(['a', 'a.b', 'z'], root)
    rmSync(`${root}/a.b`, { recursive: true })
    const { paths, issues } = await walkSource(source)
    assert.deepEqual(paths, ['a', 'a/b', 'a/b/c', 'a/b/c/file', 'a/x', 'z'])
    assert.deepEqual(
      issues.map(({ path, code }) => `${code} ${path}`),
      ['ENOENT a.b'],
    )
  })

  it('counts what a walk would find, links, directories and unreadable things left out', async () => {
    const root = newTree()
    symlinkSync('a', `${root}/link`)
    const source = openFolderSource(['a', 'z', 'a/b', 'link'], root)
    await using count = source.count?.()
    assert.deepEqual(await count?.totals, { files: 3, bytes: 'a/b/c/file'.length + 'a/x'.length + 'z'.length })
  })

  it('stops counting when nobody wants to know any more', async () => {
    const count = openFolderSource(['/usr'], '/').count?.()
    const stopped = assert.rejects(count?.totals ?? Promise.resolve(), { code: 'CANCELLED' })
    await count?.[Symbol.asyncDispose]()
    await stopped
  })

  it('stops when its run is cancelled', async () => {
    const abort = new AbortController()
    const source = openFolderSource([newTree()], '/')
    abort.abort()
    await using cancelled = source.walk(UNOBSERVED, { signal: abort.signal })
    await assert.rejects(Array.fromAsync(cancelled), { code: 'CANCELLED' })
  })
})
