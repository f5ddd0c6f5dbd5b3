import type { ChunkTable } from '../repository/chunk-table.ts'
import type { ChunkId } from '../base/ids.ts'
import { type LoadChunk, contentIds, everyInlineId } from '../snapshot/content.ts'
import { type Stamp, StampReader, toStampTime } from '../snapshot/stamps.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import type { SourceEntry } from '../sources/source.ts'
import { ParentCursor, type ParentNode } from './parent-cursor.ts'

/** What the walk compares with. */
export interface ParentTree {
  readonly tree: ChunkId
  /** Without stamps nothing counts as unchanged. */
  readonly stamps: Uint8Array | undefined
}

/** Follows the walk through the parent snapshot, one cursor per open directory, and tells what has not changed. */
export class Comparison {
  readonly #load: LoadChunk
  readonly #table: Pick<ChunkTable, 'has'>
  readonly #stamps: StampReader | undefined
  /** Chunks of the files that were found unchanged, counting those of a file up to the first that is gone. */
  chunks = 0
  readonly #cursors: (ParentCursor | undefined)[]

  constructor(parent: ParentTree | undefined, table: Pick<ChunkTable, 'has'>, load: LoadChunk) {
    this.#load = load
    this.#table = table
    this.#stamps = parent?.stamps && new StampReader(parent.stamps, load)
    this.#cursors = [parent && new ParentCursor(parent.tree, 0, load)]
  }

  /** Goes down into the directory just found. */
  enter(found: ParentNode | undefined): void {
    const tree = found?.node.tree
    this.#cursors.push(found && tree ? new ParentCursor(tree, found.position, this.#load) : undefined)
  }

  /** How many directories are open, the root included. */
  get depth(): number {
    return this.#cursors.length
  }

  /** Comes up out of a directory; returns whether the parent's has no names beyond those that were found. */
  async leave(): Promise<boolean> {
    return (await this.#cursors.pop()?.isUsedUp()) ?? false
  }

  /** The parent's node for an entry of the directory that is open. A promise only where chunks have to be read: waiting costs. */
  find({ name }: SourceEntry): ParentNode | undefined | Promise<ParentNode | undefined> {
    const cursor = this.#cursors.at(-1)
    const found = cursor?.find(name)
    return found === 'more' ? findFurther(cursor as ParentCursor, name) : found
  }

  /**
   * Whether a file is what it was: same size, mtime, ctime and inode, and every chunk of its content still live. The device is
   * not compared: its number changes with every reboot.
   */
  isUnchanged(entry: SourceEntry, found: ParentNode | undefined): boolean | Promise<boolean> {
    if (!this.#stamps || !found || entry.type !== 'file') return false
    const { node } = found
    if (node.type !== 'file') return false
    if (node.sizeBytes !== entry.sizeBytes || node.mtimeNs !== entry.mtimeNs) return false
    const stamp = this.#stamps.at(found.position)
    if (!stamp) return this.#isUnchangedFurther(entry, found, this.#stamps)
    return this.#isStamped(entry, node, stamp)
  }

  async #isUnchangedFurther(entry: SourceEntry, { node, position }: ParentNode, stamps: StampReader): Promise<boolean> {
    await stamps.seek(position)
    return this.#isStamped(entry, node, stamps.at(position))
  }

  #isStamped(entry: SourceEntry, node: TreeNode, stamp: Stamp | undefined): boolean | Promise<boolean> {
    if (stamp?.inode !== entry.inode || stamp.ctimeNs !== toStampTime(entry.ctimeNs)) return false
    return node.content === undefined ? entry.sizeBytes === 0 : this.#isLive(node.content, entry.path)
  }

  #isLive(content: Uint8Array, path: string): boolean | Promise<boolean> {
    return everyInlineId(content, path, this.#hasChunk) ?? this.#isLiveFurther(content, path)
  }

  async #isLiveFurther(content: Uint8Array, path: string): Promise<boolean> {
    for await (const id of contentIds(content, this.#load, path)) if (!this.#hasChunk(id)) return false
    return true
  }

  readonly #hasChunk = (bytes: Uint8Array, offset = 0): boolean => {
    this.chunks++
    return this.#table.has(bytes, offset)
  }
}

async function findFurther(cursor: ParentCursor, name: string): Promise<ParentNode | undefined> {
  for (;;) {
    await cursor.more()
    const found = cursor.find(name)
    if (found !== 'more') return found
  }
}
