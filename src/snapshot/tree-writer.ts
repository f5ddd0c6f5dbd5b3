import { ByteWriter } from '../base/binary.ts'
import type { ChunkId } from '../base/ids.ts'
import { toRawName } from '../base/raw-name.ts'
import { type SaveChunk, TREE_CHUNK_KINDS, TREE_CHUNK_VERSION } from './content.ts'
import { type TreeNode, encodeNode } from './tree-node.ts'

/*
 * A small directory is one chunk of nodes. A large one is cut after nodes whose *names* hash to a pattern, so that a change of
 * one node, whatever it changes, rewrites one chunk of about 100 KiB and the list of chunks.
 */
const MIN_CUT_BYTES = 32 << 10
const MAX_CUT_BYTES = 512 << 10
/** One name in 512. */
const CUT_MASK = 0x1ff

// One directory is finished at a time, and a node is never encoded inside another, so all writers share this memory.
const scratch = new ByteWriter(4096)

/** Builds the tree of one directory from its nodes, in order. */
export class TreeWriter {
  readonly #save: SaveChunk
  readonly #nodes = new ByteWriter(512)
  #lastName: string | undefined
  readonly #list: { id: ChunkId; lastName: string }[]

  constructor(save: SaveChunk, list: readonly { id: ChunkId; lastName: string }[] = []) {
    this.#save = save
    this.#list = [...list]
    this.#begin()
  }

  /** Appends the next node; nodes come in the order of `compareRawNames`, each name once. */
  add(node: TreeNode): void {
    encodeNode(node, this.#nodes, scratch)
    this.#lastName = node.name
    if (isCut(this.#nodes.length, node.name)) this.#cut()
  }

  /** Stores what is left, and returns the id of the tree. The writer is used up. */
  finish(): ChunkId {
    if (this.#list.length === 0) return this.#save(this.#nodes.view())
    this.#cut()
    const writer = new ByteWriter(this.#list.length * 64)
    writer.u8(TREE_CHUNK_VERSION)
    writer.u8(TREE_CHUNK_KINDS.treeList)
    for (const { id, lastName } of this.#list) {
      writer.raw(id)
      writer.bytes(toRawName(lastName))
    }
    return this.#save(writer.view())
  }

  /** The tree as it would be if it ended here, or after `last`; the writer goes on. */
  peek(last?: TreeNode): ChunkId {
    const ended = new TreeWriter(this.#save, this.#list)
    ended.#nodes.reset()
    ended.#nodes.raw(this.#nodes.view())
    ended.#lastName = this.#lastName
    if (last) ended.add(last)
    return ended.finish()
  }

  #begin(): void {
    this.#nodes.reset()
    this.#nodes.u8(TREE_CHUNK_VERSION)
    this.#nodes.u8(TREE_CHUNK_KINDS.nodes)
    this.#lastName = undefined
  }

  #cut(): void {
    if (this.#lastName === undefined) return
    this.#list.push({ id: this.#save(this.#nodes.view()), lastName: this.#lastName })
    this.#begin()
  }
}

/** Whether a chunk of so many bytes ends behind this name. */
export function isCut(bytes: number, name: string): boolean {
  return bytes >= MAX_CUT_BYTES || (bytes >= MIN_CUT_BYTES && (hashName(name) & CUT_MASK) === 0)
}

/** FNV-1a, 32 bits, over the raw name; its low bits are mixed well enough for a cut pattern. */
function hashName(name: string): number {
  let hash = 0x811c9dc5
  for (const byte of toRawName(name)) hash = Math.imul(hash ^ byte, 0x01000193)
  return (hash ^ (hash >>> 15)) >>> 0
}
