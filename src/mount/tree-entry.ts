import { CairnError } from '../base/errors.ts'
import type { ChunkId } from '../base/ids.ts'
import { toPrintable, toRawName } from '../base/raw-name.ts'
import { type NodeXattr, decodeXattrs, readAttachment } from '../snapshot/attachment.ts'
import type { NodeType, TreeNode } from '../snapshot/tree-node.ts'
import type { Entry, EntryStat, FileEntry, Folder, Listed, Listing, SymlinkEntry } from './entry.ts'
import { childId } from './entry-id.ts'
import { FileContent } from './file-content.ts'
import type { SnapshotView } from './snapshot-view.ts'
import type { PositionedNode } from './tree-cache.ts'

/** Longer names no file system has, and the kernel refuses a whole listing for the sake of one. */
const MAX_NAME_BYTES = 1024

/**
 * An entry of a snapshot. It keeps its place and not its node, which is read again when it is needed: the kernel remembers millions of
 * entries, and so does this side then.
 */
abstract class TreeEntry implements Entry {
  readonly id: bigint
  abstract readonly type: NodeType
  readonly isLasting = true
  protected readonly view: SnapshotView
  protected readonly name: string
  protected readonly parent: TreeFolder | undefined

  constructor(view: SnapshotView, parent: TreeFolder | undefined, name: string) {
    this.view = view
    this.parent = parent
    this.name = name
    this.id = parent ? childId(parent.id, name) : view.rootId
  }

  /** Inside the snapshot. */
  get path(): string {
    const above = this.parent?.path ?? ''
    return above === '' ? this.name : `${above}/${this.name}`
  }

  async stat(): Promise<EntryStat> {
    return this.attempt(async (node) => this.view.stat(this.id, node, this.path))
  }

  async readXattrs(): Promise<readonly NodeXattr[]> {
    return this.attempt(async ({ xattrs }) => {
      if (!xattrs) return []
      const what = `the attributes of ${toPrintable(this.path)}`
      return decodeXattrs(await readAttachment(xattrs, this.view.context.load, what), what)
    })
  }

  async readFlags(): Promise<number> {
    return this.attempt(async ({ flags = 0 }) => flags)
  }

  /** Does something with the node; what fails is reported. */
  protected async attempt<T>(action: (node: TreeNode) => Promise<T>): Promise<T> {
    try {
      return await action(await this.node())
    } catch (error) {
      this.view.issue(this.path, error)
      throw error
    }
  }

  protected async node(): Promise<TreeNode> {
    const node = await this.parent?.nodeOf(this.name)
    if (!node) throw new CairnError('DATA_CORRUPT', 'its folder does not list it')
    return node
  }
}

class OtherEntry extends TreeEntry {
  readonly type: NodeType

  constructor(view: SnapshotView, parent: TreeFolder, { name, type }: TreeNode) {
    super(view, parent, name)
    this.type = type
  }
}

class TreeSymlink extends TreeEntry implements SymlinkEntry {
  readonly type = 'symlink'

  async readTarget(): Promise<string> {
    return this.attempt(async ({ linkTarget = '' }) => linkTarget)
  }
}

class TreeFile extends TreeEntry implements FileEntry {
  readonly type = 'file'

  async open(): Promise<FileContent> {
    return this.attempt(async (node) => {
      const holes = await this.view.holesOf(node, this.path)
      const { load, segments } = this.view.context
      const onIssue = (error: unknown): void => this.view.issue(this.path, error)
      return new FileContent({ node, holes, path: this.path, load, segments, onIssue })
    })
  }
}

export class TreeFolder extends TreeEntry implements Folder {
  readonly type = 'dir'
  readonly #tree: ChunkId
  /** Of the root of a snapshot, which no folder lists. */
  readonly #root: TreeNode | undefined

  private constructor(view: SnapshotView, parent: TreeFolder | undefined, node: TreeNode, tree: ChunkId) {
    super(view, parent, parent ? node.name : '')
    this.#tree = tree
    this.#root = parent ? undefined : node
  }

  static root(view: SnapshotView): TreeFolder {
    const { root = UNKNOWN_ROOT, tree } = view.snapshot
    return new TreeFolder(view, undefined, root, tree)
  }

  static child(view: SnapshotView, parent: TreeFolder, node: TreeNode): TreeFolder {
    if (!node.tree) throw new CairnError('DATA_CORRUPT', 'a folder has no tree')
    // Copied: the node is a view of a chunk that need not stay.
    return new TreeFolder(view, parent, node, Buffer.from(node.tree) as Uint8Array as ChunkId)
  }

  async find(name: string): Promise<Entry | undefined> {
    return this.#watched(async () => {
      const node = await this.nodeOf(name)
      return node && this.#shows(node) ? this.#toEntry(node) : undefined
    })
  }

  async open(): Promise<Listing> {
    return { from: (position) => this.#watched(() => this.#list(position)) }
  }

  async nodeOf(name: string): Promise<TreeNode | undefined> {
    return this.view.context.trees.find(this.#tree, name)
  }

  protected override async node(): Promise<TreeNode> {
    return this.#root ?? super.node()
  }

  async #list(from: number): Promise<Iterable<Listed>> {
    for (let position = from; ;) {
      const found = await this.view.context.trees.nodes(this.#tree, position)
      if (!found) return []
      const listed = this.#toListed(found.nodes)
      const first = listed.next()
      if (!first.done) return chain(first.value, listed)
      // None at all would mean the end, and here only that none of these is shown.
      position = found.next
    }
  }

  *#toListed(nodes: Iterable<PositionedNode>): Generator<Listed, undefined> {
    for (const { node, next } of nodes) {
      if (!this.#shows(node)) continue
      const entry = this.#toEntry(node)
      const inode = this.view.inodeOf(entry.id, node)
      const statNow = (): EntryStat | undefined => this.view.statNow(entry.id, node, `${this.path}/${node.name}`)
      yield { name: node.name, entry, inode, next, statNow }
    }
  }

  #toEntry(node: TreeNode): Entry {
    if (node.type === 'dir') return TreeFolder.child(this.view, this, node)
    if (node.type === 'file') return new TreeFile(this.view, this, node.name)
    if (node.type === 'symlink') return new TreeSymlink(this.view, this, node.name)
    return new OtherEntry(this.view, this, node)
  }

  #shows({ name, type }: TreeNode): boolean {
    const above = this.path
    return this.view.context.view.shows(above === '' ? name : `${above}/${name}`, type === 'dir') && this.#fits(name)
  }

  #fits(name: string): boolean {
    if (name.length <= MAX_NAME_BYTES / 4 || toRawName(name).length <= MAX_NAME_BYTES) return true
    this.view.issue(this.path, new CairnError('DATA_CORRUPT', `a name in it has more than ${MAX_NAME_BYTES} bytes`))
    return false
  }

  async #watched<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (error) {
      this.view.issue(this.path, error)
      throw error
    }
  }
}

function* chain<T>(first: T, rest: Iterable<T>): Generator<T> {
  yield first
  yield* rest
}

/** Of a snapshot of several paths: nothing is known of the folder at its top. */
const UNKNOWN_ROOT: TreeNode = {
  name: '',
  type: 'dir',
  mode: 0o755,
  uid: 0,
  gid: 0,
  user: '',
  group: '',
  sizeBytes: 0,
  mtimeNs: 0n,
  ancestor: true,
}
