import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { encodeContent } from './content.ts'
import { type TreeChange, diffTrees } from './diff.ts'
import { MemoryChunks, type TreeLiteral, collect, fileNode, saveTree, testRef } from './testing.ts'
import type { TreeNode } from './tree-node.ts'

const chunks = new MemoryChunks()

async function diff(before: TreeLiteral, after: TreeLiteral): Promise<TreeChange[]> {
  return collect(diffTrees(saveTree(chunks, before), saveTree(chunks, after), chunks.load))
}

/** Changes in short: `modified a/b +3 -2`. */
async function summary(before: TreeLiteral, after: TreeLiteral): Promise<string[]> {
  const changes = await diff(before, after)
  return changes.map(
    ({ change, path, bytesAdded, bytesRemoved }) => `${change} ${path} +${bytesAdded} -${bytesRemoved}`,
  )
}

function link(linkTarget: string): TreeLiteral {
  return { l: { type: 'symlink', linkTarget } }
}

/** A file of the chunks with these numbers; chunk n has 10^n bytes. */
function content(...ns: number[]): Partial<TreeNode> {
  const refs = ns.map((n) => ({ ...testRef(n), bytes: 10 ** n }))
  return { type: 'file', sizeBytes: 1, content: encodeContent(refs, chunks.save) }
}

describe('diffTrees()', () => {
  it('tells what was added, removed and modified, in path order', async () => {
    assert.deepEqual(
      await summary(
        { a: 'one', b: 'same', c: { d: 'old', e: 'gone' }, z: 'last' },
        { a: 'two!', b: 'same', c: { d: 'old', f: 'new' }, y: {} },
      ),
      ['modified a +4 -3', 'removed c/e +0 -4', 'added c/f +3 -0', 'added y +0 -0', 'removed z +0 -4'],
    )
  })

  it('names everything below a directory that is new or gone', async () => {
    const tree = { d: { e: { f: 'x' }, g: 'yy' } }
    assert.deepEqual(await summary({}, tree), [
      'added d +0 -0',
      'added d/e +0 -0',
      'added d/e/f +1 -0',
      'added d/g +2 -0',
    ])
    assert.deepEqual(await summary(tree, {}), [
      'removed d +0 -0',
      'removed d/e +0 -0',
      'removed d/e/f +0 -1',
      'removed d/g +0 -2',
    ])
  })

  it('tells a change of type, and what comes and goes with it', async () => {
    assert.deepEqual(await summary({ x: { in: 'a' } }, { x: 'file' }), ['type x +4 -0', 'removed x/in +0 -1'])
    assert.deepEqual(await summary({ x: 'file' }, { x: { in: 'a' } }), ['type x +0 -4', 'added x/in +1 -0'])
    assert.deepEqual(await summary({ x: 'file' }, { x: { type: 'symlink', linkTarget: 'y' } }), ['type x +0 -4'])
  })

  it('tells a symlink that points elsewhere', async () => {
    assert.deepEqual(await summary(link('a'), link('b')), ['modified l +0 -0'])
    assert.deepEqual(await summary(link('a'), link('a')), [])
  })

  it('tells every kind of changed metadata, of files and directories', async () => {
    const file = fileNode(chunks, 'x')
    for (const changed of [{ mode: 0o600 }, { uid: 1 }, { gid: 1 }, { user: 'u' }, { group: 'g' }, { mtimeNs: 1n }]) {
      assert.deepEqual(await summary({ a: file }, { a: { ...file, ...changed } }), ['metadata a +0 -0'])
      const dir = { type: 'dir', tree: saveTree(chunks, { f: 'x' }) } as const
      assert.deepEqual(await summary({ a: dir }, { a: { ...dir, ...changed } }), ['metadata a +0 -0'])
    }
  })

  it('gives the nodes before and after', async () => {
    const [change] = await diff({ a: 'old' }, { a: 'newer' })
    assert.deepEqual([change?.before?.sizeBytes, change?.after?.sizeBytes], [3, 5])
    const [added] = await diff({}, { a: 'x' })
    assert.deepEqual([added?.before, added?.after?.name], [undefined, 'a'])
  })

  it('counts the bytes of chunks that only one side has, each once', async () => {
    assert.deepEqual(await summary({ a: content(1, 2, 3, 3) }, { a: content(3, 2, 4, 4) }), ['modified a +10000 -10'])
    assert.deepEqual(await summary({ a: content(1, 2) }, { a: content(2, 1) }), ['modified a +0 -0'])
    assert.deepEqual(await summary({ a: '' }, { a: content(2) }), ['modified a +100 -0'])
    assert.deepEqual(await summary({ a: content(2) }, { a: '' }), ['modified a +0 -100'])
  })

  it('does not load subtrees that are equal, nor anything when all is', async () => {
    const same = { big: { a: { b: 'x' } }, other: { c: 'y' } }
    const before = saveTree(chunks, { ...same, changed: { f: 'old' } })
    const after = saveTree(chunks, { ...same, changed: { f: 'new' } })
    chunks.loaded = []
    assert.equal((await collect(diffTrees(before, after, chunks.load))).length, 1)
    assert.equal(chunks.loaded.length, 4) // both roots, both versions of `changed`
    chunks.loaded = []
    assert.deepEqual(await collect(diffTrees(before, before, chunks.load)), [])
    assert.deepEqual(chunks.loaded, [])
  })

  it('finds the same changes as a comparison of all paths, and the mirror image the other way round', async () => {
    const anyTree: fc.Memo<TreeLiteral> = fc.memo((depth) =>
      fc.dictionary(
        fc.constantFrom('a', 'b', 'c', 'a.b', 'a-b'),
        depth > 1 ? fc.oneof(fc.constantFrom('', 'x', 'yy'), anyTree(depth - 1)) : fc.constantFrom('', 'x', 'yy'),
        { maxKeys: 4 },
      ),
    )
    await fc.assert(
      fc.asyncProperty(anyTree(3), anyTree(3), async (before, after) => {
        const [left, right] = [flatten(before), flatten(after)]
        const want = new Map<string, string>()
        for (const path of new Set([...left.keys(), ...right.keys()])) {
          const [a, b] = [left.get(path), right.get(path)]
          if (a === b) continue
          const change =
            a === undefined ? 'added' : b === undefined ? 'removed' : a === '/' || b === '/' ? 'type' : 'modified'
          want.set(path, change)
        }
        const changes = await diff(before, after)
        assert.deepEqual(new Map(changes.map(({ path, change }) => [path, change])), want)
        assert.equal(changes.length, want.size)
        const mirrored = await diff(after, before)
        assert.deepEqual(
          mirrored.map(({ path, bytesAdded, bytesRemoved }) => [path, bytesRemoved, bytesAdded]),
          changes.map(({ path, bytesAdded, bytesRemoved }) => [path, bytesAdded, bytesRemoved]),
        )
      }),
      { numRuns: 150 },
    )
  })
})

/** Path → content, `/` for a directory. */
function flatten(tree: TreeLiteral, folder = ''): Map<string, string> {
  const paths = new Map<string, string>()
  for (const [name, value] of Object.entries(tree)) {
    paths.set(folder + name, typeof value === 'string' ? value : '/')
    if (typeof value !== 'string')
      for (const [path, found] of flatten(value as TreeLiteral, `${folder}${name}/`)) paths.set(path, found)
  }
  return paths
}
