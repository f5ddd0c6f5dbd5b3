import { toHex } from '../base/ids.ts'
import { FILE_FLAGS } from '../platform/file-flags.ts'
import type { LoadedIndex } from '../repository/repository.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'

/** What one run saved and what it cost. */
export interface CreateStats {
  readonly filesNew: number
  readonly filesChanged: number
  readonly filesUnmodified: number
  readonly directories: number
  readonly otherEntries: number
  /** Bytes of all files in the snapshot. */
  readonly originalBytes: number
  /** What these bytes would take compressed but not deduplicated; estimated by the ratio of the repository's packs. */
  readonly compressedBytes: number
  /** What this run added to the repository. */
  readonly deduplicatedBytes: number
  /** New content before compression. */
  readonly addedBytes: number
  readonly chunksTotal: number
  readonly chunksNew: number
  readonly treeChunksNew: number
}

/** Sums over a whole repository. */
export interface RepositoryTotals {
  readonly originalBytes: number
  readonly compressedBytes: number
  readonly deduplicatedBytes: number
  readonly chunksUnique: number
  readonly chunksTotal: number
  /** What the unique chunks take before compression. */
  readonly uniqueBytes: number
}

/** A snapshot in the words of user interfaces. */
export interface SnapshotInfo {
  /** 32 hex digits. */
  readonly id: string
  readonly name: string
  /** UTC, ISO 8601. */
  readonly startedAt: string
  readonly endedAt: string
  readonly hostname: string
  readonly username: string
  /** What was backed up, made absolute; raw-name text. */
  readonly paths: readonly string[]
  readonly comment: string
  readonly tags: readonly string[]
  /** Some source data could not be read. */
  readonly incomplete: boolean
  /** Committed by a run on its way: it ends where that run was. */
  readonly checkpoint: boolean
  /** No policy deletes it. */
  readonly pinned: boolean
  /** The id of the snapshot it was made from: a deleted one that came back, or one of which something was left out. */
  readonly madeFrom: string | undefined
  readonly programVersion: string
  /** Hex id of the root tree. */
  readonly tree: string
  readonly stats: CreateStats
  readonly commandLine: readonly string[]
}

/** An entry of a snapshot in the words of user interfaces. */
export interface EntryInfo {
  /** Path inside the snapshot, without leading `/`; raw-name text. */
  readonly path: string
  readonly type: TreeNode['type']
  /** Permission bits. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly user: string
  readonly group: string
  readonly sizeBytes: number
  /** ns since 1970. */
  readonly mtimeNs: bigint
  /** Of symlinks; raw-name text. */
  readonly linkTarget: string | undefined
  /** Of another name of a file that came before: the path of its first name; raw-name text. */
  readonly hardLink: string | undefined
  /** Of devices. */
  readonly device: { readonly major: number; readonly minor: number } | undefined
  /** Words for what chattr(1) sets: `nodump`, `immutable`, `append`. */
  readonly flags: readonly string[]
  /** It has extended attributes or ACLs. */
  readonly hasXattrs: boolean
  /** ns since 1970; only where it was stored. */
  readonly atimeNs: bigint | undefined
  /** The file changed while it was read: its content may be of different moments. */
  readonly changed: boolean
}

export function toSnapshotInfo(snapshot: Snapshot, index: Pick<LoadedIndex, 'packs'>): SnapshotInfo {
  const { stats, tree, issues, parent: _parent, root: _root, leftOut: _leftOut, ...more } = snapshot
  const { stamps: _stamps, samples: _samples, furtherNames: _furtherNames, ...rest } = more
  return {
    ...rest,
    incomplete: issues > 0,
    tree: toHex(tree),
    stats: {
      ...stats,
      compressedBytes: Math.round(stats.originalBytes * packRatio(index)),
      deduplicatedBytes: stats.storedBytes,
    },
  }
}

export function toEntryInfo(path: string, node: TreeNode): EntryInfo {
  const { type, mode, uid, gid, user, group, sizeBytes, mtimeNs, linkTarget, hardLink, device, atimeNs } = node
  const { flags = 0, changed = false } = node
  return {
    path,
    type,
    mode,
    uid,
    gid,
    user,
    group,
    sizeBytes,
    mtimeNs,
    linkTarget,
    hardLink,
    device,
    flags: FLAG_NAMES.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name),
    hasXattrs: node.xattrs !== undefined,
    atimeNs,
    changed,
  }
}

/** As chattr(1) describes its letters d, i, a. */
const FLAG_NAMES = [
  [FILE_FLAGS.NODUMP, 'nodump'],
  [FILE_FLAGS.IMMUTABLE, 'immutable'],
  [FILE_FLAGS.APPEND, 'append'],
] as const

/** Sums over all snapshots. */
export function totalsOf(snapshots: readonly Snapshot[], index: Pick<LoadedIndex, 'packs'>): RepositoryTotals {
  const originalBytes = snapshots.reduce((sum, { stats }) => sum + stats.originalBytes, 0)
  return {
    originalBytes,
    compressedBytes: Math.round(originalBytes * packRatio(index)),
    deduplicatedBytes: index.packs.reduce((sum, pack) => sum + pack.sizeBytes, 0),
    chunksUnique: index.packs.reduce((sum, pack) => sum + pack.chunks, 0),
    chunksTotal: snapshots.reduce((sum, { stats }) => sum + stats.chunksTotal, 0),
    uniqueBytes: index.packs.reduce((sum, pack) => sum + pack.rawBytes, 0),
  }
}

/** Sizes of what a command deleted, and of what it left. */
export interface DeletionSizes {
  /** Deduplicated: what a compaction would give back, of what was deleted before too. */
  readonly deleted: Pick<RepositoryTotals, 'originalBytes' | 'compressedBytes' | 'deduplicatedBytes'>
  /** As they will be after a compaction; chunks are counted before it. */
  readonly left: RepositoryTotals
}

/** @param reclaimable bytes that a compaction would give back; nothing when it cannot be told */
export function deletionSizes(
  present: readonly Snapshot[],
  gone: readonly Pick<Snapshot, 'id'>[],
  index: Pick<LoadedIndex, 'packs'>,
  reclaimable = 0,
): DeletionSizes {
  const ids = new Set(gone.map(({ id }) => id))
  const { originalBytes, compressedBytes } = totalsOf(
    present.filter(({ id }) => ids.has(id)),
    index,
  )
  const left = totalsOf(
    present.filter(({ id }) => !ids.has(id)),
    index,
  )
  return {
    deleted: { originalBytes, compressedBytes, deduplicatedBytes: reclaimable },
    left: { ...left, deduplicatedBytes: left.deduplicatedBytes - reclaimable },
  }
}

/** How much smaller packs are than what is in them; chunks are compressed together, so no chunk has a size of its own. */
function packRatio({ packs }: Pick<LoadedIndex, 'packs'>): number {
  const raw = packs.reduce((sum, pack) => sum + pack.rawBytes, 0)
  const stored = packs.reduce((sum, pack) => sum + pack.sizeBytes, 0)
  return raw === 0 ? 1 : stored / raw
}
