import { type AbortOptions, throwIfAborted } from '../../base/abort.ts'
import { isCairnError } from '../../base/errors.ts'
import { type ChunkId, toHex } from '../../base/ids.ts'
import type { Repository } from '../../repository/repository.ts'
import { contentOfAttachment } from '../../snapshot/attachment.ts'
import { contentIds, everyInlineId } from '../../snapshot/content.ts'
import type { Snapshot } from '../../snapshot/snapshot.ts'
import type { TreeNode } from '../../snapshot/tree-node.ts'
import { readTree } from '../../snapshot/tree-reader.ts'

/** What cannot be read of a node: what is in the file, a directory with all below it, or only its attributes. */
export type LossKind = 'file' | 'directory' | 'attributes'

/** What of a snapshot cannot be read. */
export interface Losses {
  /** By path; raw-name text. */
  readonly paths: ReadonlyMap<string, LossKind>
  /** Not even the list of what is at the top: nothing is left. */
  readonly all: boolean
  /** The attributes of the folder at the top. */
  readonly rootAttributes: boolean
  /** Stamps or samples: the next backup cannot compare with this snapshot, and reads everything. */
  readonly stamps: boolean
  readonly samples: boolean
  /** Which files have several names is to be collected anew. */
  readonly furtherNames: boolean
}

/** What is lost directly in a directory, and in which of its directories more is. */
interface TreeLoss {
  readonly names: readonly (readonly [string, LossKind])[]
  readonly below: readonly (readonly [string, ChunkId])[]
}

/**
 * Finds out what of snapshots cannot be read, by the index that the repository has loaded: chunks that no pack holds, and those
 * that lie in condemned packs only and cannot be read there. Trees that several snapshots share are looked at once.
 */
export class LossFinder {
  readonly #repository: Repository
  readonly #options: AbortOptions
  /** Trees looked at; those of which something is lost, with what; `unreadable` when they cannot be read themselves. */
  readonly #trees = new Map<string, TreeLoss | 'sound' | 'unreadable'>()
  /** Chunks of condemned packs, whether they can be read. */
  readonly #condemned = new Map<string, boolean>()

  constructor(repository: Repository, options: AbortOptions) {
    this.#repository = repository
    this.#options = options
  }

  /** What of a snapshot is lost; `undefined` when nothing is. */
  async find({ tree, root, ...beside }: Snapshot): Promise<Losses | undefined> {
    const paths = new Map<string, LossKind>()
    const all = (await this.#tree(tree)) === 'unreadable'
    this.#collect(tree, '', paths)
    const losses = {
      paths,
      all,
      rootAttributes: (root && (await this.#nodeLoss(root))) !== undefined,
      stamps: await this.#isLost(beside.stamps),
      samples: await this.#isLost(beside.samples),
      furtherNames: await this.#isLost(beside.furtherNames),
    }
    const { paths: _, ...others } = losses
    return paths.size > 0 || Object.values(others).includes(true) ? losses : undefined
  }

  async #isLost(content: Uint8Array | undefined): Promise<boolean> {
    return content !== undefined && !(await this.#isContentThere(content))
  }

  #collect(tree: ChunkId, path: string, paths: Map<string, LossKind>): void {
    const loss = this.#trees.get(toHex(tree))
    if (loss === undefined || typeof loss === 'string') return
    for (const [name, kind] of loss.names) paths.set(joinPath(path, name), kind)
    for (const [name, below] of loss.below) this.#collect(below, joinPath(path, name), paths)
  }

  async #tree(tree: ChunkId): Promise<TreeLoss | 'sound' | 'unreadable'> {
    const hex = toHex(tree)
    const known = this.#trees.get(hex)
    if (known !== undefined) return known
    throwIfAborted(this.#options.signal)
    const found = await this.#readTree(tree)
    this.#trees.set(hex, found)
    return found
  }

  async #readTree(tree: ChunkId): Promise<TreeLoss | 'sound' | 'unreadable'> {
    const names: [string, LossKind][] = []
    const below: [string, ChunkId][] = []
    try {
      for await (const nodes of readTree(tree, this.#load)) {
        for (const node of nodes) {
          const loss = await this.#nodeLoss(node)
          const inside = node.tree && (await this.#tree(node.tree))
          if (inside === 'unreadable') names.push([node.name, 'directory'])
          else if (loss !== undefined) names.push([node.name, loss])
          if (node.tree && typeof inside === 'object') below.push([node.name, node.tree])
        }
      }
    } catch (error) {
      if (!isLoss(error)) throw error
      return 'unreadable'
    }
    return names.length + below.length === 0 ? 'sound' : { names, below }
  }

  /** What of a node is lost besides the tree of a directory. */
  async #nodeLoss({ content, holes, xattrs, name }: TreeNode): Promise<LossKind | undefined> {
    if (content && !(await this.#isContentThere(content))) return 'file'
    // Without its holes, nobody knows where the data of a file belong.
    if (holes && !(await this.#isAttachmentThere(holes, name))) return 'file'
    if (xattrs && !(await this.#isAttachmentThere(xattrs, name))) return 'attributes'
    return undefined
  }

  async #isAttachmentThere(attachment: Uint8Array, name: string): Promise<boolean> {
    const content = contentOfAttachment(attachment, name)
    return content === undefined || (await this.#isContentThere(content))
  }

  async #isContentThere(content: Uint8Array): Promise<boolean> {
    const { table } = this.#repository
    // Hot path: most content is in the table, and not in lists.
    if (everyInlineId(content, WHAT, (bytes, offset) => table.has(bytes, offset)) === true) return true
    try {
      for await (const id of contentIds(content, this.#load, WHAT)) if (!(await this.#isThere(id))) return false
      return true
    } catch (error) {
      if (!isLoss(error)) throw error
      return false
    }
  }

  readonly #load = (id: Uint8Array): Promise<Uint8Array> => this.#repository.readChunk(id, this.#options)

  async #isThere(id: ChunkId): Promise<boolean> {
    const { index } = this.#repository
    if (index.table.has(id)) return true
    if (!index.condemned?.table.has(id)) return false
    const hex = toHex(id)
    const known = this.#condemned.get(hex)
    if (known !== undefined) return known
    const isReadable = await this.#load(id).then(
      () => true,
      (error: unknown) => {
        if (!isLoss(error)) throw error
        return false
      },
    )
    this.#condemned.set(hex, isReadable)
    return isReadable
  }
}

const WHAT = 'the content'

function isLoss(error: unknown): boolean {
  return isCairnError(error, 'DATA_CORRUPT') || isCairnError(error, 'NOT_FOUND')
}

function joinPath(parent: string, name: string): string {
  return parent === '' ? name : `${parent}/${name}`
}
