import { CairnError } from '../base/errors.ts'
import type { ChunkId } from '../base/ids.ts'
import type { SaveChunk } from '../snapshot/content.ts'
import { NO_STAMP, type Stamp, StampWriter } from '../snapshot/stamps.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import { TreeWriter } from '../snapshot/tree-writer.ts'

/** An entry on its way into a tree; its node is known once its content is. */
export interface PendingNode {
  /** Set when everything about the node is known; `'omit'` when it could not be read. */
  node: TreeNode | 'omit' | undefined
  stamp: Stamp | undefined
}

type Step =
  | { readonly kind: 'node'; readonly pending: PendingNode }
  | { readonly kind: 'open'; readonly node: TreeNode }
  | { readonly kind: 'close' }

interface OpenDirectory {
  readonly node: TreeNode | undefined
  readonly writer: TreeWriter
  leaves: number
}

/**
 * Turns the walk's entries into trees, strictly in the order of the walk, though contents become known in any order: steps
 * wait in a queue until everything before them is done. So trees and stamps do not depend on the number of workers.
 */
export class TreeAssembly {
  readonly #save: SaveChunk
  readonly #stamps: StampWriter
  readonly #open: OpenDirectory[]
  #queue: Step[] = []
  #head = 0

  constructor(save: SaveChunk) {
    this.#save = save
    this.#stamps = new StampWriter(save)
    this.#open = [{ node: undefined, writer: new TreeWriter(save), leaves: 0 }]
  }

  /** Steps that wait. */
  get waiting(): number {
    return this.#queue.length - this.#head
  }

  add(pending: PendingNode): void {
    this.#queue.push({ kind: 'node', pending })
  }

  openDirectory(node: TreeNode): void {
    this.#queue.push({ kind: 'open', node })
  }

  closeDirectory(): void {
    this.#queue.push({ kind: 'close' })
  }

  /** Takes every step that need not wait any longer. */
  advance(): void {
    for (; this.#head < this.#queue.length; this.#head++) {
      const step = this.#queue[this.#head] as Step
      if (step.kind === 'open') this.#open.push({ node: step.node, writer: new TreeWriter(this.#save), leaves: 0 })
      else if (step.kind === 'close') this.#close()
      else if (step.pending.node === undefined) break
      else if (step.pending.node !== 'omit') this.#append(step.pending.node, step.pending.stamp)
    }
    // Now and then, so that taking a step costs the same however long the queue is.
    if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
  }

  /** The root tree and the stamps, when everything was added and is known. */
  finish(): { tree: ChunkId; stamps: Uint8Array } {
    this.advance()
    const root = this.#open.pop()
    if (this.waiting > 0 || !root || this.#open.length > 0) throw new CairnError('INTERNAL', 'The tree is not complete')
    return { tree: root.writer.finish(), stamps: this.#stamps.finish() }
  }

  #append(node: TreeNode, stamp: Stamp | undefined): void {
    const directory = this.#open.at(-1) as OpenDirectory
    directory.writer.add(node)
    directory.leaves++
    this.#stamps.add(stamp ?? NO_STAMP)
  }

  #close(): void {
    const { node, writer, leaves } = this.#open.pop() as OpenDirectory
    const parent = this.#open.at(-1)
    if (!node || !parent) throw new CairnError('INTERNAL', 'A directory was closed that was not open')
    parent.writer.add({ ...node, tree: writer.finish(), leaves })
    parent.leaves += leaves
  }
}
