import type { RepositoryAccess } from './repository-access.ts'
import { CairnError } from '../base/errors.ts'
import type { CreateStats } from './create.ts'

export interface SnapshotInfo {
  /** 32 hex digits. */
  readonly id: string
  readonly name: string
  /** UTC, ISO 8601. */
  readonly startedAt: string
  readonly endedAt: string
  readonly hostname: string
  readonly username: string
  /** What was backed up, as given, made absolute; raw-name text. */
  readonly paths: readonly string[]
  readonly comment: string
  readonly tags: readonly string[]
  /** Some source data could not be read. */
  readonly incomplete: boolean
  readonly programVersion: string
  /** Hex id of the root tree. */
  readonly tree: string
  readonly stats: CreateStats
  readonly commandLine: readonly string[]
}

export interface EntryInfo {
  /** Path inside the snapshot, without leading `/`; raw-name text. */
  readonly path: string
  readonly type: 'file' | 'dir' | 'symlink' | 'fifo' | 'chardev' | 'blockdev'
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
}

/** All snapshots, oldest first. */
export function listSnapshots(
  _access: RepositoryAccess,
): Promise<{ repositoryId: string; encryption: string; snapshots: SnapshotInfo[] }> {
  throw new CairnError('INTERNAL', 'stub')
}

/**
 * The entries of one snapshot (`latest`, a name or an id prefix) in path order; those at or below `paths` when given.
 *
 * @throws {CairnError} `NOT_FOUND` for an unknown snapshot or a path that is not in it
 */
export function listEntries(
  _access: RepositoryAccess,
  _snapshot: string,
  _paths: readonly string[],
): AsyncIterable<EntryInfo> & { snapshot?: SnapshotInfo } {
  throw new CairnError('INTERNAL', 'stub')
}
