import type { ChunkId } from '../base/ids.ts'
import { compareRawNames } from '../base/raw-name.ts'
import type { LoadChunk } from '../snapshot/content.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import { readTree } from '../snapshot/tree-reader.ts'

/** A node of the parent snapshot, and where its stamp (of a directory: its first stamp) lies. */
export interface ParentNode {
  readonly node: TreeNode
  readonly position: number
}

/**
 * Goes through one directory of the parent snapshot in step with the walk of the source; both are sorted by raw names. `find`
 * is synchronous as long as the nodes at hand suffice; when it returns `'more'`, await `more()` and ask again.
 */
export class ParentCursor {
  readonly #chunks: AsyncGenerator<TreeNode[]>
  #nodes: readonly TreeNode[] = []
  #next = 0
  #position: number
  #done = false
  #passedOver = false

  constructor(tree: ChunkId, position: number, load: LoadChunk) {
    this.#chunks = readTree(tree, load)
    this.#position = position
  }

  /** The parent's node of this name; names asked for only grow. */
  find(name: string): ParentNode | 'more' | undefined {
    for (;;) {
      const node = this.#nodes[this.#next]
      if (!node) return this.#done ? undefined : 'more'
      const order = node.name === name ? 0 : compareRawNames(node.name, name)
      if (order > 0) return undefined
      const position = this.#position
      this.#next++
      this.#position += node.type === 'dir' ? (node.leaves ?? 0) : 1
      if (order === 0) return { node, position }
      this.#passedOver = true
    }
  }

  /** Whether every node of the directory has been asked for; to be called when the last one has. */
  async isUsedUp(): Promise<boolean> {
    while (!this.#done && this.#next === this.#nodes.length) await this.more()
    return this.#done && !this.#passedOver
  }

  async more(): Promise<void> {
    const { value, done } = await this.#chunks.next()
    this.#nodes = done ? [] : value
    this.#next = 0
    this.#done = done === true
  }
}
