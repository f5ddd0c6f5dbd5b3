import type { AbortOptions } from '../../base/abort.ts'
import { isCairnError } from '../../base/errors.ts'
import { type SessionId, asSessionId } from '../../base/ids.ts'
import {
  type CondemnedSets,
  commitKey,
  condemnedKey,
  findObject,
  forEachAtOnce,
  forgottenKey,
  listSessions,
  parseIndexKey,
  pinKey,
  waitingKey,
} from '../../repository/low-level.ts'
import { type Repository, packKey } from '../../repository/repository.ts'
import { type ReclaimRecord, reclaimRecordOf } from './reclaim.ts'

const PARALLEL_DELETES = 8

export interface FinishOptions extends AbortOptions {
  readonly onDeleted?: ((packs: number) => void) | undefined
}

export interface DeletedPacks {
  readonly deletedPacks: number
  /** On the store. */
  readonly deletedBytes: number
}

/**
 * Step G6 of docs/concurrency.md, behind the commit: deletes what has been committed to be of no more use. The order is safety:
 * index objects, then the packs that nobody names any more, then what told others not to rely on them. Can be done again.
 */
export async function deleteReclaimed(
  { storage }: Repository,
  { reclaimed, superseded }: ReclaimRecord,
  condemned: CondemnedSets,
  options: FinishOptions,
): Promise<DeletedPacks> {
  await forEachAtOnce(superseded, PARALLEL_DELETES, (key) => storage.delete(key, options))
  const packs = reclaimed.flatMap((reclamation) => condemned.get(reclamation) ?? [])
  let deletedPacks = 0
  let deletedBytes = 0
  await forEachAtOnce(packs, PARALLEL_DELETES, async (id) => {
    const found = await findObject(storage, packKey(id), options)
    if (!found) return // by another, or by a run that was interrupted then
    await storage.delete(found.key, options)
    deletedBytes += found.sizeBytes
    options.onDeleted?.(++deletedPacks)
  })
  for (const reclamation of reclaimed) {
    await storage.delete(waitingKey(reclamation), options)
    await storage.delete(condemnedKey(reclamation), options)
  }
  return { deletedPacks, deletedBytes }
}

/** Goes on where reclamations that had committed were interrupted while they deleted. Needs the index loaded. */
export async function finishInterrupted(
  repository: Repository,
  condemned: CondemnedSets,
  options: FinishOptions,
): Promise<DeletedPacks> {
  let deletedPacks = 0
  let deletedBytes = 0
  for (const { value } of await repository.loadCommits(options)) {
    const record = reclaimRecordOf(value)
    if (!record?.reclaimed.some((reclamation) => condemned.has(reclamation))) continue
    const deleted = await deleteReclaimed(repository, record, condemned, options)
    deletedPacks += deleted.deletedPacks
    deletedBytes += deleted.deletedBytes
  }
  return { deletedPacks, deletedBytes }
}

/**
 * Removes the records of runs that are of no more use: of deleted snapshots, and of reclamations that have come to their end. Only
 * when no index object of the run is left, and only of runs that were closed by their own hand: another's late attempt to commit must find
 * its register. Those of runs that never committed stay for good, so that nothing revives them.
 *
 * @returns how many snapshots are gone for good
 */
export async function removeRecords(repository: Repository, options: AbortOptions): Promise<number> {
  const { storage } = repository
  // What had committed by now has all its index objects on the store, and those are looked for after this.
  const commits = await repository.loadCommits(options)
  const forgotten: SessionId[] = []
  for await (const { key } of storage.list('forgotten/', options)) {
    const session = asSessionId(key.slice('forgotten/'.length))
    if (session) forgotten.push(session)
  }
  const open = await listSessions(storage, options)
  const indexed = new Set<SessionId>()
  for await (const { key } of storage.list('index/', options)) {
    const name = parseIndexKey(key)
    if (name) indexed.add(name.session)
  }
  const waiting: string[] = []
  for await (const { key } of storage.list('waiting/', options)) waiting.push(key.slice('waiting/'.length))
  const condemned = new Set<string>()
  for await (const { key } of storage.list('condemned/', options)) condemned.add(key)
  const isClosed = (session: SessionId): boolean => !open.has(session) && !indexed.has(session)

  // Somebody has put the list when the reclamation was over.
  for (const reclamation of waiting)
    if (!condemned.has(condemnedKey(reclamation))) await storage.delete(waitingKey(reclamation), options)
  for (const { session, value } of commits) {
    const record = reclaimRecordOf(value)
    if (record && isClosed(session) && !record.reclaimed.some((id) => condemned.has(condemnedKey(id))))
      await storage.delete(commitKey(session), options)
  }
  let removed = 0
  for (const session of forgotten) {
    if (!isClosed(session)) continue
    if (!(await isCommittedOrGone(repository, session, options))) continue
    // The register first: without it nothing is there to be hidden. The marker last: it leads whoever goes on here.
    await storage.delete(commitKey(session), options)
    for await (const { key } of storage.list(`labels/${session}-`, options)) await storage.delete(key, options)
    await storage.delete(pinKey(session), options)
    await storage.delete(forgottenKey(session), options)
    removed++
  }
  return removed
}

/** Whether the register of a run may go: it committed, or somebody has removed it already. */
async function isCommittedOrGone({ storage }: Repository, session: SessionId, options: AbortOptions): Promise<boolean> {
  try {
    return (await storage.get(commitKey(session), undefined, options)).length > 0
  } catch (error) {
    if (isCairnError(error, 'NOT_FOUND')) return true
    throw error
  }
}
