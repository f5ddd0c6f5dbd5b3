import { partsOfPath } from '../base/raw-name.ts'
import { type AbortOptions, throwIfAborted } from '../base/abort.ts'
import type { ChunkId } from '../base/ids.ts'
import { type LoadChunk, type SaveChunk, visitContent } from './content.ts'
import { FurtherNamesWriter } from './further-names.ts'
import { SampleReader, SampleWriter } from './samples.ts'
import type { Snapshot } from './snapshot.ts'
import { NO_STAMP, StampReader, StampWriter } from './stamps.ts'
import type { TreeNode } from './tree-node.ts'
import { readTree } from './tree-reader.ts'
import type { Selected } from './tree-walk.ts'
import { TreeWriter } from './tree-writer.ts'

export interface RewriteOptions extends AbortOptions {
  /** What becomes of a path; not asked for what lies below a path that is left out without recursion. */
  readonly select: (path: string) => Selected
  readonly load: LoadChunk
  readonly save: SaveChunk
  /** Awaited now and then, so that a slow store slows the rewriting down. */
  readonly ready?: (() => Promise<void> | undefined) | undefined
  /** Returns what becomes of a node that stays; without it, and with the same node, that stays as it is. Its tree is none of its business. */
  readonly mend?: ((path: string, node: TreeNode) => TreeNode) | undefined
  /** Is told of each path that is left out, but not of what lies below one that is not looked into. */
  readonly onLeftOut?: ((path: string, node: TreeNode) => void) | undefined
}

/** What is left of a snapshot. */
export interface Rewritten extends Pick<Snapshot, 'tree' | 'stamps' | 'samples' | 'furtherNames'> {
  /** Entries that were left out; those below a directory that was left out as a whole do not count. */
  readonly leftOut: number
  readonly files: number
  readonly directories: number
  readonly otherEntries: number
  /** Of files; one with several names counts once. */
  readonly originalBytes: number
  /** Of content, and one for each directory. */
  readonly chunks: number
}

/**
 * Makes the trees of a snapshot anew without some of its paths. A directory in which nothing is left out keeps its tree, and one
 * that is left out stays where something in it does not. Stamps and samples stay with their files.
 *
 * @throws {CairnError} `DATA_CORRUPT`, and what `load` throws
 */
export async function rewriteTree(
  snapshot: Pick<Snapshot, 'tree' | 'stamps' | 'samples'>,
  options: RewriteOptions,
): Promise<Rewritten> {
  const rewriting = new TreeRewriting(snapshot, options)
  const { tree } = await rewriting.directory(snapshot.tree, '')
  return { tree, ...rewriting.finish() }
}

/** A directory after the rewriting. */
interface RewrittenDirectory {
  readonly tree: ChunkId
  readonly leaves: number
  readonly entries: number
}

class TreeRewriting {
  readonly #options: RewriteOptions
  readonly #columns: LeafColumns
  readonly #furtherNames: FurtherNamesWriter
  /** Where the first name of a file is now, by where it was, if that is left out. */
  readonly #firstNames = new Map<string, string>()
  readonly #counts = { leftOut: 0, files: 0, directories: 0, otherEntries: 0, originalBytes: 0, chunks: 0 }

  constructor(snapshot: Pick<Snapshot, 'stamps' | 'samples'>, options: RewriteOptions) {
    this.#options = options
    this.#columns = new LeafColumns(snapshot, options.load, options.save)
    this.#furtherNames = new FurtherNamesWriter(options.save)
  }

  finish(): Omit<Rewritten, 'tree'> {
    return { ...this.#counts, ...this.#columns.finish(), furtherNames: this.#furtherNames.finish() }
  }

  async directory(tree: ChunkId, path: string): Promise<RewrittenDirectory> {
    const { load, save, ready, signal } = this.#options
    throwIfAborted(signal)
    // Only what is different is remembered, so that a large directory costs little memory; it is read again where needed.
    const changed = new Map<string, TreeNode | 'left out'>()
    let leaves = 0
    let entries = 0
    for await (const nodes of readTree(tree, load)) {
      for (const node of nodes) {
        const kept = await this.#node(node, path === '' ? node.name : `${path}/${node.name}`)
        if (kept !== node) changed.set(node.name, kept ?? 'left out')
        if (!kept) continue
        entries++
        leaves += kept.tree ? (kept.leaves ?? 0) : 1
      }
      await ready?.()
    }
    if (changed.size === 0) return { tree, leaves, entries }
    const writer = new TreeWriter(save)
    for await (const nodes of readTree(tree, load)) {
      for (const node of nodes) {
        const kept = changed.get(node.name) ?? node
        if (kept !== 'left out') writer.add(kept)
      }
      await ready?.()
    }
    return { tree: writer.finish(), leaves, entries }
  }

  /** The node as it is to be, the same one if nothing changes; `undefined` when it is left out. */
  async #node(node: TreeNode, path: string): Promise<TreeNode | undefined> {
    const { included, recurse } = this.#options.select(path)
    if (node.tree) {
      const kept = await this.#directoryNode(node, node.tree, path, { included, recurse })
      return kept && this.#mended(kept, path)
    }
    if (!included) {
      this.#columns.skip(1)
      this.#leaveOut(path, node)
      return undefined
    }
    await this.#columns.keep()
    await this.#count(node)
    const kept = this.#withFirstName(this.#mended(node, path), path)
    if (kept.hardLink !== undefined) this.#furtherNames.add(kept.hardLink)
    return kept
  }

  #mended(node: TreeNode, path: string): TreeNode {
    return this.#options.mend?.(path, node) ?? node
  }

  async #directoryNode(
    node: TreeNode,
    tree: ChunkId,
    path: string,
    { included, recurse }: Selected,
  ): Promise<TreeNode | undefined> {
    const leftOut = this.#counts.leftOut
    let kept: TreeNode | undefined
    if (recurse) {
      const below = await this.directory(tree, path)
      // One of which only the name is known is there for what lies in it.
      if ((included && !node.ancestor) || below.entries > 0) kept = sameDirectory(node, below)
    } else this.#columns.skip(node.leaves ?? 0)
    if (!kept) {
      this.#counts.leftOut = leftOut
      this.#leaveOut(path, node)
      return undefined
    }
    if (!node.ancestor) this.#counts.directories++
    this.#counts.chunks++
    return kept
  }

  #leaveOut(path: string, node: TreeNode): void {
    this.#counts.leftOut++
    this.#options.onLeftOut?.(path, node)
  }

  /** Where the first name of a file is left out, the next one becomes the first. */
  #withFirstName(node: TreeNode, path: string): TreeNode {
    if (node.hardLink === undefined) return node
    const first = partsOfPath(node.hardLink).join('/')
    if (this.#isKept(first)) return node
    const { hardLink: _, ...alone } = node
    const now = this.#firstNames.get(first)
    if (now !== undefined) return { ...alone, hardLink: now }
    this.#firstNames.set(first, path)
    this.#counts.originalBytes += node.sizeBytes
    return alone
  }

  #isKept(path: string): boolean {
    for (let end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1))
      if (!this.#options.select(path.slice(0, end)).recurse) return false
    return this.#options.select(path).included
  }

  async #count(node: TreeNode): Promise<void> {
    const counts = this.#counts
    if (node.type !== 'file') {
      counts.otherEntries++
      return
    }
    counts.files++
    if (node.hardLink === undefined) counts.originalBytes += node.sizeBytes
    if (!node.content) return
    await visitContent(node.content, this.#options.load, node.name, {
      enter: () => true,
      visit: () => void counts.chunks++,
    })
  }
}

function sameDirectory(node: TreeNode, { tree, leaves }: RewrittenDirectory): TreeNode {
  if (node.tree && Buffer.compare(node.tree, tree) === 0) return node
  const { leaves: _, ...rest } = node
  return { ...rest, tree, ...(leaves > 0 && { leaves }) }
}

/** Carries stamps and samples over, leaf by leaf. */
class LeafColumns {
  readonly #stamps: StampReader | undefined
  readonly #samples: SampleReader | undefined
  readonly #newStamps: StampWriter
  readonly #newSamples: SampleWriter
  #position = 0

  constructor({ stamps, samples }: Pick<Snapshot, 'stamps' | 'samples'>, load: LoadChunk, save: SaveChunk) {
    this.#stamps = stamps && new StampReader(stamps, load)
    this.#samples = samples && new SampleReader(samples, load)
    this.#newStamps = new StampWriter(save)
    this.#newSamples = new SampleWriter(save)
  }

  skip(leaves: number): void {
    this.#position += leaves
  }

  async keep(): Promise<void> {
    const position = this.#position++
    if (this.#stamps) {
      let stamp = this.#stamps.at(position)
      if (!stamp) {
        await this.#stamps.seek(position)
        stamp = this.#stamps.at(position)
      }
      this.#newStamps.add(stamp ?? NO_STAMP)
    }
    if (this.#samples) this.#newSamples.add(await this.#samples.find(position))
  }

  finish(): Pick<Rewritten, 'stamps' | 'samples'> {
    return {
      stamps: this.#stamps && this.#newStamps.finish(),
      samples: this.#samples && this.#newSamples.finish(),
    }
  }
}
