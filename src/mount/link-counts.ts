import { isCairnError } from '../base/errors.ts'
import type { ChunkId } from '../base/ids.ts'
import { partsOfPath } from '../base/raw-name.ts'
import type { LoadChunk } from '../snapshot/content.ts'
import { readFurtherNames } from '../snapshot/further-names.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { walkTree } from '../snapshot/tree-walk.ts'
import { childId } from './entry-id.ts'

export interface LinkCountOptions {
  readonly load: LoadChunk
  /** Is told when the names that were collected cannot be read. */
  readonly onIssue: (error: unknown) => void
}

/** How many further names the files of a snapshot have, by the number of the first name's place. A first name carries no mark. */
export class LinkCounts {
  readonly #further = new Map<bigint, number>()

  /** Takes a moment, but for a snapshot of which nobody has collected them: then all of its trees are walked. */
  static async load(
    rootId: bigint,
    { tree, furtherNames }: Pick<Snapshot, 'tree' | 'furtherNames'>,
    { load, onIssue }: LinkCountOptions,
  ): Promise<LinkCounts> {
    try {
      if (furtherNames) return await LinkCounts.#count(rootId, readFurtherNames(furtherNames, load))
    } catch (error) {
      if (!isCairnError(error, 'DATA_CORRUPT')) throw error
      onIssue(error)
    }
    return LinkCounts.#count(rootId, walkFurtherNames(tree, load))
  }

  static async #count(rootId: bigint, names: AsyncIterable<readonly string[]>): Promise<LinkCounts> {
    const counts = new LinkCounts()
    const further = counts.#further
    for await (const some of names) {
      for (const name of some) {
        const first = placeId(rootId, name)
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

/** Directories that cannot be read are passed over: who looks into them is told. */
async function* walkFurtherNames(tree: ChunkId, load: LoadChunk): AsyncGenerator<string[]> {
  for await (const entries of walkTree(tree, [], load, { onUnreadable: () => undefined }))
    yield entries.flatMap(({ node }) => node.hardLink ?? [])
}

/** The number of the place at `path` in a snapshot whose root has the number `rootId`. */
export function placeId(rootId: bigint, path: string): bigint {
  return partsOfPath(path).reduce(childId, rootId)
}
