import type { AbortOptions } from '../../base/abort.ts'
import { CairnError } from '../../base/errors.ts'
import { type PackId, type SessionId, asPackId } from '../../base/ids.ts'
import { SessionEnds, findObject, listSessions, loadSession } from '../../repository/low-level.ts'
import { type Repository, packKey } from '../../repository/repository.ts'
import { loadSnapshots } from '../../snapshot/catalog.ts'
import { type PackUse, measurePacks } from './pack-use.ts'
import { type MarkedSnapshots, markUsed } from './usage.ts'

export interface PlanOptions extends AbortOptions {
  /** A pack is rewritten when at least this share of it (0 to 1) is needed by no snapshot. */
  readonly threshold: number
  /** At most so many bytes, as they lie on the store, are rewritten; the packs that give back most come first. */
  readonly maxRepackBytes: number
  /** Nothing at all is written: runs that are known to be dead count as open. */
  readonly dryRun: boolean
  /** Snapshots that count as deleted. */
  readonly without?: ReadonlySet<SessionId> | undefined
  readonly onSnapshot?: ((done: number, total: number) => void) | undefined
}

/** What reclaiming space would do to the packs that count now. */
export interface CompactPlan {
  /** Nothing of these is needed. */
  readonly unused: readonly PackUse[]
  /** What is needed of these is moved. */
  readonly repack: readonly PackUse[]
  /** No index names these: of runs that ended without a commit. */
  readonly orphans: readonly { readonly id: PackId; readonly sizeBytes: number }[]
  /** All packs that count, and their bytes on the store. */
  readonly packs: number
  readonly packBytes: number
  /** Snapshots whose chunks were looked for. */
  readonly snapshots: number
  /** What they refer to. */
  readonly marked: MarkedSnapshots
}

/**
 * Steps G1 and G2 of docs/concurrency.md: looks which chunks snapshots refer to, and chooses packs. Loads the index.
 *
 * @throws {CairnError} `DATA_CORRUPT` when an index object, a commit record or a tree cannot be read
 */
export async function planCompact(repository: Repository, options: PlanOptions): Promise<CompactPlan> {
  // Sessions before packs, and packs before the index: what a run stores meanwhile is not taken for an orphan.
  const livingSinceMs = await openSince(repository, options)
  const listed = await listPacks(repository, options)
  await repository.loadIndexToWrite(options)
  const snapshots = (await loadSnapshots(repository, options)).filter(({ id }) => !options.without?.has(id))
  const usage = await markUsed(repository, snapshots, {
    signal: options.signal,
    onSnapshot: (done) => options.onSnapshot?.(done, snapshots.length),
  })
  const packs = await measurePacks(repository, usage, options)
  await requireStored(
    repository,
    packs.filter(({ id, usedBytes }) => usedBytes > 0 && !listed.has(id)),
    options,
  )
  for (const { id } of repository.index.packs) listed.delete(id as PackId)
  for (const id of [...repository.index.reclamations.values()].flat()) listed.delete(id)
  const orphans = [...listed].flatMap(([id, { sizeBytes, modifiedAtMs }]) =>
    modifiedAtMs < livingSinceMs ? [{ id, sizeBytes }] : [],
  )
  return {
    unused: packs.filter(({ usedBytes }) => usedBytes === 0),
    repack: chooseFragmented(packs, options),
    // Where an index object has been lost, its packs look like orphans, and may hold what is missing.
    orphans: usage.lost === 0 ? orphans : [],
    packs: packs.length,
    packBytes: packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    snapshots: snapshots.length,
    marked: { usage, ids: new Set(snapshots.map(({ id }) => id)) },
  }
}

/**
 * Looks again for packs that were not listed, be it that they were stored after that. Of a chunk that two packs hold, the index knows
 * one; if that one is lost, the other must not be taken for unused.
 *
 * @throws {CairnError} `DATA_CORRUPT` when one is lost
 */
async function requireStored(repository: Repository, packs: readonly PackUse[], options: AbortOptions): Promise<void> {
  for (const { id } of packs) {
    if (await findObject(repository.storage, packKey(id), options)) continue
    const gone = new Set(repository.index.indexKeys)
    for await (const { key } of repository.storage.list('index/', options)) gone.delete(key)
    if (gone.size > 0) return // another reclamation has deleted it; the index is read again before anything is done
    throw new CairnError(
      'DATA_CORRUPT',
      `Cannot free space: pack ${id}, which snapshots need, is missing; nothing was deleted. Run 'cairn check --repair' first`,
      { details: { pack: id } },
    )
  }
}

/** About how many bytes on the store are free when a plan has been carried out. */
export function reclaimableBytesOf({ unused, repack, orphans }: CompactPlan): number {
  const given = [...unused, ...repack, ...orphans].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  return given - repack.reduce((sum, pack) => sum + movedBytes(pack), 0)
}

/** The packs of which enough is unused, those that give back most for what is to be moved first. */
export function chooseFragmented(
  packs: readonly PackUse[],
  { threshold, maxRepackBytes }: Pick<PlanOptions, 'threshold' | 'maxRepackBytes'>,
): PackUse[] {
  const chosen: PackUse[] = []
  let bytes = 0
  const candidates = packs.filter(
    (pack) => pack.usedBytes > 0 && pack.usedBytes < pack.rawBytes && unusedShare(pack) >= threshold,
  )
  for (const pack of candidates.sort((a, b) => unusedShare(b) - unusedShare(a))) {
    const moved = movedBytes(pack)
    if (bytes + moved > maxRepackBytes) continue
    bytes += moved
    chosen.push(pack)
  }
  return chosen
}

function unusedShare({ rawBytes, usedBytes }: PackUse): number {
  return 1 - usedBytes / rawBytes
}

/** About what of a pack has to be written again, in bytes on the store. */
export function movedBytes({ sizeBytes, rawBytes, usedBytes }: PackUse): number {
  return Math.ceil((sizeBytes * usedBytes) / rawBytes)
}

/** When the first of the runs began that are open, in ms since 1970; `Infinity` when none is. */
async function openSince({ storage, keys }: Repository, options: PlanOptions): Promise<number> {
  let sessions: readonly SessionId[] = [...(await listSessions(storage, options)).keys()]
  if (!options.dryRun) sessions = await new SessionEnds(storage, keys, options).openOf(sessions)
  let sinceMs = Number.POSITIVE_INFINITY
  for (const session of sessions) {
    const record = await loadSession(storage, keys, session, options)
    sinceMs = Math.min(sinceMs, record ? Date.parse(record.startedAt) || 0 : 0)
  }
  return sinceMs
}

async function listPacks(
  { storage }: Repository,
  options: AbortOptions,
): Promise<Map<PackId, { sizeBytes: number; modifiedAtMs: number }>> {
  const packs = new Map<PackId, { sizeBytes: number; modifiedAtMs: number }>()
  for await (const { key, sizeBytes, modifiedAtMs } of storage.list('packs/', options)) {
    const id = asPackId(key.slice('packs/xx/'.length))
    if (id) packs.set(id, { sizeBytes, modifiedAtMs })
  }
  return packs
}
