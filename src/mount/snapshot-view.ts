import { toPrintable, toRawName } from '../base/raw-name.ts'
import { groupId, userId } from '../platform/owners.ts'
import { contentOfAttachment, decodeHoles, readAttachment } from '../snapshot/attachment.ts'
import type { LoadChunk } from '../snapshot/content.ts'
import { type HoleTable, holeBytes, toHoleTable } from '../snapshot/hole-table.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import type { EntryStat, MadeStat } from './entry.ts'
import { NO_ID, childId } from './entry-id.ts'
import { LinkCounts, placeId } from './link-counts.ts'
import type { SegmentCache } from './segment-cache.ts'
import type { TreeCache } from './tree-cache.ts'

/** What entries are shown as. */
export interface ViewOptions {
  /** Whether to show a path of a snapshot; below one that is not shown, none is. */
  readonly shows: (path: string, isFolder: boolean) => boolean
  /** So many leading names of each path are left away, and entries that have no more. */
  readonly stripComponents: number
  /** Owners by number, even where the snapshot has names that this system knows. */
  readonly numericIds: boolean
  /** In place of those that are stored. */
  readonly uid: number | undefined
  readonly gid: number | undefined
  /** Bits to take away from permissions. */
  readonly umask: number
}

/** What all snapshots that are mounted share. */
export interface MountContext {
  readonly load: LoadChunk
  readonly trees: TreeCache
  readonly segments: SegmentCache
  readonly view: ViewOptions
  /** Is told of what cannot be read, and where. */
  readonly onIssue: (path: string, error: unknown) => void
  /** What folders look like that the mount itself makes. */
  readonly made: MadeStat
}

/** More holes than any file needs; what claims more would only use memory. */
const MAX_HOLES_BYTES = 8 << 20

/** One snapshot, as it is shown. */
export class SnapshotView {
  readonly context: MountContext
  readonly snapshot: Snapshot
  /** Number of its root. */
  readonly rootId: bigint
  /** What folders look like of which nothing is known but their names. */
  readonly made: MadeStat
  #links: Promise<LinkCounts> | undefined
  #loadedLinks: LinkCounts | undefined

  constructor(context: MountContext, snapshot: Snapshot) {
    this.context = context
    this.snapshot = snapshot
    this.rootId = childId(NO_ID, snapshot.id)
    const { uid, gid } = context.made
    this.made = { uid, gid, mtimeNs: BigInt(Date.parse(snapshot.startedAt) || 0) * 1_000_000n }
  }

  /** A path of the snapshot, for messages. */
  describe(path: string): string {
    return path === '' ? this.snapshot.name : `${this.snapshot.name}/${path}`
  }

  issue(path: string, error: unknown): void {
    this.context.onIssue(this.describe(path), error)
  }

  /** @param id number of the node's place */
  async stat(id: bigint, node: TreeNode, path: string): Promise<EntryStat> {
    if (node.type !== 'dir') await this.#loadLinks()
    let holes: HoleTable | undefined
    try {
      holes = await this.holesOf(node, path)
    } catch (error) {
      this.issue(path, error) // who reads the file is told
    }
    return this.#toStat(id, node, holes)
  }

  /** The same without waiting, if that can be. */
  statNow(id: bigint, node: TreeNode, path: string): EntryStat | undefined {
    if (node.type !== 'dir' && !this.#loadedLinks) {
      this.#loadLinks().catch(() => undefined) // `stat` reports it
      return undefined
    }
    if (!node.holes) return this.#toStat(id, node, undefined)
    const what = `the holes of ${toPrintable(path)}`
    try {
      if (contentOfAttachment(node.holes, what)) return undefined
      return this.#toStat(id, node, toHoleTable(decodeHoles(node.holes.subarray(1), node.sizeBytes, what)))
    } catch {
      return undefined // `stat` reports it
    }
  }

  /** The inode of a node, which all its names have. */
  inodeOf(id: bigint, { hardLink }: TreeNode): bigint {
    return hardLink === undefined ? id : placeId(this.rootId, hardLink)
  }

  /** @throws {CairnError} `DATA_CORRUPT` */
  async holesOf(node: TreeNode, path: string): Promise<HoleTable | undefined> {
    if (!node.holes) return undefined
    const what = `the holes of ${toPrintable(path)}`
    const holes = await readAttachment(node.holes, this.context.load, what, MAX_HOLES_BYTES)
    return toHoleTable(decodeHoles(holes, node.sizeBytes, what))
  }

  #loadLinks(): Promise<LinkCounts> {
    if (this.#links) return this.#links
    const onIssue = (error: unknown): void => this.issue('', error)
    const loading = LinkCounts.load(this.rootId, this.snapshot, { load: this.context.load, onIssue })
    loading.then(
      (counts) => (this.#loadedLinks = counts),
      () => (this.#links = undefined), // the next one tries again
    )
    return (this.#links = loading)
  }

  #toStat(id: bigint, node: TreeNode, holes: HoleTable | undefined): EntryStat {
    const { view } = this.context
    const inode = this.inodeOf(id, node)
    const { type, linkTarget = '', mtimeNs, atimeNs = mtimeNs, device } = node
    const sizeBytes = type === 'symlink' ? toRawName(linkTarget).length : node.sizeBytes
    const common = {
      inode,
      type,
      linkCount: type === 'dir' ? 1 : (this.#loadedLinks?.of(inode) ?? 1),
      sizeBytes,
      dataBytes: sizeBytes - holeBytes(holes),
      device,
    }
    // Nothing is known of a folder that is there only because something below it was saved.
    if (node.ancestor) return { ...common, ...this.made, atimeNs: this.made.mtimeNs, mode: 0o755 & ~view.umask }
    return { ...common, ...this.#ownersOf(node), mode: node.mode & 0o7777 & ~view.umask, mtimeNs, atimeNs }
  }

  #ownersOf({ user, group, uid, gid }: TreeNode): { uid: number; gid: number } {
    const { view } = this.context
    const named = !view.numericIds
    return {
      uid: view.uid ?? (named && user !== '' ? userId(user) : undefined) ?? uid,
      gid: view.gid ?? (named && group !== '' ? groupId(group) : undefined) ?? gid,
    }
  }
}
