import type { ChunkId } from '../base/ids.ts'
import type { LoadChunk } from '../snapshot/content.ts'
import { partsOfPath } from '../base/raw-name.ts'
import { walkTree } from '../snapshot/tree-walk.ts'
import { childId } from './entry-id.ts'

/**
 * How many further names the files of a snapshot have, by the number of the first name's place. A node names the first of its names
 * and the first carries no mark, so only a walk of all trees tells.
 */
export class LinkCounts {
  readonly #further = new Map<bigint, number>()

  /** Directories that cannot be read are passed over: who looks into them is told. */
  static async load(rootId: bigint, tree: ChunkId, load: LoadChunk): Promise<LinkCounts> {
    const counts = new LinkCounts()
    const further = counts.#further
    for await (const entries of walkTree(tree, [], load, { onUnreadable: () => undefined })) {
      for (const { node } of entries) {
        if (node.hardLink === undefined) continue
        const first = placeId(rootId, node.hardLink)
        further.set(first, (further.get(first) ?? 0) + 1)
      }
    }
    return counts
  }

  /** The link count of a file whose first name is there. */
  of(firstId: bigint): number {
    return 1 + (this.#further.get(firstId) ?? 0)
  }
}

/** The number of the place at `path` in a snapshot whose root has the number `rootId`. */
export function placeId(rootId: bigint, path: string): bigint {
  return partsOfPath(path).reduce(childId, rootId)
}
