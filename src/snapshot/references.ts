import { type AbortOptions, throwIfAborted } from '../base/abort.ts'
import { CairnError } from '../base/errors.ts'
import { type ChunkId, toHex } from '../base/ids.ts'
import { type LoadChunk, everyInlineId, visitContent } from './content.ts'
import { nodeContents } from './node-chunks.ts'
import type { Snapshot } from './snapshot.ts'
import type { TreeNode } from './tree-node.ts'
import { readTreeChunk } from './tree-reader.ts'

/** Whoever wants to know what a snapshot refers to. Both functions are called for every reference: keep them fast. */
export interface ReferenceVisitor {
  /**
   * Asked before a chunk is opened that refers to others: a tree, a part of a large one, a list of content. With `false` the walk
   * passes over it and all below it. A chunk that was opened once need not be again, in this snapshot or any other: so the caller
   * keeps a set. `path` is where it lies, for progress and messages; raw-name text, empty at the top.
   */
  enter(id: ChunkId, path: string): boolean
  /**
   * A chunk that is referred to: the 32 bytes of `bytes` from `offset` on, valid during the call. Comes for every reference, also
   * to the chunks that `enter` is asked about, and before that. `name` is that of the node in `directory` which needs it, empty
   * where it is the directory itself.
   */
  chunk(bytes: Uint8Array, offset: number, directory: string, name: string): void
}

/**
 * Visits every chunk that a snapshot refers to: trees, content, lists of content, attachments of nodes and of the root, stamps,
 * samples and further names. Whoever marks or verifies what a snapshot needs goes by this, so that nothing is forgotten.
 *
 * @throws {CairnError} `DATA_CORRUPT`, what `load` throws for chunks that were entered, and what the visitor throws
 */
export async function visitReferences(
  snapshot: Pick<Snapshot, 'tree' | 'root' | 'stamps' | 'samples' | 'furtherNames'>,
  load: LoadChunk,
  visitor: ReferenceVisitor,
  options: AbortOptions = {},
): Promise<void> {
  const walk = new ReferenceWalk(load, visitor, options)
  await walk.tree(snapshot.tree, '')
  if (snapshot.root) await walk.root(snapshot.root)
  const { stamps, samples, furtherNames } = snapshot
  for (const content of [stamps, samples, furtherNames]) if (content) await walk.content(content, '', '')
}

class ReferenceWalk {
  readonly #load: LoadChunk
  readonly #visitor: ReferenceVisitor
  readonly #options: AbortOptions
  /** Whose references are being visited; fields, so that nothing is allocated for each node. */
  #directory = ''
  #name = ''

  constructor(load: LoadChunk, visitor: ReferenceVisitor, options: AbortOptions) {
    this.#load = load
    this.#visitor = visitor
    this.#options = options
  }

  async tree(id: ChunkId, path: string): Promise<void> {
    for (const part of await this.#treeChunk(id, path)) {
      const nested = await this.#treeChunk(part, path)
      if (nested[0]) {
        throw new CairnError('DATA_CORRUPT', `Cannot read tree ${toHex(part)}: want nodes, found a list in a list`)
      }
    }
  }

  /** Visits one chunk of a tree, and what its nodes refer to; returns the chunks that it lists instead, if it is a list. */
  async #treeChunk(id: ChunkId, path: string): Promise<readonly ChunkId[]> {
    this.#visitor.chunk(id, 0, path, '')
    if (!this.#visitor.enter(id, path)) return []
    throwIfAborted(this.#options.signal)
    const { nodes, parts } = await readTreeChunk(id, this.#load)
    for (const node of nodes) {
      // Hot path: most nodes can be done without waiting.
      if (node.tree || !this.#visitedAtOnce(node, path)) await this.node(node, path)
    }
    return parts.map((part) => part.id)
  }

  /** Visits what a node refers to, if no chunk has to be read for it; otherwise nothing. */
  #visitedAtOnce(node: TreeNode, directory: string): boolean {
    if (node.xattrs || node.holes) return false
    if (!node.content) return true
    this.#directory = directory
    this.#name = node.name
    return everyInlineId(node.content, directory, this.#visitInline) === true
  }

  readonly #visitInline = (bytes: Uint8Array, offset: number): boolean => {
    this.#visitor.chunk(bytes, offset, this.#directory, this.#name)
    return true
  }

  async node(node: TreeNode, directory: string): Promise<void> {
    for (const content of nodeContents(node, directory)) await this.content(content, directory, node.name)
    if (node.tree) await this.tree(node.tree, joinPath(directory, node.name))
  }

  /** The folder at the top, whose name means nothing. Its tree is the snapshot's; if not, that counts too. */
  async root(root: TreeNode): Promise<void> {
    for (const content of nodeContents(root, '')) await this.content(content, '', '')
    if (root.tree) await this.tree(root.tree, '')
  }

  async content(content: Uint8Array, directory: string, name: string): Promise<void> {
    const visitor = this.#visitor
    await visitContent(content, this.#load, joinPath(directory, name), {
      enter: (id) => visitor.enter(id, joinPath(directory, name)),
      visit: (bytes, offset) => visitor.chunk(bytes, offset, directory, name),
    })
  }
}

function joinPath(directory: string, name: string): string {
  return directory === '' ? name : name === '' ? directory : `${directory}/${name}`
}
