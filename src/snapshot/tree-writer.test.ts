import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { asChunkId } from '../base/ids.ts'
import { compareRawNames } from '../base/raw-name.ts'
import { encodeContent } from './content.ts'
import { MemoryChunks, anyNode, loadNodes, saveNodes, testRef } from './testing.ts'
import type { TreeNode } from './tree-node.ts'
import { findNode, treeChunkIds } from './tree-reader.ts'
import { TreeWriter } from './tree-writer.ts'

/** A file of one chunk, as most are. */
function file(name: string, version = 0): TreeNode {
  const { id } = testRef(version)
  return {
    name,
    type: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    user: '',
    group: '',
    sizeBytes: 1000 + version,
    mtimeNs: 0n,
    content: Buffer.concat([Buffer.of(0), id, Buffer.of(1)]),
  }
}

const files = (count: number): TreeNode[] =>
  Array.from({ length: count }, (_, i) => file(`name-${String(i).padStart(6, '0')}`))

describe('TreeWriter', () => {
  it('stores what readTree() gives back, whatever the nodes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(anyNode, { selector: (node) => node.name, maxLength: 40 }), async (nodes) => {
        const chunks = new MemoryChunks()
        nodes.sort((a, b) => compareRawNames(a.name, b.name))
        const tree = saveNodes(chunks, nodes)
        assert.deepEqual(await loadNodes(chunks, tree), nodes)
        for (const node of nodes) assert.deepEqual(await findNode(tree, node.name, chunks.load), node)
      }),
      { numRuns: 200 },
    )
  })

  it('has these bytes for an empty directory, and for one with a file in it', () => {
    const chunks = new MemoryChunks()
    assert.equal(chunks.get(saveNodes(chunks, [])).toString('hex'), '0100')
    const { content: _, ...empty } = { ...file('f'), sizeBytes: 0 }
    assert.equal(
      chunks.get(saveNodes(chunks, [empty])).toString('hex'),
      '0100 14 0166 01 a403 00 00 0000000000000000 00000000 00'.replaceAll(' ', ''),
    )
  })

  it('tells at any point the tree that would end there, and goes on', () => {
    for (const count of [0, 1, 100, 700, 3000]) {
      const chunks = new MemoryChunks()
      const nodes = files(count + 1)
      const writer = new TreeWriter(chunks.save)
      for (const node of nodes.slice(0, count)) writer.add(node)
      assert.deepEqual(writer.peek(), saveNodes(chunks, nodes.slice(0, count)))
      assert.deepEqual(writer.peek(nodes[count]), saveNodes(chunks, nodes))
      assert.deepEqual(writer.finish(), saveNodes(chunks, nodes.slice(0, count)))
    }
  })

  it('cuts a large directory into a list of chunks, each named with the last name in it', async () => {
    const chunks = new MemoryChunks()
    const nodes = files(5000)
    const tree = saveNodes(chunks, nodes)
    assert.equal(chunks.get(tree).subarray(0, 2).toString('hex'), '0101')
    const [own, ...parts] = await treeChunkIds(tree, chunks.load)
    assert.deepEqual(own, tree)
    assert.equal(parts.length, chunks.count - 1)
    assert.ok(parts.length >= 3, `${parts.length} chunks`)
    for (const part of parts) assert.ok(chunks.get(part).length <= (512 << 10) + 100)
    assert.deepEqual(await loadNodes(chunks, tree), nodes)
    for (const node of [nodes[0], nodes[2500], nodes[4999]])
      assert.deepEqual(await findNode(tree, node?.name ?? '', chunks.load), node)
    for (const name of ['a', 'name-0025000', 'zzz']) assert.equal(await findNode(tree, name, chunks.load), undefined)
  })

  it('finds one node of a large directory by loading two chunks', async () => {
    const chunks = new MemoryChunks()
    const tree = saveNodes(chunks, files(5000))
    chunks.loaded = []
    await findNode(tree, 'name-003000', chunks.load)
    assert.equal(chunks.loaded.length, 2)
  })

  it('cuts where it must when no name asks for it', async () => {
    const chunks = new MemoryChunks()
    // 64 references a file: 300 files make 700 KB, too few names for one that ends a chunk to be likely.
    const refs = Array.from({ length: 64 }, (_, i) => testRef(i))
    const content = encodeContent(refs, chunks.save)
    const nodes = files(300).map((node) => ({ ...node, content }))
    const tree = saveNodes(chunks, nodes)
    const parts = await treeChunkIds(tree, chunks.load)
    assert.ok(parts.length >= 2)
    for (const part of parts) assert.ok(chunks.get(part).length <= (512 << 10) + 3000)
    assert.deepEqual(await loadNodes(chunks, tree), nodes)
  })
})

describe('a directory of 100,000 entries', () => {
  const chunks = new MemoryChunks()
  const nodes = files(100_000)
  const tree = saveNodes(chunks, nodes)

  /** How many chunks an edited directory adds. */
  function added(edit: (nodes: TreeNode[]) => void): number {
    const before = chunks.count
    const edited = [...nodes]
    edit(edited)
    assert.notDeepEqual(saveNodes(chunks, edited), tree)
    return chunks.count - before
  }

  it('gets two new chunks when one entry changes, wherever it stands and however its length changes', () => {
    for (const at of [0, 33_333, 99_999]) {
      assert.equal(
        added((nodes) => nodes.splice(at, 1, file(nodes[at]?.name ?? '', 1))),
        2,
      )
      const longer = { ...file(nodes[at]?.name ?? ''), user: 'somebody-with-a-long-name', mtimeNs: 5n }
      assert.equal(
        added((nodes) => nodes.splice(at, 1, longer)),
        2,
      )
    }
  })

  it('gets few new chunks when entries come or go', () => {
    for (const at of [0, 50_001, 99_999]) {
      const inserted = added((nodes) => nodes.splice(at + 1, 0, file(`${nodes[at]?.name}-new`)))
      const removed = added((nodes) => nodes.splice(at, 1))
      // The list and the chunk; more only where a cut comes or goes with its name.
      assert.ok(inserted <= 4 && removed <= 4, `at ${at}: ${inserted} and ${removed}`)
    }
  })

  it('gets few new chunks when the entry that ends a chunk goes', async () => {
    const [, first = asChunkId(Buffer.alloc(32))] = await treeChunkIds(tree, chunks.load)
    const last = (await loadNodes(chunks, first)).at(-1)
    const at = nodes.findIndex(({ name }) => name === last?.name)
    assert.ok(at > 0)
    const removed = added((nodes) => nodes.splice(at, 1))
    assert.ok(removed <= 4, `${removed} new chunks`)
  })
})
