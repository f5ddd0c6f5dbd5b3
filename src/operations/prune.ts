import { throwIfAborted } from '../base/abort.ts'
import { systemClock } from '../base/clock.ts'
import { CairnError, toCairnError } from '../base/errors.ts'
import type { Repository } from '../repository/repository.ts'
import type { Decision, KeepReason, RemoveReason, RetentionPolicy } from '../retention/policy.ts'
import { decideRetention, requireRules } from '../retention/retention.ts'
import { loadSnapshots } from '../snapshot/catalog.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { type GroupField, type SnapshotGroup, groupSnapshots } from '../snapshot/snapshot-groups.ts'
import { reclaimableBytes } from './reclaimable.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import { type SnapshotFilter, filterSnapshots } from './snapshot-filter.ts'
import { type DeletionSizes, type SnapshotInfo, deletionSizes, toSnapshotInfo } from './snapshot-info.ts'

export type { BorgRule, KopiaRule } from '../retention/policy.ts'
export type { GroupField, KeepReason, RemoveReason, RetentionPolicy, SnapshotFilter, SnapshotInfo }

/** What the snapshots of a group have in common. */
export type GroupKey = Omit<SnapshotGroup, 'snapshots'>

export type PruneEvent =
  /** The decisions about its snapshots follow. Only when snapshots are grouped. */
  | { readonly type: 'group'; readonly group: GroupKey }
  | {
      readonly type: 'keep'
      readonly group: GroupKey
      readonly snapshot: SnapshotInfo
      readonly reasons: readonly KeepReason[]
    }
  | {
      /** It has just been deleted, or would be, were this not a dry run. */
      readonly type: 'remove'
      readonly group: GroupKey
      readonly snapshot: SnapshotInfo
      readonly because: RemoveReason
      /** Which of all that go this is, from 1. */
      readonly number: number
      readonly total: number
    }
  | { readonly type: 'warning'; readonly message: string; readonly code: string }

export interface PruneOptions {
  readonly policy: RetentionPolicy
  /** Which snapshots the policy is applied to; others stay, and count for nothing. All when absent. */
  readonly filter?: SnapshotFilter | undefined
  /** The policy is applied to each group by itself; to all together when empty or absent. */
  readonly groupBy?: readonly GroupField[] | undefined
  readonly dryRun?: boolean | undefined
  /** Goes on when nothing would be left of a group. */
  readonly allowDeleteAll?: boolean | undefined
  readonly onEvent?: ((event: PruneEvent) => void) | undefined
}

export interface PruneResult {
  readonly kept: number
  /** Deleted, or to be deleted after a dry run. */
  readonly removed: number
  /** About how much a compaction would give back then; `undefined` when it cannot be told. */
  readonly reclaimableBytes: number | undefined
  readonly sizes: DeletionSizes
}

/** What a policy says about the snapshots of a repository. */
export interface PrunePlan {
  readonly groups: readonly {
    readonly group: SnapshotGroup
    /** Newest first. */
    readonly decisions: readonly Decision<Snapshot & { readonly pinned: boolean }>[]
  }[]
  readonly kept: number
  readonly removed: number
}

/**
 * Decides what to delete. Pure.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for a policy without any rule, or a filter that makes no sense
 */
export function planPrune(
  snapshots: readonly Snapshot[],
  { policy, filter = {}, groupBy = [] }: Pick<PruneOptions, 'policy' | 'filter' | 'groupBy'>,
  nowMs: number,
): PrunePlan {
  requireRules(policy) // also where there is nothing to decide about
  const meant = filterSnapshots(snapshots, filter)
  const groups = groupSnapshots(meant, groupBy).map((group) => ({
    group,
    decisions: decideRetention(group.snapshots, policy, nowMs),
  }))
  const kept = groups.flatMap(({ decisions }) => decisions.filter(({ keep }) => keep)).length
  return { groups, kept, removed: meant.length - kept }
}

/**
 * Deletes the snapshots that the policy does not keep, one by one. Their space is not free before it is reclaimed. Runs that go on
 * meanwhile are not disturbed, and what they commit is left alone.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` as `planPrune`, and when nothing would be left of a group; then nothing is deleted. What
 *   the store throws, with how many were deleted before
 */
export async function pruneSnapshots(access: RepositoryAccess, options: PruneOptions): Promise<PruneResult> {
  const { dryRun = false, allowDeleteAll = false, onEvent } = options
  return withRepository(access, async (repository) => {
    await repository.loadIndex(access)
    const snapshots = await loadSnapshots(repository, access)
    const plan = planPrune(snapshots, options, (access.clock ?? systemClock).now())
    const refusal = allowDeleteAll ? undefined : refusalOf(plan)
    if (refusal && !dryRun) throw refusal
    await applyPrune(repository, plan, access, options)
    if (refusal) onEvent?.({ type: 'warning', message: `Without --dry-run: ${refusal.message}`, code: refusal.code })
    const removed = plan.groups.flatMap(({ decisions }) =>
      decisions.filter(({ keep }) => !keep).map(({ snapshot }) => snapshot),
    )
    const bytes = await reclaimableBytes(repository, removed, access)
    return {
      kept: plan.kept,
      removed: plan.removed,
      reclaimableBytes: bytes,
      sizes: deletionSizes(snapshots, removed, repository.index, bytes),
    }
  })
}

/** Rules that count keep the newest; but nothing may be young enough for `--keep-within`, or have a tag. */
function refusalOf({ groups }: PrunePlan): CairnError | undefined {
  const emptied = groups.find(({ decisions }) => decisions.every(({ keep }) => !keep))
  if (!emptied) return undefined
  const newest = emptied.decisions[0]?.snapshot
  return new CairnError(
    'INVALID_ARGUMENT',
    `Cannot prune: no rule keeps any of ${emptied.decisions.length} snapshots, of which '${newest?.name}' is the newest; ` +
      'add a rule that counts, such as --keep-last 1, or say --allow-delete-all',
  )
}

async function applyPrune(
  repository: Repository,
  plan: PrunePlan,
  access: RepositoryAccess,
  { dryRun, groupBy = [], onEvent }: PruneOptions,
): Promise<void> {
  let number = 0
  for (const { group, decisions } of plan.groups) {
    const { snapshots: _, ...key } = group
    if (groupBy.length > 0) onEvent?.({ type: 'group', group: key })
    for (const decision of decisions) {
      const snapshot = toSnapshotInfo(decision.snapshot, repository.index)
      if (decision.keep) {
        onEvent?.({ type: 'keep', group: key, snapshot, reasons: decision.reasons })
        continue
      }
      if (!dryRun) await forget(repository, decision.snapshot, access, { number, total: plan.removed })
      number++
      onEvent?.({ type: 'remove', group: key, snapshot, because: decision.because, number, total: plan.removed })
    }
  }
}

async function forget(
  repository: Repository,
  { id }: Snapshot,
  access: RepositoryAccess,
  { number, total }: { readonly number: number; readonly total: number },
): Promise<void> {
  try {
    throwIfAborted(access.signal)
    await repository.forget(id, access)
  } catch (error) {
    if (number === 0) throw error
    const { code, message, details } = toCairnError(error)
    throw new CairnError(
      code,
      `Cannot prune the rest, after ${number} of ${total} snapshots were deleted: ${message}`,
      {
        cause: error,
        details: { ...details, deleted: number },
      },
    )
  }
}
