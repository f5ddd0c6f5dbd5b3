import { ByteReader } from '../base/binary.ts'
import { CHUNK_ID_BYTES, type ChunkId, asChunkId, toHex } from '../base/ids.ts'
import { compareRawNames, fromRawName } from '../base/raw-name.ts'
import { type LoadChunk, TREE_CHUNK_KINDS, TREE_CHUNK_VERSION } from './content.ts'
import { type TreeNode, decodeNode } from './tree-node.ts'

/**
 * Reads a directory's nodes in order, one chunk at a time, so that a directory of a million entries needs no more memory than
 * one of a hundred. Yields them in arrays, one per chunk.
 *
 * @throws {CairnError} `DATA_CORRUPT` when a chunk is no tree or its names are not in order, and what `load` throws
 */
export async function* readTree(tree: ChunkId, load: LoadChunk): AsyncGenerator<TreeNode[]> {
  const top = openTreeChunk(tree, await load(tree))
  if (top.kind === TREE_CHUNK_KINDS.nodes) {
    yield readNodes(top.reader, tree, undefined)
    return
  }
  let last: string | undefined
  for (const { id } of readTreeList(top.reader)) {
    const nodes = readNodesChunk(id, await load(id), last)
    last = nodes.at(-1)?.name ?? last
    yield nodes
  }
}

/** The node of this name in a directory, reading only the chunk it would be in. */
export async function findNode(tree: ChunkId, name: string, load: LoadChunk): Promise<TreeNode | undefined> {
  const top = openTreeChunk(tree, await load(tree))
  if (top.kind === TREE_CHUNK_KINDS.nodes)
    return readNodes(top.reader, tree, undefined).find((node) => node.name === name)
  for (const { id, lastName } of readTreeList(top.reader)) {
    if (compareRawNames(name, lastName) <= 0)
      return readNodesChunk(id, await load(id), undefined).find((node) => node.name === name)
  }
  return undefined
}

/** A chunk that holds some nodes of a directory, up to one of this name. */
export interface TreePart {
  readonly id: ChunkId
  readonly lastName: string
}

/**
 * One chunk of a tree: the nodes it holds, or the chunks that hold them.
 *
 * @throws {CairnError} `DATA_CORRUPT` when it is neither, and what `load` throws
 */
export async function readTreeChunk(id: ChunkId, load: LoadChunk): Promise<{ nodes: TreeNode[]; parts: TreePart[] }> {
  const { kind, reader } = openTreeChunk(id, await load(id))
  return kind === TREE_CHUNK_KINDS.nodes
    ? { nodes: readNodes(reader, id, undefined), parts: [] }
    : { nodes: [], parts: readTreeList(reader) }
}

/** Ids of the chunks one directory's tree consists of, its own id first; not those of the trees below it. */
export async function treeChunkIds(tree: ChunkId, load: LoadChunk): Promise<ChunkId[]> {
  const top = openTreeChunk(tree, await load(tree))
  return top.kind === TREE_CHUNK_KINDS.nodes ? [tree] : [tree, ...readTreeList(top.reader).map(({ id }) => id)]
}

function openTreeChunk(id: ChunkId, bytes: Uint8Array): { kind: number; reader: ByteReader } {
  const reader = new ByteReader(bytes, `tree ${toHex(id)}`)
  const version = reader.u8()
  const kind = reader.u8()
  if (version !== TREE_CHUNK_VERSION) throw reader.corrupt(`it has version ${version}`)
  if (kind !== TREE_CHUNK_KINDS.nodes && kind !== TREE_CHUNK_KINDS.treeList) throw reader.corrupt(`it has kind ${kind}`)
  return { kind, reader }
}

function readTreeList(reader: ByteReader): TreePart[] {
  const list: TreePart[] = []
  while (!reader.done) list.push({ id: asChunkId(reader.raw(CHUNK_ID_BYTES)), lastName: fromRawName(reader.bytes()) })
  return list
}

function readNodesChunk(id: ChunkId, bytes: Uint8Array, after: string | undefined): TreeNode[] {
  const { kind, reader } = openTreeChunk(id, bytes)
  if (kind !== TREE_CHUNK_KINDS.nodes) throw reader.corrupt('want nodes, found a list in a list')
  return readNodes(reader, id, after)
}

function readNodes(reader: ByteReader, id: ChunkId, after: string | undefined): TreeNode[] {
  const what = `tree ${toHex(id)}`
  const nodes: TreeNode[] = []
  let last = after
  while (!reader.done) {
    const node = decodeNode(reader, what)
    // Merging and restoring rely on the order; a name twice could replace a file by a symlink and then write through it.
    if (last !== undefined && compareRawNames(last, node.name) >= 0)
      throw reader.corrupt(`the name ${JSON.stringify(node.name)} is out of order`)
    last = node.name
    nodes.push(node)
  }
  return nodes
}
