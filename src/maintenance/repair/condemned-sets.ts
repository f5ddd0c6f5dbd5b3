import { CairnError } from '../../base/errors.ts'
import { type PackId, asPackId } from '../../base/ids.ts'
import { SessionEnds, condemnedKey, listSessions, putCondemned, waitingKey } from '../../repository/low-level.ts'
import { type Repository, packKey } from '../../repository/repository.ts'
import { deleteReclaimed } from '../compact/finish.ts'
import { reclaimRecordOf } from '../compact/reclaim.ts'
import { type WaitOptions, pause } from '../compact/waiting.ts'

/**
 * Removes condemned sets that are damaged: as long as one is there, nobody writes. docs/concurrency.md, "Repair", says why the
 * order of steps is safe.
 *
 * @param damaged their keys
 * @throws {CairnError} `DATA_CORRUPT` when a commit record or an index object is damaged as well that would have to be known
 */
export async function replaceCondemned(
  repository: Repository,
  damaged: readonly string[],
  options: WaitOptions,
): Promise<void> {
  const { storage } = repository
  await waitForAllRuns(repository, options)
  if (await endReclamations(repository, damaged, options)) await condemnUnnamed(repository, damaged, options)
  for (const key of damaged) {
    await storage.delete(waitingKey(key.slice(condemnedKey('').length)), options)
    await storage.delete(key, options)
  }
}

/** Waits until every run has ended that is open now. Who comes later sees the damaged set, and ends by itself. */
async function waitForAllRuns({ storage, keys }: Repository, options: WaitOptions): Promise<void> {
  const sessions = [...(await listSessions(storage, options)).keys()]
  for (;;) {
    const open = await new SessionEnds(storage, keys, options).openOf(sessions)
    if (open.length === 0) return
    await pause(open.length, options)
  }
}

/** Deletes the index objects that were replaced by reclamations of these sets. Returns whether there was such a reclamation. */
async function endReclamations(
  repository: Repository,
  damaged: readonly string[],
  options: WaitOptions,
): Promise<boolean> {
  const onDamaged = (error: CairnError): never => refuse(damaged, String(error.details['object']), error)
  await repository.loadIndex({ signal: options.signal, onDamaged: () => undefined })
  let hasEnded = false
  for (const { value } of await repository.loadCommits({ signal: options.signal, onDamaged })) {
    const record = reclaimRecordOf(value)
    if (!record?.reclaimed.some((reclamation) => damaged.includes(condemnedKey(reclamation)))) continue
    await deleteReclaimed(repository, { ...record, reclaimed: [] }, new Map(), options)
    hasEnded = true
  }
  return hasEnded
}

/** Condemns every pack that no index object names: the packs that a reclamation is still about to delete are among them. */
async function condemnUnnamed(repository: Repository, damaged: readonly string[], options: WaitOptions): Promise<void> {
  const { storage, keys } = repository
  const unnamed = new Set<PackId>()
  for await (const { key } of storage.list('packs/', options)) {
    const id = asPackId(key.slice('packs/xx/'.length))
    if (id && key === packKey(id)) unnamed.add(id)
  }
  const onDamaged = (error: CairnError): never => refuse(damaged, String(error.details['object']), error)
  await repository.loadIndex({ signal: options.signal, onDamaged })
  const { packs, condemned } = repository.index
  for (const { id } of [...packs, ...(condemned?.packs ?? [])]) unnamed.delete(id as PackId)
  if (unnamed.size > 0) await putCondemned(storage, keys, [...unnamed], options)
}

function refuse(damaged: readonly string[], object: string, cause: CairnError): never {
  throw new CairnError(
    'DATA_CORRUPT',
    `Cannot repair ${damaged.join(', ')}: ${object} is damaged too, so it cannot be told whether packs are being deleted; ` +
      'make sure that no other run is at work on this repository, delete the former by hand, and run this again',
    { cause, details: { object } },
  )
}
