import type { ChunkTable } from '../repository/chunk-table.ts'
import type { ChunkId } from '../base/ids.ts'
import { type LoadChunk, contentIds, everyInlineId } from '../snapshot/content.ts'
import { nodeContents } from '../snapshot/node-chunks.ts'
import { NO_SAMPLE, SampleReader } from '../snapshot/samples.ts'
import { type Stamp, StampReader, isNoStamp, toStampTime } from '../snapshot/stamps.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import type { SourceEntry } from '../sources/source.ts'
import { ParentCursor, type ParentNode } from './parent-cursor.ts'

/** What the walk compares with. */
export interface ParentTree {
  readonly tree: ChunkId
  /** Without stamps nothing counts as unchanged. */
  readonly stamps: Uint8Array | undefined
  /** Needed for files that are taken for unchanged by a sample. */
  readonly samples: Uint8Array | undefined
  /** Its nodes lack extended attributes that are wanted now, so those of every entry are looked at. */
  readonly xattrsLeftOut?: boolean | undefined
}

/**
 * How a file is taken for unchanged: besides type, size and mtime, by ctime and inode number; by nothing else; by a sample of its
 * content; or never, so that all content is read. `auto`: ctime and inode on local file systems, a sample on those whose times
 * and numbers mean little.
 */
export type Detect = 'auto' | 'ctime' | 'mtime' | 'partial-hash' | 'full-hash'

const AUTO = { local: 'ctime', network: 'partial-hash', coarse: 'partial-hash' } as const

function detectionOf(detect: Detect, { fileSystemKind }: Pick<SourceEntry, 'fileSystemKind'>): Exclude<Detect, 'auto'> {
  return detect === 'auto' ? AUTO[fileSystemKind] : detect
}

/** Whether the next run will compare a sample of this file. */
export function needsSample(detect: Detect, entry: Pick<SourceEntry, 'fileSystemKind'>): boolean {
  return detectionOf(detect, entry) === 'partial-hash'
}

/**
 * `true`: unchanged in everything. An object: unchanged if its sample still is the same, where there is one; and attributes besides
 * the content may have changed, unless `sameAttributes`.
 */
export type Verdict = boolean | { readonly sameAttributes: boolean; readonly sample: bigint | undefined }

/** Follows the walk through the parent snapshot, one cursor per open directory, and tells what has not changed. */
export class Comparison {
  readonly #load: LoadChunk
  readonly #table: Pick<ChunkTable, 'has'>
  readonly #detect: Detect
  readonly #hasXattrs: boolean
  #stamps: StampReader | undefined
  #samples: SampleReader | undefined
  /** Chunks of the files that were found unchanged, counting those of a file up to the first that is gone. */
  chunks = 0
  #cursors: (ParentCursor | undefined)[]

  constructor(parent: ParentTree | undefined, table: Pick<ChunkTable, 'has'>, load: LoadChunk, detect: Detect) {
    this.#load = load
    this.#table = table
    this.#detect = detect
    this.#hasXattrs = parent?.xattrsLeftOut !== true
    this.#stamps = parent?.stamps && new StampReader(parent.stamps, load)
    this.#samples = parent?.samples && new SampleReader(parent.samples, load)
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
   * Whether an entry that is no directory is what it was, and every chunk of it still live. The device is not compared: its
   * number changes with every reboot.
   */
  isUnchanged(entry: SourceEntry, found: ParentNode | undefined): Verdict | Promise<Verdict> {
    if (!this.#stamps || !found || this.#detect === 'full-hash') return false
    const { node } = found
    if (node.type !== entry.type || node.mtimeNs !== entry.mtimeNs) return false
    if (entry.type === 'file' ? node.sizeBytes !== entry.sizeBytes : node.linkTarget !== entry.linkTarget) return false
    const stamp = this.#stamps.at(found.position)
    if (!stamp) return this.#isUnchangedFurther(entry, found, this.#stamps)
    return this.#judge(entry, found, stamp)
  }

  /** From now on nothing is known of the parent snapshot: it is damaged. */
  giveUp(): void {
    this.#stamps = undefined
    this.#samples = undefined
    this.#cursors = this.#cursors.map(() => undefined)
  }

  async #isUnchangedFurther(entry: SourceEntry, found: ParentNode, stamps: StampReader): Promise<Verdict> {
    await stamps.seek(found.position)
    return this.#judge(entry, found, stamps.at(found.position))
  }

  #judge(entry: SourceEntry, found: ParentNode, stamp: Stamp | undefined): Verdict | Promise<Verdict> {
    if (!stamp || isNoStamp(stamp)) return false
    const { node } = found
    const isStamped = stamp.inode === entry.inode && stamp.ctimeNs === toStampTime(entry.ctimeNs)
    const detect = detectionOf(this.#detect, entry)
    // What is not stored as chunks costs nothing to be looked at again.
    if (!isStamped && (detect === 'ctime' || entry.type !== 'file')) return false
    const isLive = this.isLive(node, entry.path)
    if (detect === 'ctime' && this.#hasXattrs) return isLive
    return this.#judgeFurther(entry, found, {
      isLive,
      isStamped,
      wantsSample: detect === 'partial-hash' && entry.sizeBytes > 0,
    })
  }

  async #judgeFurther(
    entry: SourceEntry,
    { position }: ParentNode,
    known: { readonly isLive: boolean | Promise<boolean>; readonly isStamped: boolean; readonly wantsSample: boolean },
  ): Promise<Verdict> {
    if (!(await known.isLive)) return false
    const sameAttributes = known.isStamped && this.#hasXattrs
    if (entry.type !== 'file' || !known.wantsSample) return { sameAttributes, sample: undefined }
    const sample = (await this.#samples?.find(position)) ?? NO_SAMPLE
    return sample !== NO_SAMPLE && { sameAttributes, sample }
  }

  /** Whether all that a node of the parent refers to is in the repository. */
  isLive(node: TreeNode, path: string): boolean | Promise<boolean> {
    if (!node.xattrs && !node.holes) return node.content === undefined || this.#isContentLive(node.content, path)
    return this.#areContentsLive(nodeContents(node, path), path)
  }

  async #areContentsLive(contents: readonly Uint8Array[], path: string): Promise<boolean> {
    for (const content of contents) if (!(await this.#isContentLive(content, path))) return false
    return true
  }

  #isContentLive(content: Uint8Array, path: string): boolean | Promise<boolean> {
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
