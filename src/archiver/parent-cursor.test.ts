import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { compareRawNames } from '../base/raw-name.ts'
import { MemoryChunks, anyNode, saveNodes } from '../snapshot/testing.ts'
import { ParentCursor, type ParentNode } from './parent-cursor.ts'

async function find(cursor: ParentCursor, name: string): Promise<ParentNode | undefined> {
  for (let found = cursor.find(name); ; found = cursor.find(name)) {
    if (found !== 'more') return found
    await cursor.more()
  }
}

describe('ParentCursor', () => {
  it('finds the nodes that are there, and their positions, whichever growing names are asked for', async () => {
    const anyNodes = fc.uniqueArray(anyNode, { selector: (node) => node.name, maxLength: 12 })
    const anyCase = fc.record({
      nodes: anyNodes,
      others: anyNodes,
      first: fc.nat(1000),
      mask: fc.infiniteStream(fc.boolean()),
    })
    await fc.assert(
      fc.asyncProperty(anyCase, async ({ nodes, others, first, mask }) => {
        nodes.sort((a, b) => compareRawNames(a.name, b.name))
        const chunks = new MemoryChunks()
        const cursor = new ParentCursor(saveNodes(chunks, nodes), first, chunks.load)
        const positions = new Map<string, number>()
        let position = first
        for (const { name, type, leaves } of nodes) {
          positions.set(name, position)
          position += type === 'dir' ? (leaves ?? 0) : 1
        }
        const asked = [...new Set([...nodes, ...others].map(({ name }) => name))]
          .filter(() => mask.next().value)
          .sort(compareRawNames)
        for (const name of asked) {
          const found = await find(cursor, name)
          assert.equal(found?.node.name, positions.has(name) ? name : undefined)
          assert.equal(found?.position, positions.get(name))
        }
      }),
      { numRuns: 200 },
    )
  })

  it('goes on from one chunk of a large directory to the next, also where nothing is found', async () => {
    const chunks = new MemoryChunks()
    const names = Array.from({ length: 20_000 }, (_, i) => `n${String(i).padStart(5, '0')}`)
    const plain = { type: 'file', mode: 0, uid: 0, gid: 0, user: '', group: '', sizeBytes: 0, mtimeNs: 0n } as const
    const tree = saveNodes(
      chunks,
      names.map((name) => ({ ...plain, name })),
    )
    assert.ok(chunks.count > 3)
    const cursor = new ParentCursor(tree, 5, chunks.load)
    for (const i of [0, 1, 7000, 7001, 19_999]) {
      assert.equal(await find(cursor, `n${String(i).padStart(5, '0')}-`), undefined)
      if (i < 19_999) assert.equal((await find(cursor, `n${String(i + 1).padStart(5, '0')}`))?.position, i + 6)
    }
    assert.equal(await find(cursor, 'z'), undefined)
    assert.equal(await find(cursor, 'zz'), undefined)
  })
})
