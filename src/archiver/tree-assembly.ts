import { CairnError } from '../base/errors.ts'
import type { ChunkId } from '../base/ids.ts'
import type { SaveChunk } from '../snapshot/content.ts'
import { FurtherNamesWriter } from '../snapshot/further-names.ts'
import { SampleWriter } from '../snapshot/samples.ts'
import { NO_STAMP, type Stamp, StampWriter } from '../snapshot/stamps.ts'
import { type TreeNode, sameNode } from '../snapshot/tree-node.ts'
import { TreeWriter } from '../snapshot/tree-writer.ts'

/** An entry on its way into a tree; its node is known once its content is. */
export interface PendingNode {
  /** Set when everything about the node is known; `'omit'` when it could not be read. */
  node: TreeNode | 'omit' | undefined
  /** The parent snapshot's node of this name: when the two are equal, and all others too, the parent's tree serves again. */
  readonly old?: TreeNode | undefined
  stamp: Stamp | undefined
  /** `NO_SAMPLE` when there is none. */
  sample: bigint
}

/** Trees, what change detection needs besides, and which files have several names. */
export interface Assembled {
  readonly tree: ChunkId
  readonly stamps: Uint8Array
  readonly samples: Uint8Array | undefined
  readonly furtherNames: Uint8Array
}

type Step =
  | { readonly kind: 'node'; readonly pending: PendingNode }
  | { readonly kind: 'open'; readonly node: TreeNode; readonly old: TreeNode | undefined }
  | { readonly kind: 'close'; readonly complete: boolean }

/**
 * Turns the walk's entries into trees, strictly in the order of the walk, though contents become known in any order: steps
 * wait in a queue until everything before them is done. So trees and stamps do not depend on the number of workers.
 */
export class TreeAssembly {
  readonly #save: SaveChunk
  readonly #isLive: (tree: ChunkId) => boolean
  readonly #stamps: StampWriter
  readonly #samples: SampleWriter
  readonly #furtherNames: FurtherNamesWriter
  readonly #open: OpenDirectory[]
  #queue: Step[] = []
  #head = 0

  /** @param isLive whether a tree chunk of the parent snapshot may be referred to again */
  constructor(save: SaveChunk, isLive: (tree: ChunkId) => boolean = () => false) {
    this.#save = save
    this.#isLive = isLive
    this.#stamps = new StampWriter(save)
    this.#samples = new SampleWriter(save)
    this.#furtherNames = new FurtherNamesWriter(save)
    this.#open = [new OpenDirectory(undefined, undefined, save)]
  }

  /** Steps that wait. */
  get waiting(): number {
    return this.#queue.length - this.#head
  }

  add(pending: PendingNode): void {
    this.#queue.push({ kind: 'node', pending })
  }

  /** @param old the parent snapshot's node of this directory */
  openDirectory(node: TreeNode, old?: TreeNode): void {
    this.#queue.push({ kind: 'open', node, old })
  }

  /** @param complete whether the parent snapshot's directory has no names beyond those found here */
  closeDirectory(complete = false): void {
    this.#queue.push({ kind: 'close', complete })
  }

  /** Takes every step that need not wait any longer. */
  advance(): void {
    for (; this.#head < this.#queue.length; this.#head++) {
      const step = this.#queue[this.#head] as Step
      if (step.kind === 'open') this.#open.push(new OpenDirectory(step.node, step.old, this.#save))
      else if (step.kind === 'close') this.#close(step.complete)
      else if (step.pending.node === undefined) break
      else if (step.pending.node === 'omit') this.#open.at(-1)?.leaveOut()
      else this.#append(step.pending.node, step.pending)
    }
    // Now and then, so that taking a step costs the same however long the queue is.
    if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
  }

  /** What there is when everything was added and is known. */
  finish(): Assembled {
    this.advance()
    const root = this.#open.pop()
    if (this.waiting > 0 || !root || this.#open.length > 0) throw new CairnError('INTERNAL', 'The tree is not complete')
    return {
      tree: root.finish(),
      stamps: this.#stamps.finish(),
      samples: this.#samples.finish(),
      furtherNames: this.#furtherNames.finish(),
    }
  }

  /** What there would be if everything ended with the last step taken; the assembly goes on. */
  peek(): Assembled {
    let last: TreeNode | undefined
    let tree: ChunkId | undefined
    let leaves = 0
    for (const directory of this.#open.toReversed()) {
      tree = directory.peek(last)
      leaves += directory.leaves
      last = directory.node && { ...directory.node, tree, leaves }
    }
    if (!tree) throw new CairnError('INTERNAL', 'The tree is complete already')
    return {
      tree,
      stamps: this.#stamps.peek(),
      samples: this.#samples.peek(),
      furtherNames: this.#furtherNames.peek(),
    }
  }

  #append(node: TreeNode, { old, stamp, sample }: PendingNode): void {
    const directory = this.#open.at(-1) as OpenDirectory
    directory.add(node, old)
    directory.leaves++
    this.#stamps.add(stamp ?? NO_STAMP)
    this.#samples.add(sample)
    if (node.hardLink !== undefined) this.#furtherNames.add(node.hardLink)
  }

  #close(complete: boolean): void {
    const directory = this.#open.pop() as OpenDirectory
    const parent = this.#open.at(-1)
    if (!directory.node || !parent) throw new CairnError('INTERNAL', 'A directory was closed that was not open')
    const { leaves } = directory
    const oldTree = complete && directory.isSame ? directory.old?.tree : undefined
    const tree = oldTree && this.#isLive(oldTree) ? oldTree : directory.finish()
    parent.add({ ...directory.node, tree, leaves }, directory.old)
    parent.leaves += leaves
  }
}

/** Equal nodes kept at most before a directory is written after all: bounds the memory for a huge one. */
const MAX_KEPT_NODES = 16_384

/** A directory while its nodes come in. As long as they all equal the parent snapshot's, nothing is encoded. */
class OpenDirectory {
  readonly node: TreeNode | undefined
  readonly old: TreeNode | undefined
  readonly #save: SaveChunk
  #kept: TreeNode[] | undefined
  #writer: TreeWriter | undefined
  leaves = 0

  constructor(node: TreeNode | undefined, old: TreeNode | undefined, save: SaveChunk) {
    this.node = node
    this.old = old
    this.#save = save
    if (old?.tree) this.#kept = []
  }

  get isSame(): boolean {
    return this.#kept !== undefined
  }

  add(node: TreeNode, old: TreeNode | undefined): void {
    if (this.#kept && old && this.#kept.length < MAX_KEPT_NODES && sameNode(node, old)) this.#kept.push(node)
    else this.#write().add(node)
  }

  /** A node is missing that the parent snapshot may have: its tree cannot serve again. */
  leaveOut(): void {
    this.#write()
  }

  finish(): ChunkId {
    return this.#write().finish()
  }

  /** The tree if it ended here, or after `last`. */
  peek(last: TreeNode | undefined): ChunkId {
    if (this.#writer) return this.#writer.peek(last)
    const writer = new TreeWriter(this.#save)
    for (const kept of this.#kept ?? []) writer.add(kept)
    return writer.peek(last)
  }

  #write(): TreeWriter {
    const writer = (this.#writer ??= new TreeWriter(this.#save))
    for (const kept of this.#kept ?? []) writer.add(kept)
    this.#kept = undefined
    return writer
  }
}
