import { setTimeout as sleep } from 'node:timers/promises'
import type { AbortOptions } from '../../base/abort.ts'
import type { PackId } from '../../base/ids.ts'
import { type CondemnedSets, putCondemned, readCondemned } from '../../repository/low-level.ts'
import type { Repository } from '../../repository/repository.ts'
import { openRuns } from '../compact/waiting.ts'

export interface WaitOptions extends AbortOptions {
  readonly onWaiting?: ((runs: number) => void) | undefined
}

/** How often it is looked whether runs have ended. */
export const POLL_MS = 2000

/**
 * Has no run rely on these packs that begins from now on: puts them into a condemned set, those that are in none yet. What is sound
 * in them can be moved once the runs have ended that may rely on them.
 */
export async function condemn(
  { storage, keys }: Repository,
  packs: readonly PackId[],
  options: AbortOptions,
): Promise<void> {
  const condemned = new Set([...(await readCondemned(storage, keys, options)).values()].flat())
  const rest = packs.filter((id) => !condemned.has(id))
  if (rest.length > 0) await putCondemned(storage, keys, rest, options)
}

/** Waits until nobody is left who may rely on a condemned pack. Returns the sets that this is true of: all there are. */
export async function waitForRuns(repository: Repository, options: WaitOptions): Promise<CondemnedSets> {
  for (;;) {
    const condemned = await readCondemned(repository.storage, repository.keys, options)
    const open = await openRuns(repository, condemned, options)
    if (open.size === 0) return condemned
    options.onWaiting?.(open.size)
    await sleep(POLL_MS, undefined, { signal: options.signal })
  }
}
