import type { AbortOptions } from '../base/abort.ts'
import type { Clock } from '../base/clock.ts'
import type { PackId } from '../base/ids.ts'
import type { Compression } from '../repository/chunk-writer.ts'
import { putCondemned, readCondemned, storeTime } from '../repository/low-level.ts'
import type { Repository } from '../repository/repository.ts'
import { removeDeadIndexObjects } from './compact/dead-index.ts'
import { deleteReclaimed, finishInterrupted, removeRecords } from './compact/finish.ts'
import type { PackUse } from './compact/pack-use.ts'
import { type CompactPlan, movedBytes, planCompact, reclaimableBytesOf } from './compact/plan.ts'
import { type ReclaimOptions, reclaim } from './compact/reclaim.ts'
import type { MarkedSnapshots } from './compact/usage.ts'
import { openRuns, waitForRuns } from './compact/waiting.ts'

export { planCompact, reclaimableBytesOf }

/** Share of a pack that must be unused for it to be rewritten: Borg's. */
export const DEFAULT_THRESHOLD = 0.1

export interface CompactOptions extends AbortOptions {
  readonly repository: Repository
  /** Tells what would be done, and writes nothing. */
  readonly dryRun: boolean
  /** A pack is rewritten when at least this share of it (0 to 1) is needed by no snapshot. */
  readonly threshold: number
  /** At most so many bytes, as they lie on the store, are rewritten in this run. */
  readonly maxRepackBytes: number
  /** Of what is rewritten. */
  readonly compression: Compression
  /** Waits for runs that are open, in place of leaving the rest to the next time. */
  readonly wait: boolean
  readonly clock?: Clock | undefined
  readonly onProgress?: ((progress: CompactProgress) => void) | undefined
}

export interface CompactProgress {
  readonly phase: 'snapshots' | 'moving' | 'deleting' | 'waiting'
  /** Snapshots looked at, bytes moved, packs deleted, or runs that are waited for. */
  readonly done: number
  readonly total: number | undefined
}

export interface CompactResult {
  readonly snapshots: number
  /** Packs that counted before, and their bytes. */
  readonly packs: number
  readonly packBytes: number
  /** Packs of which nothing is needed, of which a part is, and of runs that never committed. */
  readonly unusedPacks: number
  readonly fragmentedPacks: number
  readonly orphanPacks: number
  /** Bytes on the store that these give back, when what is needed of them has been moved; an estimate. */
  readonly reclaimableBytes: number
  /** Packs deleted by this run, those of earlier ones that were interrupted too. */
  readonly deletedPacks: number
  /** Bytes they had on the store. */
  readonly deletedBytes: number
  /** Bytes stored for what was moved. */
  readonly storedBytes: number
  /** References of snapshots to chunks that are in no pack; then no pack of a run that never committed is deleted: it may be there. */
  readonly lostChunks: number
  /** Deleted snapshots that are gone for good. */
  readonly removedSnapshots: number
  /** Runs that have to end before the packs chosen can be deleted; a later compaction goes on. */
  readonly waitingFor: number
}

/** Of the free space, what moving may take: index objects and what other runs store need some too. */
const MOVABLE_SHARE = 0.8

/**
 * Gives back the space of chunks that no snapshot refers to: docs/concurrency.md, "Reclaiming space". Other runs go on meanwhile,
 * other compactions too. May be interrupted at any moment, and any later one goes on where it was.
 *
 * @throws {CairnError} `DATA_CORRUPT` when it cannot be told what snapshots need, or what they need cannot be read: nothing is
 *   deleted then; `STORAGE_DENIED` where nothing may be deleted; `SESSION_FENCED`; what the store throws
 */
export async function compact(options: CompactOptions): Promise<CompactResult> {
  const { repository, dryRun, signal } = options
  // Where nothing may be deleted, nothing shall be moved.
  if (!dryRun) await storeTime(repository.storage, { signal })
  const before = dryRun ? NOTHING : await retire(options)
  // As long as runs are waited for, condemning more would only make it longer.
  if (before.waitingFor > 0) return { ...NO_PLAN, ...before }
  const plan = await planCompact(repository, {
    ...options,
    onSnapshot: (done, total) => options.onProgress?.({ phase: 'snapshots', done, total }),
  })
  if (dryRun) return { ...describe(plan), ...before }
  // First what takes no space to free: it may be needed for moving.
  let done = add(before, await condemn(options, plan, [...plan.unused, ...plan.orphans]))
  if (done.waitingFor === 0) done = add(done, await condemn(options, plan, await movable(repository, plan, { signal })))
  if (done.deletedPacks === before.deletedPacks && done.waitingFor === 0)
    done = add(done, await tidy(options, plan.marked))
  await removeDeadIndexObjects(repository, { signal })
  return { ...describe(plan), ...done, removedSnapshots: await removeRecords(repository, { signal }) }
}

type Done = Pick<CompactResult, 'deletedPacks' | 'deletedBytes' | 'storedBytes' | 'waitingFor'>

const NOTHING: Done & { readonly removedSnapshots: number } = {
  deletedPacks: 0,
  deletedBytes: 0,
  storedBytes: 0,
  waitingFor: 0,
  removedSnapshots: 0,
}

function add(a: Done, b: Done): typeof NOTHING {
  return {
    deletedPacks: a.deletedPacks + b.deletedPacks,
    deletedBytes: a.deletedBytes + b.deletedBytes,
    storedBytes: a.storedBytes + b.storedBytes,
    waitingFor: b.waitingFor,
    removedSnapshots: 0,
  }
}

/** Condemns packs, and brings that to its end unless runs have to be waited for. */
async function condemn(options: CompactOptions, plan: CompactPlan, packs: readonly { id: PackId }[]): Promise<Done> {
  if (packs.length === 0) return NOTHING
  const { repository, signal } = options
  const ids = packs.map(({ id }) => id)
  await putCondemned(repository.storage, repository.keys, ids, { signal })
  return retire(options, plan.marked)
}

/** Those of the packs to be rewritten for which there is space: a reclamation that runs out of it frees nothing. */
async function movable({ storage }: Repository, { repack }: CompactPlan, options: AbortOptions): Promise<PackUse[]> {
  const freeBytes = await storage.freeBytes?.(options)
  let leftBytes = freeBytes === undefined ? Number.POSITIVE_INFINITY : freeBytes * MOVABLE_SHARE
  return repack.filter((pack) => {
    const fits = movedBytes(pack) <= leftBytes
    if (fits) leftBytes -= movedBytes(pack)
    return fits
  })
}

/** Brings every reclamation to its end that has been begun, unless runs are open that it has to wait for. */
async function retire(options: CompactOptions, marked?: MarkedSnapshots): Promise<typeof NOTHING> {
  const { repository, signal } = options
  const onDeleted = (packs: number): void => options.onProgress?.({ phase: 'deleting', done: packs, total: undefined })
  const onWaiting = (runs: number): void => options.onProgress?.({ phase: 'waiting', done: runs, total: undefined })
  let done = NOTHING
  for (;;) {
    const begun = await readCondemned(repository.storage, repository.keys, { signal })
    if (begun.size === 0) return done
    await repository.loadIndexToWrite({ signal })
    done = add(done, { ...NOTHING, ...(await finishInterrupted(repository, begun, { signal, onDeleted })) })
    if (options.wait) await waitForRuns(repository, { signal, onWaiting })
    const condemned = await readCondemned(repository.storage, repository.keys, { signal })
    const open = await openRuns(repository, condemned, { signal })
    if (open.size > 0 && !options.wait) return { ...done, waitingFor: open.size }
    if (open.size > 0 || condemned.size === 0) continue
    const reclaimed = await reclaim(repository, condemned, reclaimOptions(options, marked))
    if (!reclaimed) continue // others have begun a reclamation meanwhile, or ended one
    const deleted = await deleteReclaimed(repository, reclaimed, condemned, { signal, onDeleted })
    done = add(done, { ...NOTHING, ...deleted, storedBytes: reclaimed.storedBytes })
  }
}

/** Merges small index objects, and replaces those of deleted snapshots, when there is no other reason to write any. */
async function tidy(options: CompactOptions, marked: MarkedSnapshots): Promise<Done> {
  const { repository, signal } = options
  const reclaimed = await reclaim(repository, new Map(), reclaimOptions(options, marked))
  if (!reclaimed) return NOTHING
  await deleteReclaimed(repository, reclaimed, new Map(), { signal })
  return { ...NOTHING, storedBytes: reclaimed.storedBytes }
}

function reclaimOptions(
  { signal, compression, clock, onProgress }: CompactOptions,
  marked: MarkedSnapshots | undefined,
): ReclaimOptions {
  const onMoved = (done: number): void => onProgress?.({ phase: 'moving', done, total: undefined })
  return { signal, compression, clock, marked, onMoved }
}

const NO_PLAN = {
  snapshots: 0,
  packs: 0,
  packBytes: 0,
  unusedPacks: 0,
  fragmentedPacks: 0,
  orphanPacks: 0,
  reclaimableBytes: 0,
  lostChunks: 0,
}

function describe(plan: CompactPlan): typeof NO_PLAN {
  const { snapshots, packs, packBytes, unused, repack, orphans } = plan
  return {
    snapshots,
    packs,
    packBytes,
    unusedPacks: unused.length,
    fragmentedPacks: repack.length,
    orphanPacks: orphans.length,
    reclaimableBytes: reclaimableBytesOf(plan),
    lostChunks: plan.marked.usage.lost,
  }
}
