import type { TreeNode } from '../snapshot/tree-node.ts'
import type { LinkedName } from '../sources/source.ts'

/** Gives the node of a file's first name as soon as it is known; `'omit'` when it could not be read. */
interface FirstName {
  whenKnown(use: (first: TreeNode | 'omit') => void): void
}

/** Files with several names: each is read once, under the first of them. Remembers a file until its last name has come. */
export class HardLinks {
  readonly #files = new Map<
    string,
    { node: TreeNode | 'omit' | undefined; readonly waiting: ((node: TreeNode | 'omit') => void)[] }
  >()

  /** The file that this is a further name of. */
  find({ first, isFirst, isLast }: LinkedName): FirstName | undefined {
    if (isFirst) {
      this.#files.set(first, { node: undefined, waiting: [] })
      return undefined
    }
    const file = this.#files.get(first)
    if (isLast) this.#files.delete(first)
    if (!file) return undefined
    return {
      whenKnown(use) {
        if (file.node) use(file.node)
        else file.waiting.push(use)
      },
    }
  }

  /** Tells what a file is, or that it could not be read. */
  settle({ first, isFirst, isLast }: LinkedName, node: TreeNode | 'omit'): void {
    if (isLast) this.#files.delete(first)
    if (!isFirst) return
    const file = this.#files.get(first) ?? { node: undefined, waiting: [] }
    file.node = node
    for (const use of file.waiting.splice(0)) use(node)
    this.#files.set(first, file)
  }
}
