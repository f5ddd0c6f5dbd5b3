/**
 * Attack: a snapshot whose nodes claim what is not so, to fill the disk or the memory of whoever restores it, or to pass wrong
 * content for right.
 */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { describe, it } from 'node:test'
import { ByteWriter } from '../../src/base/binary.ts'
import { encodeAttachment, encodeHoles, encodeXattrs } from '../../src/snapshot/attachment.ts'
import { type ChunkRef, type SaveChunk, TREE_CHUNK_KINDS, encodeContent } from '../../src/snapshot/content.ts'
import { type MemoryChunks, saveTree } from '../../src/snapshot/testing.ts'
import type { TreeNode } from '../../src/snapshot/tree-node.ts'
import type { ExtractEvent } from '../../src/operations/extract.ts'
import { commitSnapshot, saveContent } from '../full-snapshot.ts'
import { TestRepository, issuesOf, newFolder } from '../testing.ts'

/** Restores `bad` and a file beside it, and tells what is there afterwards. */
async function restoreBad(make: (save: SaveChunk) => Partial<TreeNode>): Promise<{ issues: string[]; target: string }> {
  const repository = await TestRepository.create()
  await commitSnapshot(repository, (save) => ({
    tree: saveTree({ save } as MemoryChunks, { bad: { type: 'file', ...make(save) }, good: 'good' }),
  }))
  const target = newFolder()
  const events: ExtractEvent[] = []
  await repository.extract({ target, events, onEvent: (event) => events.push(event) }).catch((error: unknown) => {
    assert.equal((error as { code?: string }).code, 'DATA_CORRUPT')
  })
  assert.equal(readFileSync(`${target}/good`, 'utf8'), 'good')
  assert.deepEqual(
    readdirSync(target).filter((name) => name.startsWith('.')),
    [],
  )
  return { issues: issuesOf(events), target }
}

/** A content list whose entries are all `ref`, so often. */
function listOf(ref: ChunkRef, count: number, save: SaveChunk): ChunkRef {
  const writer = new ByteWriter()
  writer.u8(1)
  writer.u8(TREE_CHUNK_KINDS.contentList)
  for (let i = 0; i < count; i++) {
    writer.raw(ref.id)
    writer.varint(ref.bytes)
  }
  return { id: save(writer.copy()), bytes: ref.bytes * count }
}

function contentOf(height: number, ref: ChunkRef): Buffer {
  const writer = new ByteWriter()
  writer.u8(height)
  writer.raw(ref.id)
  writer.varint(ref.bytes)
  return writer.copy()
}

describe('content that is not what it claims', () => {
  it('ends at once where lists of lists claim more bytes than the file has', async () => {
    const { issues, target } = await restoreBad((save) => {
      let ref: ChunkRef = { id: save(Buffer.from('x')), bytes: 1 }
      // 1000^7 chunks: nobody can hold a list of them.
      for (let level = 0; level < 7; level++) ref = { ...listOf(ref, 1000, save), bytes: 1 }
      return { sizeBytes: 5000, content: contentOf(7, ref) }
    })
    assert.deepEqual(issues, ['DATA_CORRUPT bad'])
    assert.equal(existsSync(`${target}/bad`), false)
  })

  it('is damage where chunks of no bytes go on without end', async () => {
    const { issues } = await restoreBad((save) => {
      let ref: ChunkRef = { id: save(Buffer.from('x')), bytes: 0 }
      for (let level = 0; level < 7; level++) ref = listOf(ref, 1000, save)
      return { sizeBytes: 1, content: contentOf(7, ref) }
    })
    assert.deepEqual(issues, ['DATA_CORRUPT bad'])
  })

  it('is damage of that file where a chunk has another length than its list says', async () => {
    for (const sizes of [[5], [3], [3, 5], [5, 3]]) {
      const { issues, target } = await restoreBad((save) => {
        const refs = sizes.map((bytes) => ({ id: save(Buffer.from('four')), bytes }))
        return { sizeBytes: sizes.reduce((sum, bytes) => sum + bytes, 0), content: encodeContent(refs, save) }
      })
      assert.deepEqual(issues, ['DATA_CORRUPT bad'], String(sizes))
      assert.equal(existsSync(`${target}/bad`), false)
    }
  })

  it('is damage where holes pass the end, overlap the content, or are more than anybody has', async () => {
    for (const holes of [[{ offset: 2, length: 100 }], [{ offset: 0, length: 4 }], [{ offset: 0, length: 3 }]]) {
      const { issues } = await restoreBad((save) => ({
        sizeBytes: 10,
        content: saveContent(Buffer.from('four'), save) as Uint8Array,
        holes: encodeAttachment(encodeHoles(holes), save),
      }))
      assert.deepEqual(issues, ['DATA_CORRUPT bad'], JSON.stringify(holes))
    }
    const { issues } = await restoreBad((save) => ({
      sizeBytes: 2 ** 50,
      holes: encodeAttachment(Buffer.alloc(20 << 20, 1), save),
    }))
    assert.deepEqual(issues, ['DATA_CORRUPT bad'])
  })

  it('costs no memory and no more than its name where a size is beyond any file system', async () => {
    const { issues, target } = await restoreBad((save) => ({
      sizeBytes: 2 ** 53 - 1,
      holes: encodeAttachment(encodeHoles([{ offset: 0, length: 2 ** 53 - 1 }]), save),
    }))
    assert.equal(issues.length, existsSync(`${target}/bad`) ? 0 : 1)
  })

  it('is told of attributes of 64 MiB, and the file is restored without them', async () => {
    for (const size of [1 << 20, 63 << 20]) {
      const { issues, target } = await restoreBad((save) => ({
        sizeBytes: 4,
        content: saveContent(Buffer.from('four'), save) as Uint8Array,
        xattrs: encodeAttachment(encodeXattrs([{ name: 'user.large', value: Buffer.alloc(size) }]), save),
      }))
      assert.equal(issues.length, 1)
      assert.match(issues[0] ?? '', /^E\w+ bad$/)
      assert.equal(statSync(`${target}/bad`).size, 4)
    }
    const { issues, target } = await restoreBad((save) => ({
      sizeBytes: 4,
      content: saveContent(Buffer.from('four'), save) as Uint8Array,
      xattrs: encodeAttachment(encodeXattrs([{ name: 'user.large', value: Buffer.alloc(65 << 20) }]), save),
    }))
    assert.deepEqual(issues, ['DATA_CORRUPT bad'])
    assert.equal(statSync(`${target}/bad`).size, 4)
  })
})
