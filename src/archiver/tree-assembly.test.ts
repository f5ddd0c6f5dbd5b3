import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { compareRawNames } from '../base/raw-name.ts'
import { NO_SAMPLE } from '../snapshot/samples.ts'
import { StampReader } from '../snapshot/stamps.ts'
import { MemoryChunks, collect, loadNodes, saveNodes } from '../snapshot/testing.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import { walkTree } from '../snapshot/tree-walk.ts'
import { type PendingNode, TreeAssembly } from './tree-assembly.ts'

function node(name: string, type: TreeNode['type'] = 'file'): TreeNode {
  return { name, type, mode: 0o644, uid: 0, gid: 0, user: '', group: '', sizeBytes: 0, mtimeNs: 0n }
}

/** The n-th entry of a test; its inode tells its stamp from others. */
function known(name: string, n: number): PendingNode {
  return { node: node(name), stamp: { ctimeNs: 1n, inode: BigInt(n) }, sample: NO_SAMPLE }
}

describe('TreeAssembly', () => {
  it('does not pile up entries that are known: 100,000 of them leave nothing waiting', () => {
    const chunks = new MemoryChunks()
    const assembly = new TreeAssembly(chunks.save)
    let most = 0
    for (let i = 0; i < 100_000; i++) {
      assembly.add(known(String(i).padStart(6, '0'), i))
      if (i % 500 === 0) assembly.advance()
      most = Math.max(most, assembly.waiting)
    }
    assembly.advance()
    assert.equal(assembly.waiting, 0)
    assert.ok(most <= 500, `${most} waited at most`)
    assembly.finish()
  })

  it('keeps what comes after an unknown entry waiting, and takes all of it as soon as that is known', () => {
    const assembly = new TreeAssembly(new MemoryChunks().save)
    const first: PendingNode = { node: undefined, stamp: undefined, sample: NO_SAMPLE }
    assembly.add(first)
    for (let i = 0; i < 5000; i++) assembly.add(known(`n${String(i).padStart(4, '0')}`, i))
    assembly.advance()
    assert.equal(assembly.waiting, 5001)
    first.node = node('a')
    assembly.advance()
    assert.equal(assembly.waiting, 0)
  })

  it('makes the same trees and stamps in whatever order contents become known', async () => {
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(fc.nat(9)), async (order) => {
        const inOrder = new MemoryChunks()
        const anyOrder = new MemoryChunks()
        const want = build(inOrder, () => 0)
        const found = build(anyOrder, () => order.next().value ?? 0)
        assert.deepEqual(found, want)
        assert.deepEqual(anyOrder.ids.sort(), inOrder.ids.sort())
      }),
      { numRuns: 50 },
    )
  })

  it('numbers stamps in the order of the walk, and counts those below each directory', async () => {
    const chunks = new MemoryChunks()
    const { tree, stamps } = build(chunks, () => 0)
    const reader = new StampReader(stamps, chunks.load)
    await reader.seek(0)
    const entries = (await collect(walkTree(tree, [], chunks.load))).flat()
    const leaves = entries.filter(({ node }) => node.type === 'file')
    assert.equal(leaves.length, 12)
    for (const [i, { path }] of leaves.entries())
      assert.equal(reader.at(i)?.inode, BigInt(Number(path.split('-').at(-1))), path)
    assert.equal(reader.at(12), undefined)
    const counts = entries.filter(({ node }) => node.tree).map(({ path, node }) => [path, node.leaves])
    assert.deepEqual(counts, [
      ['d1', 9],
      ['d1/d2', 6],
      ['d1/d2/d3', 3],
    ])
  })

  it('uses the tree of the parent again when nothing in it differs, and only then', async () => {
    const chunks = new MemoryChunks()
    const files = ['a', 'b'].map((name) => node(name))
    const old = { ...node('d', 'dir'), tree: saveNodes(chunks, files), leaves: 2 }
    const build = (
      nodes: readonly (TreeNode | 'omit')[],
      { complete = true, live = true, known = files }: { complete?: boolean; live?: boolean; known?: TreeNode[] } = {},
    ): { saved: number; tree: ReturnType<TreeAssembly['finish']>['tree'] } => {
      let saved = 0
      const save: typeof chunks.save = (data) => {
        saved++
        return chunks.save(data)
      }
      const assembly = new TreeAssembly(save, () => live)
      assembly.openDirectory(node('d', 'dir'), old)
      for (const [i, one] of nodes.entries())
        assembly.add({ node: one, old: known[i], stamp: undefined, sample: NO_SAMPLE })
      assembly.closeDirectory(complete)
      return { tree: assembly.finish().tree, saved }
    }
    const [a = node('a'), b = node('b')] = files
    const same = build([{ ...a }, b])
    assert.equal(same.saved, 2) // the root, and the stamps
    const written: Parameters<typeof build>[] = [
      [files, { live: false }],
      [files, { complete: false }],
      [files, { known: [] }],
    ]
    for (const args of written) assert.deepEqual(build(...args), { tree: same.tree, saved: 3 })
    for (const nodes of [[a], [a, 'omit'], ['omit', b], [a, { ...b, mode: 0 }], [{ ...a, uid: 5 }, b], []] as const) {
      const { tree, saved } = build(nodes, { complete: nodes.length === 2 })
      assert.notDeepEqual(tree, same.tree)
      const [directory] = await loadNodes(chunks, tree)
      const found = await loadNodes(chunks, directory?.tree ?? tree)
      assert.deepEqual(
        found,
        nodes.filter((one) => one !== 'omit'),
      )
      assert.equal(directory?.leaves ?? 0, found.length)
      assert.equal(saved, found.length === 0 ? 2 : 3) // no leaves, no stamps
    }
  })

  it('leaves out what could not be read, with its stamp', async () => {
    const chunks = new MemoryChunks()
    const assembly = new TreeAssembly(chunks.save)
    assembly.add(known('a', 1))
    assembly.add({ node: 'omit', stamp: { ctimeNs: 2n, inode: 2n }, sample: NO_SAMPLE })
    assembly.add(known('c', 3))
    const { tree, stamps } = assembly.finish()
    assert.deepEqual(
      (await loadNodes(chunks, tree)).map(({ name }) => name),
      ['a', 'c'],
    )
    const reader = new StampReader(stamps, chunks.load)
    await reader.seek(0)
    assert.deepEqual([reader.at(0)?.inode, reader.at(1)?.inode, reader.at(2)], [1n, 3n, undefined])
  })

  it('refuses to finish, or to close, what is not complete', () => {
    const waiting = new TreeAssembly(new MemoryChunks().save)
    waiting.add({ node: undefined, stamp: undefined, sample: NO_SAMPLE })
    assert.throws(() => waiting.finish(), { code: 'INTERNAL' })
    const open = new TreeAssembly(new MemoryChunks().save)
    open.openDirectory(node('d', 'dir'))
    assert.throws(() => open.finish(), { code: 'INTERNAL' })
    const closed = new TreeAssembly(new MemoryChunks().save)
    closed.closeDirectory()
    assert.throws(() => closed.finish(), { code: 'INTERNAL' })
  })
})

/** Three files in each of four directories, one in the other; `pick` says which of the open entries becomes known next. */
function build(chunks: MemoryChunks, pick: () => number): ReturnType<TreeAssembly['finish']> {
  const assembly = new TreeAssembly(chunks.save)
  const unknown: { pending: PendingNode; name: string }[] = []
  let n = 0
  for (let depth = 1; depth <= 4; depth++) {
    // `d1` sorts behind the files `a-…`.
    for (let i = 0; i < 3; i++, n++) {
      const pending: PendingNode = { node: undefined, stamp: { ctimeNs: 1n, inode: BigInt(n) }, sample: NO_SAMPLE }
      const name = `a-${String(n).padStart(2, '0')}`
      assert.ok(compareRawNames(name, 'd') < 0)
      unknown.push({ pending, name })
      assembly.add(pending)
    }
    if (depth < 4) assembly.openDirectory(node(`d${depth}`, 'dir'))
  }
  for (let depth = 1; depth < 4; depth++) assembly.closeDirectory()
  while (unknown.length > 0) {
    const [next] = unknown.splice(pick() % unknown.length, 1)
    if (next) next.pending.node = node(next.name)
    assembly.advance()
  }
  return assembly.finish()
}
