import type { TreeNode } from '../snapshot/tree-node.ts'
import type { LinkedName } from '../sources/source.ts'

interface LinkedFile {
  node: TreeNode | 'omit' | undefined
  /** No more names come. */
  isComplete: boolean
  readonly waiting: ((node: TreeNode | 'omit') => void)[]
}

/** Files with several names: each is read once, under the first of them. Remembers a file until its last name has come. */
export class HardLinks {
  readonly #files = new Map<string, LinkedFile>()

  /**
   * To be asked for every name that is to be read. Of a further name, returns what calls back with the node of the first one, as
   * soon as it is known; `'omit'` when it could not be read.
   */
  find({ first, isFirst, isLast }: LinkedName): ((use: (node: TreeNode | 'omit') => void) => void) | undefined {
    const file = this.#files.get(first)
    if (isFirst || !file) {
      if (isFirst) this.#files.set(first, { node: undefined, isComplete: false, waiting: [] })
      return undefined
    }
    if (isLast) this.#complete(first, file)
    return (use) => {
      if (file.node) use(file.node)
      else file.waiting.push(use)
    }
  }

  /** Tells what a file is, or that it could not be read. */
  settle({ first, isFirst, isLast }: LinkedName, node: TreeNode | 'omit'): void {
    const file = this.#files.get(first)
    if (!isFirst) {
      if (file && isLast) this.#complete(first, file)
      return
    }
    const settled = file ?? { node, isComplete: false, waiting: [] }
    settled.node = node
    if (!settled.isComplete) this.#files.set(first, settled)
    else this.#files.delete(first)
    for (const use of settled.waiting.splice(0)) use(node)
  }

  #complete(first: string, file: LinkedFile): void {
    file.isComplete = true
    if (file.node) this.#files.delete(first)
  }
}
