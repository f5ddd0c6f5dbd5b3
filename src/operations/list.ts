import { DIGESTS, Digests } from '../codec/digests.ts'
import {
  findSnapshot,
  latestSnapshot,
  loadDeletedSnapshots,
  loadSnapshots,
  withoutRestored,
} from '../snapshot/catalog.ts'
import { type LoadChunk, readContent } from '../snapshot/content.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import { walkTree } from '../snapshot/tree-walk.ts'
import type { PathPatterns } from '../sources/patterns.ts'
import { type PatternOption, selectPaths } from './path-selection.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import { type SnapshotFilter, type SnapshotOrder, filterSnapshots, orderSnapshots } from './snapshot-filter.ts'
import { type EntryInfo, type SnapshotInfo, toEntryInfo, toSnapshotInfo } from './snapshot-info.ts'

export { DIGESTS }
export type { SnapshotFilter, SnapshotOrder }

export interface SnapshotList {
  readonly repositoryId: string
  readonly encryption: string
  /** Oldest first, unless asked for otherwise. */
  readonly snapshots: readonly SnapshotInfo[]
  /** The latest that is no checkpoint, whatever was asked for. */
  readonly lastSnapshot: SnapshotInfo | undefined
}

export interface ListSnapshotsOptions {
  /** Those that were deleted and may still be brought back, in place of those that are there. */
  readonly deleted?: boolean | undefined
  /** Only these. */
  readonly filter?: SnapshotFilter | undefined
  readonly order?: SnapshotOrder | undefined
}

/** The snapshots of a repository, checkpoints among them. @throws {CairnError} `INVALID_ARGUMENT` for a filter that makes no sense */
export async function listSnapshots(
  access: RepositoryAccess,
  { deleted = false, filter = {}, order = {} }: ListSnapshotsOptions = {},
): Promise<SnapshotList> {
  return withRepository(access, async (repository) => {
    await repository.loadIndex(access)
    const present = await loadSnapshots(repository, access)
    const snapshots = deleted ? withoutRestored(await loadDeletedSnapshots(repository, access), present) : present
    const last = latestSnapshot(present)
    return {
      repositoryId: repository.id,
      encryption: repository.config.encryption,
      snapshots: orderSnapshots(filterSnapshots(snapshots, filter), order).map((snapshot) =>
        toSnapshotInfo(snapshot, repository.index),
      ),
      lastSnapshot: last && toSnapshotInfo(last, repository.index),
    }
  })
}

/** An entry, and what costs time to find out. */
export interface DetailedEntry extends EntryInfo {
  /** How many chunks the content of a file has; only when asked for. */
  readonly chunks?: number
  /** Hex digits of the content of a file, by name, those asked for; none of a further name of a file that came before. */
  readonly digests?: Readonly<Record<string, string>>
}

export interface ListEntriesOptions {
  /** What to leave out, or to take. */
  readonly patterns?: readonly PatternOption[] | undefined
  /** Count the chunks of each file. */
  readonly withChunks?: boolean
  /** Read the content of each file for these of `DIGESTS`. */
  readonly digests?: readonly string[]
}

/** Takes what `listEntries` finds, one by one: a snapshot may have more entries than fit in memory. */
export interface EntryVisitor {
  onSnapshot?(snapshot: SnapshotInfo): void
  onEntry(entry: DetailedEntry): void | Promise<void>
}

/**
 * The entries of one snapshot (`latest`, a name or an id prefix) in path order: those at or below `paths`, which may be patterns with
 * their style in front, when given.
 *
 * @throws {CairnError} `NOT_FOUND` for an unknown snapshot or a path that is not in it; `INVALID_ARGUMENT` for a pattern that makes
 *   no sense; `DATA_CORRUPT`
 */
export async function listEntries(
  access: RepositoryAccess,
  snapshot: string,
  paths: readonly string[],
  visitor: EntryVisitor,
  options: ListEntriesOptions = {},
): Promise<void> {
  const withDetails = options.withChunks === true || (options.digests ?? []).length > 0
  const selection = selectPaths(paths, options.patterns ?? [])
  const select = selection.patterns && ((path: string) => (selection.patterns as PathPatterns).decide(path))
  return withRepository(access, async (repository) => {
    await repository.loadIndex(access)
    const found = findSnapshot(await loadSnapshots(repository, access), snapshot)
    visitor.onSnapshot?.(toSnapshotInfo(found, repository.index))
    const load = (id: Uint8Array): Promise<Uint8Array> => repository.readChunk(id, access)
    for await (const entries of walkTree(found.tree, selection.paths, load, { select })) {
      for (const { path, node, included, whole } of entries) {
        // Folders on the way to what is wanted are not wanted themselves.
        if (node.ancestor || !included || !whole) continue
        const entry = toEntryInfo(path, node)
        const details = withDetails && (await detailsOf(path, node, load, options))
        await visitor.onEntry(details ? { ...entry, ...details } : entry)
      }
    }
  })
}

async function detailsOf(
  path: string,
  node: TreeNode,
  load: LoadChunk,
  { withChunks = false, digests = [] }: ListEntriesOptions,
): Promise<Pick<DetailedEntry, 'chunks' | 'digests'>> {
  if (node.type !== 'file' || node.hardLink !== undefined) return {}
  let chunks = 0
  if (withChunks && node.content) for await (const _ of readContent(node.content, load, path)) chunks++
  if (digests.length === 0) return { chunks }
  const { contentOf } = await import('../restorer/stream-contents.ts') // most lists need no content
  const hashes = new Digests(digests)
  for await (const piece of contentOf({ load }, node, path)) hashes.update(piece)
  return { chunks, digests: hashes.end() }
}
