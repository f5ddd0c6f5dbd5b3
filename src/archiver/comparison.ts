import type { ChunkTable } from '../repository/chunk-table.ts'
import type { ChunkId } from '../base/ids.ts'
import { type LoadChunk, contentIds, everyInlineId } from '../snapshot/content.ts'
import { StampReader, toStampTime } from '../snapshot/stamps.ts'
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
  /** Chunks of the files that were found unchanged. */
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

  /** The parent's node for an entry of the directory that is open. */
  async find(entry: SourceEntry): Promise<ParentNode | undefined> {
    const cursor = this.#cursors.at(-1)
    if (!cursor) return undefined
    for (;;) {
      const found = cursor.find(entry.name)
      if (found !== 'more') return found
      await cursor.more()
    }
  }

  /**
   * Whether a file is what it was: same size, mtime, ctime and inode, and every chunk of its content still live. The device is
   * not compared: its number changes with every reboot.
   */
  async isUnchanged(entry: SourceEntry, found: ParentNode | undefined): Promise<boolean> {
    if (!this.#stamps || !found || entry.type !== 'file') return false
    const { node } = found
    if (node.type !== 'file') return false
    if (node.sizeBytes !== entry.sizeBytes || node.mtimeNs !== entry.mtimeNs) return false
    let stamp = this.#stamps.at(found.position)
    if (!stamp) {
      await this.#stamps.seek(found.position)
      stamp = this.#stamps.at(found.position)
    }
    if (stamp?.inode !== entry.inode || stamp.ctimeNs !== toStampTime(entry.ctimeNs)) return false
    return node.content === undefined ? entry.sizeBytes === 0 : this.#isLive(node.content, entry.path)
  }

  async #isLive(content: Uint8Array, path: string): Promise<boolean> {
    let chunks = 0
    const isLive = (bytes: Uint8Array, offset = 0): boolean => {
      chunks++
      return this.#table.has(bytes, offset)
    }
    const inline = everyInlineId(content, path, isLive)
    if (inline === false) return false
    if (inline === undefined) {
      for await (const id of contentIds(content, this.#load, path)) if (!isLive(id)) return false
    }
    this.chunks += chunks
    return true
  }
}
