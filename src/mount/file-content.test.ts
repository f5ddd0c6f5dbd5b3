import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Hole } from '../base/hole.ts'
import { testBytes } from '../chunker/testing.ts'
import { encodeContent } from '../snapshot/content.ts'
import { toHoleTable } from '../snapshot/hole-table.ts'
import { MemoryChunks } from '../snapshot/testing.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import { FileContent } from './file-content.ts'

const NODE: Omit<TreeNode, 'sizeBytes'> = {
  name: 'f',
  type: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  user: '',
  group: '',
  mtimeNs: 0n,
}

/** A file in memory whose data is cut into chunks of `chunkBytes`; with `holes`, they lie in the data. */
function newFile(data: Buffer, chunkBytes: number, holes: readonly Hole[] = []) {
  const chunks = new MemoryChunks()
  const refs = []
  for (let at = 0; at < data.length; at += chunkBytes) {
    const piece = data.subarray(at, at + chunkBytes)
    refs.push({ id: chunks.save(piece), bytes: piece.length })
  }
  const issues: unknown[] = []
  const ahead: string[] = []
  const readAhead = (id: Uint8Array): boolean => ahead.push(Buffer.from(id).toString('hex')) > 0
  const sizeBytes = data.length + holes.reduce((sum, { length }) => sum + length, 0)
  const node = { ...NODE, sizeBytes, content: encodeContent(refs, chunks.save) }
  const open = (changes: Partial<TreeNode> = {}): FileContent =>
    new FileContent({
      node: { ...node, ...changes },
      holes: holes.length > 0 ? toHoleTable(holes) : undefined,
      path: 'f',
      load: chunks.load,
      segments: { read: chunks.load, readAhead },
      onIssue: (error) => issues.push(error),
    })
  return { chunks, refs, issues, ahead, open }
}

describe('FileContent', () => {
  it('gives any stretch of a file, through any number of lists', async () => {
    const data = testBytes('content', 300_000)
    for (const chunkBytes of [50, 7000, 400_000]) {
      const content = newFile(data, chunkBytes).open()
      await fc.assert(
        fc.asyncProperty(fc.nat(310_000), fc.integer({ min: 1, max: 200_000 }), async (offset, length) => {
          const pieces = await content.read(offset, length)
          assert.ok(Buffer.concat(pieces).equals(data.subarray(offset, offset + length)))
        }),
        { numRuns: 30 },
      )
    }
  })

  it('gives zeros for holes, of any length', async () => {
    const data = testBytes('sparse', 1000)
    const holes = [
      { offset: 0, length: 10 },
      { offset: 110, length: 5 },
      { offset: 1015, length: 3 << 20 },
    ]
    const want = Buffer.concat([
      Buffer.alloc(10),
      data.subarray(0, 100),
      Buffer.alloc(5),
      data.subarray(100),
      Buffer.alloc(3 << 20),
    ])
    const content = newFile(data, 64, holes).open()
    for (const [offset, length] of [
      [0, 5 << 20],
      [5, 10],
      [100, 30],
      [1000, 2 << 20],
      [1014, 2],
      [3 << 20, 100_000],
    ] as const)
      assert.ok(Buffer.concat(await content.read(offset, length)).equals(want.subarray(offset, offset + length)))
  })

  it('reads ahead where a file is read in order, and not where it is not', async () => {
    const data = testBytes('ahead', 6 << 20)
    const file = newFile(data, 1 << 20)
    const inOrder = file.open()
    await inOrder.read(0, 1000)
    await inOrder.read(1000, 1000)
    assert.ok(file.ahead.length >= 5)
    file.ahead.length = 0
    const scattered = file.open()
    await scattered.read(5 << 20, 1000)
    await scattered.read(1 << 20, 1000)
    await scattered.read(3 << 20, 1000)
    assert.deepEqual(file.ahead, [])
  })

  it('fails where something is damaged, tells of it, and gives the rest', async () => {
    const data = testBytes('damaged', 10_000)
    const file = newFile(data, 1000)
    const { chunks, refs, issues } = file
    chunks.lose(refs[3]?.id ?? assert.fail())
    const content = file.open()
    await assert.rejects(content.read(2500, 1000), { code: 'NOT_FOUND' })
    assert.equal(issues.length, 1)
    assert.ok(Buffer.concat(await content.read(4000, 6000)).equals(data.subarray(4000)))
    // A node that claims more or less than its content has.
    await assert.rejects(file.open({ sizeBytes: 20_000 }).read(9000, 5000), { code: 'DATA_CORRUPT' })
    await assert.rejects(file.open({ sizeBytes: 2 ** 53 - 1, content: undefined as never }).read(0, 1), {
      code: 'DATA_CORRUPT',
    })
    const short = encodeContent([{ id: chunks.save(Buffer.from('abc')), bytes: 10 }], chunks.save)
    await assert.rejects(file.open({ sizeBytes: 10, content: short }).read(0, 10), { code: 'DATA_CORRUPT' })
  })
})
