import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { toHex } from '../base/ids.ts'
import { encodeAttachment } from './attachment.ts'
import { encodeContent } from './content.ts'
import { nodeChunkIds } from './node-chunks.ts'
import { MemoryChunks, collect, testRef } from './testing.ts'
import type { TreeNode } from './tree-node.ts'

describe('nodeChunkIds()', () => {
  it('are those of content, of its lists, and of attachments', async () => {
    const chunks = new MemoryChunks()
    const refs = Array.from({ length: 1000 }, (_, i) => testRef(i))
    const content = encodeContent(refs, chunks.save)
    const xattrs = encodeAttachment(Buffer.alloc(300_000, 1), chunks.save)
    const holes = encodeAttachment(Buffer.alloc(2000, 2), chunks.save)
    const node = { name: 'n', type: 'file', content, xattrs, holes } as unknown as TreeNode
    const found = (await collect(nodeChunkIds(node, chunks.load, 'n'))).map(toHex)
    const wanted = [...refs.map(({ id }) => toHex(id)), ...chunks.ids]
    assert.deepEqual(found.sort(), wanted.sort())
    const inline = encodeAttachment(Buffer.alloc(10), chunks.save)
    assert.deepEqual(
      await collect(
        nodeChunkIds(
          { ...node, content: encodeContent([], chunks.save), xattrs: inline, holes: inline },
          chunks.load,
          'n',
        ),
      ),
      [],
    )
  })
})
