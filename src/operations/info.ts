import type { RepositoryAccess } from './repository-access.ts'
import type { RepositoryTotals } from './create.ts'
import type { SnapshotInfo } from './list.ts'
import { CairnError } from '../base/errors.ts'

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
  readonly lastSnapshot: SnapshotInfo | undefined
}

export function repositoryInfo(_access: RepositoryAccess): Promise<RepositoryInfo> {
  throw new CairnError('INTERNAL', 'stub')
}

/** One snapshot by `latest`, name or id prefix, with the totals of its repository. */
export function snapshotInfo(
  _access: RepositoryAccess,
  _snapshot: string,
): Promise<{ snapshot: SnapshotInfo; totals: RepositoryTotals; repository: RepositoryInfo }> {
  throw new CairnError('INTERNAL', 'stub')
}
