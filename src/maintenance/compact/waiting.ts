import { setTimeout as sleep } from 'node:timers/promises'
import { type AbortOptions, throwIfAborted } from '../../base/abort.ts'
import type { SessionId } from '../../base/ids.ts'
import { type CondemnedSets, SessionEnds, readCondemned } from '../../repository/low-level.ts'
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

export interface WaitOptions extends AbortOptions {
  readonly onWaiting?: ((runs: number) => void) | undefined
}

/** How often it is looked whether runs have ended. */
const POLL_MS = 2000

/** Waits until nobody is left who may rely on a condemned pack. Returns the sets that this is true of: all there are. */
export async function waitForRuns(repository: Repository, options: WaitOptions): Promise<CondemnedSets> {
  for (;;) {
    const condemned = await readCondemned(repository.storage, repository.keys, options)
    const open = await openRuns(repository, condemned, options)
    if (open.size === 0) return condemned
    await pause(open.size, options)
  }
}

/** Tells that so many runs are waited for, and lets some time pass. */
export async function pause(runs: number, { signal, onWaiting }: WaitOptions): Promise<void> {
  onWaiting?.(runs)
  await sleep(POLL_MS, undefined, { signal }).catch(() => throwIfAborted(signal))
}
