import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FurtherNamesWriter } from '../snapshot/further-names.ts'
import { MemoryChunks, fileNode, saveTree } from '../snapshot/testing.ts'
import { LinkCounts, placeId } from './link-counts.ts'

const ROOT = 7n

/** A snapshot of files with 3, 2 and 1 names. */
function newSnapshot(): {
  chunks: MemoryChunks
  snapshot: Parameters<typeof LinkCounts.load>[1] & { furtherNames: Buffer }
} {
  const chunks = new MemoryChunks()
  const linked = (hardLink: string): object => ({ ...fileNode(chunks, 'content'), hardLink })
  const tree = saveTree(chunks, {
    a: 'content',
    b: linked('a'),
    dir: { c: linked('a'), one: 'content', two: linked('dir/one') },
    single: 'x',
  })
  const writer = new FurtherNamesWriter(chunks.save)
  for (const name of ['a', 'a', 'dir/one']) writer.add(name)
  return { chunks, snapshot: { tree, furtherNames: writer.finish() } }
}

const PATHS = ['a', 'dir/one', 'single']

async function countsOf(
  { load }: Pick<MemoryChunks, 'load'>,
  snapshot: Parameters<typeof LinkCounts.load>[1],
): Promise<{ counts: number[]; issues: unknown[] }> {
  const issues: unknown[] = []
  const counts = await LinkCounts.load(ROOT, snapshot, { load, onIssue: (error) => issues.push(error) })
  return { counts: PATHS.map((path) => counts.of(placeId(ROOT, path))), issues }
}

describe('LinkCounts', () => {
  it('looks at no tree where the further names have been collected', async () => {
    const { chunks, snapshot } = newSnapshot()
    chunks.lose(snapshot.tree)
    assert.deepEqual(await countsOf(chunks, snapshot), { counts: [3, 2, 1], issues: [] })
  })

  it('walks all trees where they have not', async () => {
    const { chunks, snapshot } = newSnapshot()
    assert.deepEqual(await countsOf(chunks, { ...snapshot, furtherNames: undefined }), {
      counts: [3, 2, 1],
      issues: [],
    })
  })

  it('walks all trees where they are damaged, and says so', async () => {
    const { chunks, snapshot } = newSnapshot()
    const { counts, issues } = await countsOf(chunks, { ...snapshot, furtherNames: Buffer.of(99) })
    assert.deepEqual([counts, issues.length], [[3, 2, 1], 1])
  })

  it('counts nothing when the store cannot be asked, so that somebody tries again', async () => {
    const { chunks, snapshot } = newSnapshot()
    await assert.rejects(countsOf({ load: () => Promise.reject(new Error('gone')) }, snapshot), /gone/)
    assert.deepEqual((await countsOf(chunks, snapshot)).counts, [3, 2, 1])
  })
})
