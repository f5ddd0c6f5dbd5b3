import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { asChunkId, toHex } from '../base/ids.ts'
import { encodeAttachment } from './attachment.ts'
import { encodeContent } from './content.ts'
import { type ReferenceVisitor, visitReferences } from './references.ts'
import type { Snapshot } from './snapshot.ts'
import { MemoryChunks, fileNode, saveNodes, saveTree, testRef, testSnapshot } from './testing.ts'
import { StampWriter } from './stamps.ts'
import { treeChunkIds } from './tree-reader.ts'
import type { TreeNode } from './tree-node.ts'

/** Notes what it is shown, and enters each chunk once. */
class Recorder implements ReferenceVisitor {
  readonly ids = new Set<string>()
  readonly visits: string[] = []
  readonly entered = new Set<string>()
  readonly places = new Map<string, string>()
  readonly enteredAt: string[] = []

  enter(id: Uint8Array, path: string): boolean {
    assert(this.ids.has(toHex(id)), 'entered before it was visited')
    if (this.entered.has(toHex(id))) return false
    this.entered.add(toHex(id))
    this.enteredAt.push(path)
    return true
  }

  chunk(bytes: Uint8Array, offset: number, directory: string, name: string): void {
    const id = toHex(bytes.subarray(offset, offset + 32))
    this.ids.add(id)
    this.visits.push(id)
    this.places.set(id, `${directory}|${name}`)
  }
}

async function visit(chunks: MemoryChunks, fields: Partial<Snapshot>, recorder = new Recorder()): Promise<Recorder> {
  await visitReferences(testSnapshot(fields), chunks.load, recorder)
  return recorder
}

/** A file of so many chunks that are nowhere: visiting must not read them. */
function bigFile(chunks: MemoryChunks, refs: number, from = 0): Partial<TreeNode> {
  const list = Array.from({ length: refs }, (_, i) => testRef(from + i))
  return { type: 'file', content: encodeContent(list, chunks.save) }
}

/** Many files, each of one chunk that is nowhere. */
function* manyNodes(count: number, changed?: number): Generator<TreeNode> {
  for (let i = 0; i < count; i++) {
    const content = encodeContent([testRef(i === changed ? -1 : i)], () => assert.fail())
    const name = `file ${String(i).padStart(6, '0')}`
    yield { name, type: 'file', mode: 0, uid: 0, gid: 0, user: '', group: '', sizeBytes: 1, mtimeNs: 0n, content }
  }
}

/** A list of one part. */
function listOf(part: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from('0101', 'hex'), part, Buffer.of(1, 0x61)])
}

describe('visitReferences()', () => {
  it('visits everything that was saved for a snapshot, and data that is not', async () => {
    const chunks = new MemoryChunks()
    const long = (byte: number): Buffer => encodeAttachment(Buffer.alloc(300_000, byte), chunks.save)
    const stamps = new StampWriter(chunks.save)
    for (let i = 0; i < 1000; i++) stamps.add({ ctimeNs: BigInt(i), inode: 1n })
    const furtherNames = encodeContent([{ id: chunks.save(Buffer.from('names')), bytes: 5 }], chunks.save)
    const samples = encodeContent([{ id: chunks.save(Buffer.from('samples')), bytes: 7 }], chunks.save)
    const large = saveNodes(chunks, manyNodes(5_000))
    const tree = saveTree(chunks, {
      a: 'text of a',
      dir: {
        nested: { b: 'text of b', xattrs: { type: 'file', xattrs: long(1) } },
        holes: { ...fileNode(chunks, 'sparse'), holes: long(2) },
        large: { type: 'dir', tree: large },
      },
      huge: bigFile(chunks, 40_000, 1e6),
      link: { type: 'symlink', linkTarget: 'a', xattrs: long(3) },
    })
    const root = { name: 'r', type: 'dir', tree, xattrs: long(4) } as unknown as TreeNode
    const stored = new Set(chunks.ids)
    const { ids } = await visit(chunks, { tree, root, stamps: stamps.finish(), samples, furtherNames })
    for (let i = 0; i < 5_000; i++) assert(ids.delete(toHex(testRef(i).id)))
    for (let i = 1e6; i < 1_040_000; i++) assert(ids.delete(toHex(testRef(i).id)))
    for (const id of chunks.ids) stored.add(id) // those of `stamps.finish()`
    assert.deepEqual([...ids].sort(), [...stored].sort())
  })

  it('reads nothing but trees and lists', async () => {
    const chunks = new MemoryChunks()
    const tree = saveTree(chunks, { a: 'text', dir: { b: 'text of b' }, huge: bigFile(chunks, 1000) })
    const { entered } = await visit(chunks, { tree })
    assert.deepEqual([...new Set(chunks.loaded)].sort(), [...entered].sort())
    assert.equal(chunks.loaded.length, entered.size)
  })

  it('opens what two snapshots share once, also of large folders and files', async () => {
    const chunks = new MemoryChunks()
    const shared = saveTree(chunks, { x: 'same', deep: { y: 'same too' } })
    const make = (changed?: number): Partial<Snapshot> => ({
      tree: saveTree(chunks, {
        shared: { type: 'dir', tree: shared },
        again: { type: 'dir', tree: shared },
        large: { type: 'dir', tree: saveNodes(chunks, manyNodes(5_000, changed)) },
        // One reference more at the end: the other lists stay.
        huge: bigFile(chunks, 40_000 + (changed === undefined ? 0 : 1), 1e6),
      }),
    })
    const [one, two] = [make(), make(2_500)]
    const recorder = await visit(chunks, one)
    chunks.loaded = []
    await visit(chunks, two, recorder)
    // The two trees at the top and of `large`, one or two parts of it, the last one or two lists, and the lists of lists.
    assert(chunks.loaded.length < 16, `${chunks.loaded.length} chunks were read`)
    assert(recorder.ids.has(toHex(testRef(-1).id)))
    assert(recorder.ids.has(toHex(testRef(1_040_000).id)))
    for (const id of await treeChunkIds(shared, chunks.load)) assert(recorder.ids.has(toHex(id)))
  })

  it('passes over what is not entered, with all below it, but tells of it', async () => {
    const chunks = new MemoryChunks()
    const below = saveTree(chunks, { x: 'below' })
    const tree = saveTree(chunks, { a: 'text', dir: { type: 'dir', tree: below } })
    const recorder = new (class extends Recorder {
      override enter(id: Uint8Array, path: string): boolean {
        return path !== 'dir' && super.enter(id, path)
      }
    })()
    chunks.lose(below)
    await visit(chunks, { tree }, recorder)
    assert.deepEqual([...recorder.places.values()].sort(), ['dir|', '|', '|a'].sort())
  })

  it('says where each chunk is needed', async () => {
    const chunks = new MemoryChunks()
    const root = { name: 'means nothing', type: 'dir', xattrs: encodeAttachment(Buffer.alloc(5000), chunks.save) }
    const tree = saveTree(chunks, { dir: { sub: { file: 'text' }, huge: bigFile(chunks, 1000) } })
    const { places, enteredAt } = await visit(chunks, { tree, root: { ...root, tree } as unknown as TreeNode })
    assert.deepEqual([...new Set(places.values())].sort(), ['dir/sub|', 'dir/sub|file', 'dir|', 'dir|huge', '|'])
    assert.deepEqual([...new Set(enteredAt)].sort(), ['', 'dir', 'dir/huge', 'dir/sub'])
  })

  it('stops at what cannot be read, and says so', async () => {
    const chunks = new MemoryChunks()
    const below = saveTree(chunks, { x: 'below' })
    const huge = bigFile(chunks, 1000)
    const trees = {
      lostTree: saveTree(chunks, { dir: { type: 'dir', tree: below } }),
      list: saveTree(chunks, { huge }),
      attachment: saveTree(chunks, { a: { type: 'file', xattrs: Buffer.of(9) } }),
      content: saveTree(chunks, { a: { type: 'file', content: Buffer.of(0, 1, 2) } }),
      tooHigh: saveTree(chunks, { a: { type: 'file', content: Buffer.of(8) } }),
    }
    chunks.lose(below)
    await assert.rejects(visit(chunks, { tree: trees.lostTree }), { code: 'NOT_FOUND' })
    chunks.lose((huge.content as Buffer).subarray(1, 33))
    await assert.rejects(visit(chunks, { tree: trees.list }), { code: 'NOT_FOUND' })
    for (const tree of [trees.attachment, trees.content, trees.tooHigh])
      await assert.rejects(visit(chunks, { tree }), { code: 'DATA_CORRUPT' })
    const notTree = chunks.save(Buffer.from('no tree'))
    await assert.rejects(visit(chunks, { tree: notTree }), { code: 'DATA_CORRUPT' })
    const nested = chunks.save(listOf(chunks.save(listOf(saveTree(chunks, {})))))
    await assert.rejects(visit(chunks, { tree: nested }), { code: 'DATA_CORRUPT', message: /list in a list/ })
  })

  it('takes a list of data for no list of lists, even if a list has been entered', async () => {
    // A file whose chunk happens to be, byte for byte, a list of another file: it is data there, and is not opened.
    const chunks = new MemoryChunks()
    const huge = bigFile(chunks, 200)
    const list = asChunkId((huge.content as Buffer).subarray(1, 33))
    const inner = chunks.get(list)
    const content = encodeContent([{ id: list, bytes: inner.length }], chunks.save)
    const tree = saveTree(chunks, { a: { type: 'file', content }, huge })
    const { ids } = await visit(chunks, { tree })
    for (let i = 0; i < 200; i++) assert(ids.has(toHex(testRef(i).id)))
  })

  it('ends when it is aborted', async () => {
    const chunks = new MemoryChunks()
    const tree = saveTree(chunks, { a: 'text' })
    const options = { signal: AbortSignal.abort() }
    await assert.rejects(visitReferences(testSnapshot({ tree }), chunks.load, new Recorder(), options), {
      code: 'CANCELLED',
    })
  })
})
