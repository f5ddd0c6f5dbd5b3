import { parseRemoteLocation } from '../storage/remote-location.ts'
import { listSnapshots } from './list.ts'
import type { RepositoryAccess } from './repository-access.ts'
import type { SnapshotInfo } from './snapshot-info.ts'

export interface FindSnapshotNamesOptions {
  /** Those that can be brought back, in place of those that are there. */
  readonly deleted?: boolean
}

/**
 * The snapshots of a repository, for somebody who is about to type the name of one: none when it lies on another machine or cannot be
 * opened. Nothing is remembered of it.
 */
export async function findSnapshotNames(
  access: RepositoryAccess,
  options: FindSnapshotNamesOptions = {},
): Promise<readonly Pick<SnapshotInfo, 'name' | 'startedAt'>[]> {
  try {
    if (parseRemoteLocation(access.location)) return []
    return (await listSnapshots({ ...access, knownFolder: undefined, onDamaged: () => {} }, options)).snapshots
  } catch {
    return [] // there are many reasons, and no place to tell them
  }
}
