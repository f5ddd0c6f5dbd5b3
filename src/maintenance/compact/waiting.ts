import type { AbortOptions } from '../../base/abort.ts'
import type { SessionId } from '../../base/ids.ts'
import { type CondemnedSets, SessionEnds } from '../../repository/low-level.ts'
import type { Repository } from '../../repository/repository.ts'

/**
 * Step G4 of docs/concurrency.md, and what G5 asks first: lists the runs that each reclamation has to wait for, unless somebody
 * has done so, and returns those that have not ended. A run that is known to be dead, or has ended without a commit by its own hand,
 * is fenced: then it can never commit, and nobody has to wait for it.
 */
export async function openRuns(
  { storage, keys }: Repository,
  condemned: CondemnedSets,
  options: AbortOptions,
): Promise<ReadonlySet<SessionId>> {
  const open = new Set<SessionId>()
  const ends = new SessionEnds(storage, keys, options)
  for (const reclamation of condemned.keys())
    for (const session of await ends.openOf(await ends.waitedFor(reclamation))) open.add(session)
  return open
}
