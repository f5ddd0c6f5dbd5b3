import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ByteWriter } from '../base/binary.ts'
import { isCairnError } from '../base/errors.ts'
import { type ChunkId, asChunkId } from '../base/ids.ts'
import { compareRawNames, toRawName } from '../base/raw-name.ts'
import { MemoryChunks, anyNode, loadNodes, saveNodes } from './testing.ts'
import { type TreeNode, encodeNode } from './tree-node.ts'
import { findNode, treeChunkIds } from './tree-reader.ts'

const NODES = '0100'
const LIST = '0101'

function file(name: string): TreeNode {
  return { name, type: 'file', mode: 0, uid: 0, gid: 0, user: '', group: '', sizeBytes: 0, mtimeNs: 0n }
}

function encoded(...nodes: TreeNode[]): Buffer {
  const writer = new ByteWriter()
  for (const node of nodes) encodeNode(node, writer, new ByteWriter())
  return writer.copy()
}

function entry(id: Uint8Array, lastName: string): Buffer {
  const writer = new ByteWriter()
  writer.raw(id)
  writer.bytes(toRawName(lastName))
  return writer.copy()
}

/** Saves a tree chunk written by hand. */
function craft(chunks: MemoryChunks, head: string, ...parts: Uint8Array[]): ChunkId {
  return chunks.save(Buffer.concat([Buffer.from(head, 'hex'), ...parts]))
}

describe('readTree()', () => {
  it('refuses names that are out of order or there twice', async () => {
    for (const names of [
      ['b', 'a'],
      ['a', 'a'],
      ['a', 'b', 'c', 'b'],
      ['a', 'A'],
      ['\u{1f600}', '\uffff'], // in UTF-16 order, not in that of the bytes
    ]) {
      const chunks = new MemoryChunks()
      const tree = craft(chunks, NODES, encoded(...names.map(file)))
      await assert.rejects(loadNodes(chunks, tree), { code: 'DATA_CORRUPT', message: /out of order/ }, names.join())
    }
  })

  it('refuses names that are out of order, or twice, across the chunks of a large directory', async () => {
    for (const second of ['b', 'a', 'A']) {
      const chunks = new MemoryChunks()
      const one = craft(chunks, NODES, encoded(file('a'), file('b')))
      const two = craft(chunks, NODES, encoded(file(second), file('z')))
      const tree = craft(chunks, LIST, entry(one, 'b'), entry(two, 'z'))
      await assert.rejects(loadNodes(chunks, tree), { code: 'DATA_CORRUPT', message: /out of order/ }, second)
    }
    // An empty chunk in between hides nothing.
    const chunks = new MemoryChunks()
    const one = craft(chunks, NODES, encoded(file('b')))
    const two = craft(chunks, NODES, encoded(file('a')))
    const tree = craft(chunks, LIST, entry(one, 'b'), entry(craft(chunks, NODES), 'b'), entry(two, 'b'))
    await assert.rejects(loadNodes(chunks, tree), { code: 'DATA_CORRUPT' })
  })

  it('refuses a list in a list, so that no tree goes on for ever', async () => {
    const chunks = new MemoryChunks()
    const inner = craft(chunks, LIST, entry(craft(chunks, NODES, encoded(file('a'))), 'a'))
    const tree = craft(chunks, LIST, entry(inner, 'a'))
    await assert.rejects(loadNodes(chunks, tree), { code: 'DATA_CORRUPT', message: /list in a list/ })
    await assert.rejects(findNode(tree, 'a', chunks.load), { code: 'DATA_CORRUPT' })
  })

  it('refuses chunks that are no trees, or of another version', async () => {
    for (const head of ['', '01', '0102', '0103', '01ff', '0200', '0000', '0101ff']) {
      const chunks = new MemoryChunks()
      const tree = craft(chunks, head)
      await assert.rejects(loadNodes(chunks, tree), { code: 'DATA_CORRUPT' }, head)
      await assert.rejects(treeChunkIds(tree, chunks.load), { code: 'DATA_CORRUPT' }, head)
      await assert.rejects(findNode(tree, 'x', chunks.load), { code: 'DATA_CORRUPT' }, head)
    }
  })

  it('takes an empty list for an empty directory', async () => {
    const chunks = new MemoryChunks()
    assert.deepEqual(await loadNodes(chunks, craft(chunks, LIST)), [])
  })

  it('passes on what loading a chunk throws', async () => {
    const missing = asChunkId(Buffer.alloc(32))
    await assert.rejects(loadNodes(new MemoryChunks(), missing), { code: 'NOT_FOUND' })
    const chunks = new MemoryChunks()
    await assert.rejects(loadNodes(chunks, craft(chunks, LIST, entry(missing, 'a'))), { code: 'NOT_FOUND' })
  })

  it('names the chunk in its errors', async () => {
    const chunks = new MemoryChunks()
    const tree = craft(chunks, NODES, Buffer.of(5))
    const id = Buffer.from(tree).toString('hex')
    await assert.rejects(loadNodes(chunks, tree), (error) => error instanceof Error && error.message.includes(id))
  })

  it('ends in DATA_CORRUPT, or in another tree in order, for every truncation and every flipped bit', async () => {
    const anyTree = fc
      .uniqueArray(anyNode, { selector: (node) => node.name, minLength: 1, maxLength: 3 })
      .map((nodes) => nodes.sort((a, b) => compareRawNames(a.name, b.name)))
    await fc.assert(
      fc.asyncProperty(anyTree, async (nodes) => {
        const whole = new MemoryChunks()
        const bytes = whole.get(saveNodes(whole, nodes))
        const variants = [
          ...Array.from(bytes, (_, length) => bytes.subarray(0, length)),
          ...Array.from({ length: bytes.length * 8 }, (_, bit) => flipped(bytes, bit)),
        ]
        for (const variant of variants) await expectOrdered(variant)
      }),
      { numRuns: 20 },
    )
  })

  it('ends in an error, or in another tree in order, for every damage to a list of chunks', async () => {
    const chunks = new MemoryChunks()
    const one = craft(chunks, NODES, encoded(file('a'), file('b')))
    const two = craft(chunks, NODES, encoded(file('c'), file('d')))
    const bytes = chunks.get(craft(chunks, LIST, entry(one, 'b'), entry(two, 'd')))
    for (let length = 0; length < bytes.length; length++) await expectOrdered(bytes.subarray(0, length), chunks)
    for (let bit = 0; bit < bytes.length * 8; bit++) await expectOrdered(flipped(bytes, bit), chunks)
  })
})

function flipped(bytes: Uint8Array, bit: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7))
  return copy
}

/** The bytes are refused, or are a tree that can do no harm. */
async function expectOrdered(bytes: Uint8Array, chunks = new MemoryChunks()): Promise<void> {
  let nodes: TreeNode[]
  try {
    nodes = await loadNodes(chunks, chunks.save(bytes))
  } catch (error) {
    // NOT_FOUND is the test's own answer to an id that was damaged.
    assert.ok(isCairnError(error, 'DATA_CORRUPT') || isCairnError(error, 'NOT_FOUND'), String(error))
    return
  }
  for (const [i, node] of nodes.entries()) {
    assert.ok(i === 0 || compareRawNames(nodes[i - 1]?.name ?? '', node.name) < 0)
    assert.match(node.name, /^(?!\.{0,2}$)[^/\0]+$/s)
    assert.ok(node.type !== 'dir' || node.tree?.length === 32)
  }
}
