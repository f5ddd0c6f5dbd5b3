import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fromRawName, toRawName } from '../base/raw-name.ts'
import { MemoryChunks, collect, saveTree } from './testing.ts'
import { type TreeEntry, walkTree } from './tree-walk.ts'

const LATIN1 = fromRawName(Buffer.from('caf\u00e9', 'latin1'))

const chunks = new MemoryChunks()
const tree = saveTree(chunks, {
  empty: {},
  etc: { hosts: 'h', ssh: { key: 'k' } },
  file: 'f',
  home: { u: { docs: { 'a.txt': 'a', 'b.txt': 'b' }, [LATIN1]: { x: 'x' } } },
})

async function walk(...paths: string[]): Promise<string[]> {
  const batches = await collect(walkTree(tree, paths, chunks.load))
  return batches.flat().map(({ path }) => path)
}

describe('walkTree()', () => {
  it('yields each directory before what lies in it, names in order', async () => {
    assert.deepEqual(await walk(), [
      'empty',
      'etc',
      'etc/hosts',
      'etc/ssh',
      'etc/ssh/key',
      'file',
      'home',
      'home/u',
      `home/u/${LATIN1}`,
      `home/u/${LATIN1}/x`,
      'home/u/docs',
      'home/u/docs/a.txt',
      'home/u/docs/b.txt',
    ])
  })

  it('yields what lies at or below a path, and the directories on the way', async () => {
    assert.deepEqual(await walk('home/u/docs'), [
      'home',
      'home/u',
      'home/u/docs',
      'home/u/docs/a.txt',
      'home/u/docs/b.txt',
    ])
    assert.deepEqual(await walk('etc/hosts'), ['etc', 'etc/hosts'])
    assert.deepEqual(await walk('file'), ['file'])
    assert.deepEqual(await walk('empty'), ['empty'])
    assert.deepEqual(await walk(`home/u/${LATIN1}`), ['home', 'home/u', `home/u/${LATIN1}`, `home/u/${LATIN1}/x`])
  })

  it('yields nothing twice when paths overlap, and keeps the order of the tree', async () => {
    const docs = ['home', 'home/u', 'home/u/docs', 'home/u/docs/a.txt', 'home/u/docs/b.txt']
    assert.deepEqual(await walk('home/u/docs/a.txt', 'home/u/docs', 'home/u/docs'), docs)
    assert.deepEqual(await walk('home/u/docs', 'home/u/docs/b.txt'), docs)
    assert.deepEqual(await walk('home/u/docs/b.txt', 'file', 'etc/ssh'), [
      'etc',
      'etc/ssh',
      'etc/ssh/key',
      'file',
      'home',
      'home/u',
      'home/u/docs',
      'home/u/docs/b.txt',
    ])
  })

  it('takes slashes and dots as a shell user means them', async () => {
    const docs = await walk('home/u/docs')
    for (const path of ['home/u/docs/', '/home/u/docs', './home//u/./docs/', '//home/u/docs/.'])
      assert.deepEqual(await walk(path), docs, path)
    for (const path of ['', '.', '/', './/']) assert.deepEqual(await walk(path), await walk(), path)
    assert.deepEqual(await walk('.', 'file'), await walk())
  })

  it('finds a path by its bytes, however they became text', async () => {
    const mixed = saveTree(chunks, { 'caf\u00e9': { [LATIN1]: 'x' } })
    const asAWhole = fromRawName(toRawName(`caf\u00e9/${LATIN1}`))
    const entries = await collect(walkTree(mixed, [asAWhole], chunks.load))
    assert.deepEqual(
      entries.flat().map(({ path }) => path),
      ['caf\u00e9', `caf\u00e9/${LATIN1}`],
    )
  })

  it('throws NOT_FOUND for a path that is not there, before it yields anything', async () => {
    for (const path of ['nothing', 'home/nobody', 'file/below', 'etc/hosts/x', '..', 'home/../file', 'File', 'fil']) {
      const entries = walkTree(tree, ['etc', path], chunks.load)
      await assert.rejects(entries.next(), { code: 'NOT_FOUND' }, path)
    }
  })

  it('does not load what is not asked for', async () => {
    chunks.loaded = []
    await walk('etc/hosts')
    const loaded = new Set(chunks.loaded).size
    assert.equal(loaded, 2) // the root and etc
  })

  it('does not enter a directory that is skipped', async () => {
    const seen: string[] = []
    for await (const entries of walkTree(tree, [], chunks.load)) {
      for (const entry of entries) {
        seen.push(entry.path)
        if (entry.path === 'home/u' || entry.path === 'etc/ssh') entry.skip()
      }
    }
    assert.deepEqual(seen, ['empty', 'etc', 'etc/hosts', 'etc/ssh', 'file', 'home', 'home/u'])
  })

  it('goes on behind a directory that cannot be read, if asked to, but not without the root', async () => {
    const damaged = new MemoryChunks()
    const inner = saveTree(damaged, { gone: 'x' })
    const tree = saveTree(damaged, { a: { b: { type: 'dir', tree: inner }, c: 'c' }, d: 'd' })
    damaged.lose(inner)
    const unreadable: string[] = []
    const onUnreadable = (path: string): void => void unreadable.push(path)
    const entries = await collect(walkTree(tree, [], damaged.load, { onUnreadable }))
    assert.deepEqual(
      entries.flat().map(({ path }) => path),
      ['a', 'a/b', 'a/c', 'd'],
    )
    assert.deepEqual(unreadable, ['a/b'])
    await assert.rejects(collect(walkTree(tree, [], damaged.load)), { code: 'NOT_FOUND' })
    damaged.lose(tree)
    await assert.rejects(collect(walkTree(tree, [], damaged.load, { onUnreadable })), { code: 'NOT_FOUND' })
    assert.deepEqual(unreadable, ['a/b'])
  })

  it('goes deeper than the stack of a recursive function would', async () => {
    const deep = new MemoryChunks()
    let literal: Record<string, unknown> = {}
    for (let i = 0; i < 400; i++) literal = { d: literal }
    const entries: TreeEntry[] = (
      await collect(walkTree(saveTree(deep, literal as Parameters<typeof saveTree>[1]), [], deep.load))
    ).flat()
    assert.equal(entries.length, 400)
    assert.equal(entries.at(-1)?.path.length, 400 * 2 - 1)
  })
})
