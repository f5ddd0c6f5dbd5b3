import type { ChunkId } from '../base/ids.ts'
import { contentOfAttachment } from './attachment.ts'
import { type LoadChunk, contentIds } from './content.ts'
import type { TreeNode } from './tree-node.ts'

/**
 * Every chunk that a node needs besides the trees of a directory: content, lists of content, attachments. Whoever marks, checks
 * or copies what a snapshot refers to must go by this, so that nothing is forgotten.
 *
 * @throws {CairnError} `DATA_CORRUPT`, and what `load` throws
 */
export async function* nodeChunkIds(node: TreeNode, load: LoadChunk, path: string): AsyncGenerator<ChunkId> {
  for (const content of nodeContents(node, path)) yield* contentIds(content, load, path)
}

/** The encoded contents a node has, for those who look at short ones without waiting. */
export function nodeContents(node: TreeNode, path: string): Uint8Array[] {
  const contents: Uint8Array[] = []
  if (node.content) contents.push(node.content)
  for (const attachment of [node.xattrs, node.holes]) {
    const content = attachment && contentOfAttachment(attachment, path)
    if (content) contents.push(content)
  }
  return contents
}
