import { isCairnError } from '../base/errors.ts'
import type { SessionId } from '../base/ids.ts'
import { DEFAULT_THRESHOLD, planCompact, reclaimableBytesOf } from '../maintenance/compact.ts'
import type { Repository } from '../repository/repository.ts'
import type { RepositoryAccess } from './repository-access.ts'

/**
 * About how many bytes a compaction would give back, for commands that delete: of what is deleted already, and of these snapshots.
 * Reads all trees. `undefined` when it cannot be told, for whatever reason: what was to be deleted is deleted by then.
 */
export async function reclaimableBytes(
  repository: Repository,
  deleted: readonly { readonly id: SessionId }[],
  access: RepositoryAccess,
): Promise<number | undefined> {
  try {
    const plan = await planCompact(repository, {
      threshold: DEFAULT_THRESHOLD,
      maxRepackBytes: Number.POSITIVE_INFINITY,
      dryRun: true,
      without: new Set(deleted.map(({ id }) => id)),
      signal: access.signal,
    })
    return reclaimableBytesOf(plan)
  } catch (error) {
    if (!isCairnError(error) || error.code === 'INTERNAL') throw error
    return undefined
  }
}
