import { findSnapshot, loadDeletedSnapshots, loadSnapshots, withoutRestored } from '../snapshot/catalog.ts'
import { walkTree } from '../snapshot/tree-walk.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import { type EntryInfo, type SnapshotInfo, toEntryInfo, toSnapshotInfo } from './snapshot-info.ts'

export interface SnapshotList {
  readonly repositoryId: string
  readonly encryption: string
  /** Oldest first. */
  readonly snapshots: readonly SnapshotInfo[]
}

export interface ListSnapshotsOptions {
  /** Those that were deleted and may still be brought back, in place of those that are there. */
  readonly deleted?: boolean | undefined
}

/** All snapshots of a repository, checkpoints among them. */
export async function listSnapshots(
  access: RepositoryAccess,
  { deleted = false }: ListSnapshotsOptions = {},
): Promise<SnapshotList> {
  return withRepository(access, async (repository) => {
    await repository.loadIndex(access)
    const present = await loadSnapshots(repository, access)
    const snapshots = deleted ? withoutRestored(await loadDeletedSnapshots(repository, access), present) : present
    return {
      repositoryId: repository.id,
      encryption: repository.config.encryption,
      snapshots: snapshots.map((snapshot) => toSnapshotInfo(snapshot, repository.index)),
    }
  })
}

/** Takes what `listEntries` finds, one by one: a snapshot may have more entries than fit in memory. */
export interface EntryVisitor {
  onSnapshot?(snapshot: SnapshotInfo): void
  onEntry(entry: EntryInfo): void | Promise<void>
}

/**
 * The entries of one snapshot (`latest`, a name or an id prefix) in path order, those at or below `paths` when given.
 *
 * @throws {CairnError} `NOT_FOUND` for an unknown snapshot or a path that is not in it
 */
export async function listEntries(
  access: RepositoryAccess,
  snapshot: string,
  paths: readonly string[],
  visitor: EntryVisitor,
): Promise<void> {
  return withRepository(access, async (repository) => {
    await repository.loadIndex(access)
    const found = findSnapshot(await loadSnapshots(repository, access), snapshot)
    visitor.onSnapshot?.(toSnapshotInfo(found, repository.index))
    const load = (id: Uint8Array): Promise<Uint8Array> => repository.readChunk(id, access)
    for await (const entries of walkTree(found.tree, paths, load)) {
      for (const { path, node } of entries) if (!node.ancestor) await visitor.onEntry(toEntryInfo(path, node))
    }
  })
}
