import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type ChunkId, asChunkId, toHex } from '../base/ids.ts'
import { encodeContent } from './content.ts'
import { readFurtherNames } from './further-names.ts'
import { rewriteTree } from './rewrite-tree.ts'
import { NO_SAMPLE, SampleReader, SampleWriter } from './samples.ts'
import type { Snapshot } from './snapshot.ts'
import { StampReader, StampWriter } from './stamps.ts'
import { MemoryChunks, collect, saveNodes, saveTree, testRef } from './testing.ts'
import type { TreeNode } from './tree-node.ts'
import { type TreeEntry, type Selected, walkTree } from './tree-walk.ts'

type Column = Pick<Snapshot, 'tree' | 'stamps' | 'samples'> & Partial<Pick<Snapshot, 'furtherNames'>>

async function walk(chunks: MemoryChunks, tree: ChunkId, select?: (path: string) => Selected): Promise<TreeEntry[]> {
  return (await collect(walkTree(tree, [], chunks.load, { select }))).flat()
}

/** A tree with `leaves` counts in its directories, as a backup makes it. */
async function withLeaves(chunks: MemoryChunks, tree: ChunkId): Promise<{ tree: ChunkId; leaves: number }> {
  const nodes: TreeNode[] = []
  let leaves = 0
  for (const { node, path } of await walk(chunks, tree)) {
    if (path.includes('/')) continue
    const below = node.tree && (await withLeaves(chunks, node.tree))
    leaves += below ? below.leaves : 1
    nodes.push(below ? { ...node, tree: below.tree, ...(below.leaves > 0 && { leaves: below.leaves }) } : node)
  }
  return { tree: saveNodes(chunks, nodes), leaves }
}

/** A number that tells a path. */
function numberOf(path: string): bigint {
  return Buffer.from(path.padEnd(8, '\0')).readBigUInt64LE() ^ BigInt(path.length + 1)
}

/** The snapshot of a tree, whose stamps and samples tell the paths they belong to. */
async function snapshotOf(chunks: MemoryChunks, given: ChunkId): Promise<Column> {
  const { tree } = await withLeaves(chunks, given)
  const stamps = new StampWriter(chunks.save)
  const samples = new SampleWriter(chunks.save)
  for (const { node, path } of await walk(chunks, tree)) {
    if (node.type === 'dir') continue
    stamps.add({ ctimeNs: 1n, inode: numberOf(path) })
    samples.add(numberOf(path))
  }
  return { tree, stamps: stamps.finish(), samples: samples.finish() }
}

/** Asserts that every leaf has its own stamp and sample, that directories count theirs, and that further names are those there are. */
async function expectColumns(chunks: MemoryChunks, { tree, stamps, samples, furtherNames }: Column): Promise<void> {
  const stampReader = stamps && new StampReader(stamps, chunks.load)
  const sampleReader = samples && new SampleReader(samples, chunks.load)
  let position = 0
  for (const { node, path } of await walk(chunks, tree)) {
    if (node.type === 'dir') continue
    await stampReader?.seek(position)
    if (stampReader) assert.equal(stampReader.at(position)?.inode, numberOf(path), path)
    if (sampleReader) assert.equal(await sampleReader.find(position), numberOf(path), path)
    position++
  }
  await stampReader?.seek(position)
  assert.equal(stampReader?.at(position), undefined)
  assert.equal((await sampleReader?.find(position)) ?? NO_SAMPLE, NO_SAMPLE)
  assert.equal(toHex((await withLeaves(chunks, tree)).tree), toHex(tree))
  const named = (await walk(chunks, tree)).flatMap(({ node }) => node.hardLink ?? [])
  if (furtherNames) assert.deepEqual((await collect(readFurtherNames(furtherNames, chunks.load))).flat(), named)
}

const without =
  (...paths: string[]) =>
  (path: string): Selected => ({ included: !paths.includes(path), recurse: !paths.includes(path) })

async function rewrite(
  chunks: MemoryChunks,
  snapshot: Column,
  select: (path: string) => Selected,
): ReturnType<typeof rewriteTree> {
  const rewritten = await rewriteTree(snapshot, { select, load: chunks.load, save: chunks.save })
  await expectColumns(chunks, rewritten)
  return rewritten
}

const pathsOf = (entries: readonly TreeEntry[]): string[] => entries.map(({ path }) => path)

describe('rewriteTree()', () => {
  it('leaves out paths, and keeps the trees in which nothing changes', async () => {
    const chunks = new MemoryChunks()
    const snapshot = await snapshotOf(
      chunks,
      saveTree(chunks, { a: 'a', dir: { b: 'b', c: 'c', deep: { d: 'd' } }, same: { e: 'e', f: {} }, z: 'z' }),
    )
    const before = new Map((await walk(chunks, snapshot.tree)).map(({ path, node }) => [path, node]))
    const told: string[] = []
    const rewritten = await rewriteTree(snapshot, {
      select: without('a', 'dir/b', 'dir/deep'),
      load: chunks.load,
      save: chunks.save,
      onLeftOut: (path) => told.push(path),
    })
    await expectColumns(chunks, rewritten)
    const after = await walk(chunks, rewritten.tree)
    assert.deepEqual(pathsOf(after), ['dir', 'dir/c', 'same', 'same/e', 'same/f', 'z'])
    for (const { path, node } of after) if (path !== 'dir') assert.deepEqual(node, before.get(path), path)
    assert.deepEqual(told, ['a', 'dir/b', 'dir/deep'])
    const { tree: _, stamps: __, samples: ___, furtherNames: ____, ...counts } = rewritten
    assert.deepEqual(counts, { leftOut: 3, files: 3, directories: 3, otherEntries: 0, originalBytes: 3, chunks: 6 })
  })

  it('saves nothing new when nothing is left out', async () => {
    const chunks = new MemoryChunks()
    const snapshot = await snapshotOf(chunks, saveTree(chunks, { a: 'a', dir: { b: 'b' } }))
    const { count } = chunks
    const rewritten = await rewrite(chunks, snapshot, without('nothing'))
    assert.deepEqual([rewritten.tree, rewritten.leftOut, chunks.count], [snapshot.tree, 0, count])
  })

  it('keeps a folder that is left out for what is not', async () => {
    const chunks = new MemoryChunks()
    const snapshot = await snapshotOf(chunks, saveTree(chunks, { dir: { a: 'a', sub: { b: 'b' } }, other: { c: 'c' } }))
    const rewritten = await rewrite(chunks, snapshot, (path) => ({ included: path.endsWith('/b'), recurse: true }))
    assert.deepEqual(pathsOf(await walk(chunks, rewritten.tree)), ['dir', 'dir/sub', 'dir/sub/b'])
    assert.deepEqual([rewritten.leftOut, rewritten.files, rewritten.directories], [2, 1, 2])
  })

  it('drops a folder of which only the name is known when nothing in it is left', async () => {
    const chunks = new MemoryChunks()
    const home = { type: 'dir', mode: 0, ancestor: true, tree: saveTree(chunks, { a: 'a' }) } as const
    const snapshot = await snapshotOf(chunks, saveTree(chunks, { home, other: 'o' }))
    const rewritten = await rewrite(chunks, snapshot, without('home/a'))
    assert.deepEqual(pathsOf(await walk(chunks, rewritten.tree)), ['other'])
  })

  it('makes the next name of a file its first when the first is left out', async () => {
    const chunks = new MemoryChunks()
    const content = encodeContent([testRef(5)], chunks.save)
    const file = { type: 'file', sizeBytes: 6, content } as const
    const link = (hardLink: string): Partial<TreeNode> => ({ ...file, hardLink })
    const snapshot = await snapshotOf(
      chunks,
      saveTree(chunks, { a: file, b: link('a'), d: { c: link('a') }, e: { x: file, y: link('e/x') }, f: link('e/x') }),
    )
    const one = await rewrite(chunks, snapshot, without('a'))
    const links = async (tree: ChunkId): Promise<(string | undefined)[][]> =>
      (await walk(chunks, tree)).flatMap(({ path, node }) => (node.tree ? [] : [[path, node.hardLink]]))
    assert.deepEqual(await links(one.tree), [
      ['b', undefined],
      ['d/c', 'b'],
      ['e/x', undefined],
      ['e/y', 'e/x'],
      ['f', 'e/x'],
    ])
    assert.deepEqual([one.files, one.originalBytes], [5, 12])
    const two = await rewrite(chunks, snapshot, without('a', 'b', 'e'))
    assert.deepEqual(await links(two.tree), [
      ['d/c', undefined],
      ['f', undefined],
    ])
    assert.deepEqual([two.files, two.originalBytes], [2, 12])
  })

  it('keeps the parts of a large folder that do not change', async () => {
    const chunks = new MemoryChunks()
    const many = Object.fromEntries(Array.from({ length: 6000 }, (_, i) => [`file ${i}`, { type: 'file' as const }]))
    const snapshot = await snapshotOf(chunks, saveTree(chunks, { large: many }))
    const { count } = chunks
    const rewritten = await rewrite(chunks, snapshot, without('large/file 3000'))
    assert.equal(rewritten.files, 5999)
    // A part or two of the folder, its list, the tree above, and what holds the columns.
    assert.ok(chunks.count - count < 12, `${chunks.count - count} new chunks`)
  })

  it('does without stamps and samples where there are none, and passes on what loading throws', async () => {
    const chunks = new MemoryChunks()
    const tree = saveTree(chunks, { a: 'a', dir: { b: 'b' } })
    const snapshot = { tree, stamps: undefined, samples: undefined }
    const { stamps, samples } = await rewriteTree(snapshot, {
      select: without('a'),
      load: chunks.load,
      save: chunks.save,
    })
    assert.deepEqual([stamps, samples], [undefined, undefined])
    chunks.lose((await walk(chunks, tree)).find(({ path }) => path === 'dir')?.node.tree ?? asChunkId(Buffer.alloc(32)))
    await assert.rejects(rewriteTree(snapshot, { select: without('a'), load: chunks.load, save: chunks.save }), {
      code: 'NOT_FOUND',
    })
    // What is left out need not be there.
    await rewriteTree(snapshot, { select: without('dir'), load: chunks.load, save: chunks.save })
  })

  it('is what a walk with the same selection shows, whatever is left out', async () => {
    const anyTree = fc.letrec<{ tree: object }>((tie) => ({
      tree: fc.dictionary(
        fc.constantFrom('a', 'b', 'c', 'd'),
        fc.oneof({ maxDepth: 3 }, fc.constantFrom('x', 'y', ''), tie('tree')),
        { maxKeys: 4, noNullPrototype: true },
      ),
    })).tree
    const decision = fc.constantFrom({ included: true, recurse: true }, { included: false, recurse: false })
    await fc.assert(
      fc.asyncProperty(anyTree, fc.func(decision), async (literal, select) => {
        const chunks = new MemoryChunks()
        const snapshot = await snapshotOf(chunks, saveTree(chunks, literal as Parameters<typeof saveTree>[1]))
        const rewritten = await rewrite(chunks, snapshot, select)
        assert.deepEqual(
          pathsOf(await walk(chunks, rewritten.tree)),
          pathsOf(await walk(chunks, snapshot.tree, select)),
        )
      }),
      { numRuns: 150 },
    )
  })
})
