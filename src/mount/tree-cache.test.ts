import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { asChunkId } from '../base/ids.ts'
import { MemoryChunks, loadNodes, saveNodes } from '../snapshot/testing.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import { TreeCache } from './tree-cache.ts'

function nodes(count: number, gid = 0): TreeNode[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `name-${String(i).padStart(6, '0')}`,
    type: 'file',
    mode: 0o644,
    uid: i,
    gid,
    user: 'a name that makes nodes longer',
    group: '',
    sizeBytes: i,
    mtimeNs: 0n,
  }))
}

/** Lists a directory, going on after every `step` names as a reader with a small buffer does. */
async function list(cache: TreeCache, tree: Parameters<TreeCache['nodes']>[0], step: number): Promise<TreeNode[]> {
  const all: TreeNode[] = []
  for (let position = 0; ;) {
    const found = await cache.nodes(tree, position)
    if (!found) return all
    let taken = 0
    for (const { node, next } of found.nodes) {
      all.push(node)
      position = next
      if (++taken === step) break
    }
  }
}

describe('TreeCache', () => {
  it('lists directories of any length, from any position on', async () => {
    for (const count of [0, 1, 2, 1000, 40_000]) {
      const chunks = new MemoryChunks()
      const tree = saveNodes(chunks, nodes(count))
      const want = await loadNodes(chunks, tree)
      assert.equal(want.length, count)
      for (const step of [7, 1_000_000]) assert.deepEqual(await list(new TreeCache(chunks.load), tree, step), want)
    }
  })

  it('finds each name, and none that is not there, decoding each chunk once', async () => {
    const chunks = new MemoryChunks()
    const all = nodes(40_000)
    const tree = saveNodes(chunks, all)
    const cache = new TreeCache(chunks.load)
    for (const node of all) assert.equal((await cache.find(tree, node.name))?.uid, node.uid)
    for (const name of ['a', 'name-000001x', 'zzz']) assert.equal(await cache.find(tree, name), undefined)
    assert.equal(chunks.loaded.length, chunks.count)
  })

  it('keeps a bounded number of chunks, those used last', async () => {
    const chunks = new MemoryChunks()
    const trees = Array.from({ length: 8 }, (_, i) => saveNodes(chunks, nodes(30_000, i)))
    const cache = new TreeCache(chunks.load)
    const listAll = async (): Promise<void> => {
      for (const tree of trees) assert.equal((await list(cache, tree, 100_000)).length, 30_000)
    }
    await listAll()
    const before = chunks.loaded.length
    await list(cache, trees.at(-1) ?? assert.fail(), 100_000)
    assert.equal(chunks.loaded.length, before)
    await listAll()
    assert.ok(chunks.loaded.length > before)
  })

  it('tries again what could not be loaded', async () => {
    const chunks = new MemoryChunks()
    const tree = saveNodes(chunks, nodes(3))
    let isDown = true
    const cache = new TreeCache((id) => (isDown ? Promise.reject(new Error('down')) : chunks.load(id)))
    await assert.rejects(cache.find(tree, 'name-000001'), /down/)
    isDown = false
    assert.equal((await cache.find(tree, 'name-000001'))?.uid, 1)
    await assert.rejects(cache.find(asChunkId(Buffer.alloc(32)), 'x'), { code: 'NOT_FOUND' })
  })
})
