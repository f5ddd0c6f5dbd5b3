import { formatChunkerParams } from '../chunker/params.ts'
import { FolderKeyFiles } from '../repository/key-files.ts'
import type { Repository } from '../repository/repository.ts'
import { FORMAT_VERSION } from '../repository/repository.ts'
import { latestSnapshot, loadSnapshots } from '../snapshot/catalog.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import { type SnapshotSelection, selectSnapshots } from './snapshot-selection.ts'
import { type RepositoryTotals, type SnapshotInfo, toSnapshotInfo, totalsOf } from './snapshot-info.ts'

export type { SnapshotSelection }

export interface RepositoryInfo {
  readonly repositoryId: string
  readonly location: string
  readonly formatVersion: number
  readonly encryption: string
  readonly cipher: string
  readonly chunkerParams: string
  readonly createdAt: string
  readonly keyFile: string | undefined
  readonly totals: RepositoryTotals
  readonly packs: number
  readonly snapshots: number
  /** The latest that is no checkpoint, if there is one. */
  readonly lastSnapshot: SnapshotInfo | undefined
}

/** What a repository is and holds. */
export async function repositoryInfo(access: RepositoryAccess): Promise<RepositoryInfo> {
  return withRepository(access, async (repository) => {
    await repository.loadIndex(access)
    return describe(access, repository, await loadSnapshots(repository, access))
  })
}

/** Snapshots, and their repository. @throws {CairnError} `NOT_FOUND` | `INVALID_ARGUMENT` as `selectSnapshots` */
export async function snapshotInfo(
  access: RepositoryAccess,
  selection: SnapshotSelection,
): Promise<{ readonly snapshots: readonly SnapshotInfo[]; readonly repository: RepositoryInfo }> {
  return withRepository(access, async (repository) => {
    await repository.loadIndex(access)
    const all = await loadSnapshots(repository, access)
    const snapshots = selectSnapshots(all, selection).map((found) => toSnapshotInfo(found, repository.index))
    return { snapshots, repository: describe(access, repository, all) }
  })
}

function describe(access: RepositoryAccess, repository: Repository, snapshots: readonly Snapshot[]): RepositoryInfo {
  const { config, index, storage } = repository
  const last = latestSnapshot(snapshots)
  return {
    repositoryId: repository.id,
    location: storage.location,
    formatVersion: FORMAT_VERSION,
    encryption: config.encryption,
    cipher: config.cipher,
    chunkerParams: formatChunkerParams(config.chunker),
    createdAt: config.createdAt,
    keyFile: config.encryption === 'keyfile' ? new FolderKeyFiles(access.keyFolder).pathOf(repository.id) : undefined,
    totals: totalsOf(snapshots, index),
    packs: index.packs.length,
    snapshots: snapshots.length,
    lastSnapshot: last && toSnapshotInfo(last, index),
  }
}
