import type { ChunkId } from '../base/ids.ts'
import { type LoadChunk, readContent } from './content.ts'
import { compareRawNames } from '../base/raw-name.ts'
import { type TreeNode, sameBytes, sameMetadata } from './tree-node.ts'
import { readTree } from './tree-reader.ts'

/** One difference between two trees. */
export interface TreeChange {
  readonly path: string
  readonly change: 'added' | 'removed' | 'modified' | 'type' | 'metadata'
  readonly before: TreeNode | undefined
  readonly after: TreeNode | undefined
  /** Bytes of chunks that only the one or the other file has. */
  readonly bytesAdded: number
  readonly bytesRemoved: number
}

/**
 * What differs between two trees, in path order. Subtrees with equal ids are equal and are not looked into, so the cost is that
 * of the changes, not of the trees.
 */
export async function* diffTrees(before: ChunkId, after: ChunkId, load: LoadChunk): AsyncGenerator<TreeChange> {
  yield* diffDirectories(before, after, '', load)
}

async function* diffDirectories(
  before: ChunkId | undefined,
  after: ChunkId | undefined,
  path: string,
  load: LoadChunk,
): AsyncGenerator<TreeChange> {
  if (before && after && Buffer.compare(before, after) === 0) return
  const left = nodesOf(before, load)
  const right = nodesOf(after, load)
  let a = await next(left)
  let b = await next(right)
  while (a ?? b) {
    const order = !a ? 1 : !b ? -1 : compareRawNames(a.name, b.name)
    yield* diffNodes(order <= 0 ? a : undefined, order >= 0 ? b : undefined, path, load)
    if (order <= 0) a = await next(left)
    if (order >= 0) b = await next(right)
  }
}

async function* diffNodes(
  a: TreeNode | undefined,
  b: TreeNode | undefined,
  folder: string,
  load: LoadChunk,
): AsyncGenerator<TreeChange> {
  const name = (a ?? b)?.name ?? ''
  const path = folder === '' ? name : `${folder}/${name}`
  const change = await changeOf(a, b, path, load)
  if (change) yield change
  // Below a directory that is new or gone, everything is; one that became something else is both.
  if (a?.tree || b?.tree) yield* diffDirectories(a?.tree, b?.tree, path, load)
}

async function changeOf(
  before: TreeNode | undefined,
  after: TreeNode | undefined,
  path: string,
  load: LoadChunk,
): Promise<TreeChange | undefined> {
  const result = (change: TreeChange['change'], bytesAdded: number, bytesRemoved: number): TreeChange => ({
    path,
    change,
    before,
    after,
    bytesAdded,
    bytesRemoved,
  })
  if (!before) return result('added', after?.sizeBytes ?? 0, 0)
  if (!after) return result('removed', 0, before.sizeBytes)
  if (before.type !== after.type) return result('type', after.sizeBytes, before.sizeBytes)
  if (!sameBytes(before.content, after.content)) {
    const old = await chunkBytes(before, load)
    const fresh = await chunkBytes(after, load)
    return result('modified', onlyIn(fresh, old), onlyIn(old, fresh))
  }
  if (before.linkTarget !== after.linkTarget) return result('modified', 0, 0)
  return sameMetadata(before, after) ? undefined : result('metadata', 0, 0)
}

/** The chunks of a file by id, with their lengths. */
async function chunkBytes(node: TreeNode, load: LoadChunk): Promise<Map<string, number>> {
  const chunks = new Map<string, number>()
  if (!node.content) return chunks
  for await (const { id, bytes } of readContent(node.content, load, node.name))
    chunks.set(Buffer.from(id).toString('latin1'), bytes)
  return chunks
}

function onlyIn(these: Map<string, number>, others: Map<string, number>): number {
  let sum = 0
  for (const [id, bytes] of these) if (!others.has(id)) sum += bytes
  return sum
}

async function* nodesOf(tree: ChunkId | undefined, load: LoadChunk): AsyncGenerator<TreeNode> {
  if (tree) for await (const nodes of readTree(tree, load)) yield* nodes
}

async function next(nodes: AsyncGenerator<TreeNode>): Promise<TreeNode | undefined> {
  const { value, done } = await nodes.next()
  return done ? undefined : value
}
