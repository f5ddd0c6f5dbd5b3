import { throwIfAborted } from '../base/abort.ts'
import { CairnError } from '../base/errors.ts'
import { toPrintable } from '../base/raw-name.ts'
import { loadSnapshots } from '../snapshot/catalog.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { reclaimableBytes } from './reclaimable.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import { type DeletionSizes, type SnapshotInfo, deletionSizes, toSnapshotInfo } from './snapshot-info.ts'
import { type SnapshotSelection, selectSnapshots } from './snapshot-selection.ts'
import { explainRefusal } from './store-refusal.ts'

export interface DeleteOptions {
  readonly selection: SnapshotSelection
  /** Pinned snapshots too. */
  readonly force?: boolean | undefined
  /** Delete nothing; say what would be. */
  readonly dryRun?: boolean | undefined
  /** Is told of each snapshot once it is deleted, or in a dry run would be. */
  readonly onDeleted?: ((deletion: Deletion) => void) | undefined
}

export interface Deletion {
  readonly snapshot: SnapshotInfo
  /** Which of all that go this is, from 1. */
  readonly number: number
  readonly total: number
}

export interface DeleteResult {
  /** Those deleted. */
  readonly snapshots: readonly SnapshotInfo[]
  /** About how much a compaction would give back now; `undefined` when it cannot be told. */
  readonly reclaimableBytes: number | undefined
  readonly sizes: DeletionSizes
}

/**
 * Deletes snapshots: hides them and gives back their names. What they hold stays until space is reclaimed, and until then
 * `undelete` brings them back. All of them are looked up before the first is deleted; that somebody else deletes one at the
 * same time is no error.
 *
 * @throws {CairnError} `NOT_FOUND` | `INVALID_ARGUMENT` when one cannot be found or is pinned; then none is deleted
 * @throws {CairnError} `STORAGE_DENIED` where the store does not permit it
 */
export async function deleteSnapshots(access: RepositoryAccess, options: DeleteOptions): Promise<DeleteResult> {
  return withRepository(access, async (repository) => {
    await repository.loadIndex(access)
    const present = await loadSnapshots(repository, access)
    const plan = planDelete(present, options)
    const deleted: SnapshotInfo[] = []
    for (const snapshot of plan) {
      throwIfAborted(access.signal)
      if (!options.dryRun)
        await explainRefusal(describeFailure(snapshot, deleted.length), () => repository.forget(snapshot.id, access))
      const info = toSnapshotInfo(snapshot, repository.index)
      deleted.push(info)
      options.onDeleted?.({ snapshot: info, number: deleted.length, total: plan.length })
    }
    const bytes = await reclaimableBytes(repository, plan, access)
    return {
      snapshots: deleted,
      reclaimableBytes: bytes,
      sizes: deletionSizes(present, plan, repository.index, bytes),
    }
  })
}

/** The snapshots to delete. @throws {CairnError} as `deleteSnapshots` */
export function planDelete(
  snapshots: readonly Snapshot[],
  { selection, force = false }: Pick<DeleteOptions, 'selection' | 'force'>,
): Snapshot[] {
  const selected = selectSnapshots(snapshots, selection)
  const pinned = selected.filter((snapshot) => snapshot.pinned)
  if (pinned.length === 0 || force) return selected
  const names = pinned.map(({ name }) => `'${toPrintable(name)}'`).join(', ')
  throw new CairnError(
    'INVALID_ARGUMENT',
    `Cannot delete ${names}: pinned, and nothing was deleted; use 'cairn unpin' first, or --force`,
  )
}

function describeFailure({ name }: Snapshot, before: number): string {
  const others = before === 0 ? 'nothing was deleted' : `${before} before it ${before === 1 ? 'was' : 'were'} deleted`
  return `Cannot delete snapshot '${toPrintable(name)}' (${others})`
}
