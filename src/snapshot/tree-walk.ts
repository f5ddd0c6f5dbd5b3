import { CairnError } from '../base/errors.ts'
import type { ChunkId } from '../base/ids.ts'
import { partsOfPath, toPrintable } from '../base/raw-name.ts'
import type { LoadChunk } from './content.ts'
import type { TreeNode } from './tree-node.ts'
import { findNode, readTree } from './tree-reader.ts'

/** A node met on a walk. */
export interface TreeEntry {
  /** Path inside the snapshot, without leading `/`; raw-name text. */
  readonly path: string
  readonly node: TreeNode
  /** It is wanted itself; `false` for a directory that is only looked into, since something in it may be wanted. */
  readonly included: boolean
  /** Of a directory: everything in it is wanted, but for what `select` leaves out. */
  readonly whole: boolean
  /** Keeps the walk from entering this directory; to be called before the next array of entries is asked for. */
  skip(): void
}

/** What becomes of a path; `recurse` says whether something below it may be wanted, if it is a directory. */
export interface Selected {
  readonly included: boolean
  readonly recurse: boolean
}

export interface WalkOptions {
  /** Leaves paths out; asked for each that `paths` want, but not below what it leaves out without recursion. */
  readonly select?: ((path: string) => Selected) | undefined
  /**
   * Called when a directory below the root, already yielded, cannot be read (to its end); the walk goes on behind it. Without
   * it, and when this function throws, the walk ends with the error.
   */
  readonly onUnreadable?: ((path: string, error: unknown) => void) | undefined
}

/**
 * Walks a tree: each directory before what lies in it, names in order. With `paths`, only what lies at or below them, and the
 * directories on the way there. Yields arrays of entries, each of one directory.
 *
 * @throws {CairnError} `NOT_FOUND` when one of `paths` is not in the tree, before anything is yielded
 */
export async function* walkTree(
  tree: ChunkId,
  paths: readonly string[],
  load: LoadChunk,
  options: WalkOptions = {},
): AsyncGenerator<TreeEntry[]> {
  const wanted = new Wanted()
  if (paths.length === 0) wanted.add([])
  for (const path of paths) {
    const parts = partsOfPath(path)
    await requireNode(tree, parts, load, path)
    wanted.add(parts)
  }
  yield* walkDirectory(tree, '', wanted, load, options)
}

async function* walkDirectory(
  tree: ChunkId,
  path: string,
  wanted: Wanted,
  load: LoadChunk,
  options: WalkOptions,
): AsyncGenerator<TreeEntry[]> {
  for await (const nodes of readableNodes(tree, path, load, options)) {
    let batch: TreeEntry[] = []
    for (const node of nodes) {
      const below = wanted.below(node.name)
      if (!below) continue
      const entryPath = path === '' ? node.name : `${path}/${node.name}`
      const { included, recurse } = options.select?.(entryPath) ?? ALL
      if (!included && !(recurse && node.tree)) continue
      let skipped = !recurse
      const skip = (): void => void (skipped = true)
      const entry = { path: entryPath, node, included, whole: below.whole, skip }
      batch.push(entry)
      if (!node.tree) continue
      // Entries go out before the walk goes down, so that directories come before what lies in them.
      yield batch
      batch = []
      if (!skipped) yield* walkDirectory(node.tree, entry.path, below, load, options)
    }
    if (batch.length > 0) yield batch
  }
}

const ALL: Selected = { included: true, recurse: true }

async function* readableNodes(
  tree: ChunkId,
  path: string,
  load: LoadChunk,
  { onUnreadable }: WalkOptions,
): AsyncGenerator<TreeNode[]> {
  try {
    yield* readTree(tree, load)
  } catch (error) {
    if (!onUnreadable || path === '') throw error
    onUnreadable(path, error)
  }
}

async function requireNode(tree: ChunkId, parts: readonly string[], load: LoadChunk, path: string): Promise<void> {
  let at: ChunkId | undefined = tree
  for (const part of parts) {
    const node: TreeNode | undefined = at && (await findNode(at, part, load))
    if (!node)
      throw new CairnError(
        'NOT_FOUND',
        `Cannot find '${toPrintable(path)}': it is not in the snapshot; 'cairn list' shows what is`,
      )
    at = node.tree
  }
}

/** Which part of a tree is wanted: everything from here on, or what lies at or below some paths. */
class Wanted {
  readonly #children = new Map<string, Wanted>()
  /** Somebody asked for all of it; narrower wishes add nothing. */
  whole = false

  add(parts: readonly string[]): void {
    const [first, ...rest] = parts
    if (first === undefined) this.whole = true
    else {
      const child = this.#children.get(first) ?? new Wanted()
      this.#children.set(first, child)
      child.add(rest)
    }
  }

  below(name: string): Wanted | undefined {
    return this.whole ? this : this.#children.get(name)
  }
}
