import os from 'node:os'
import { systemClock } from '../base/clock.ts'
import { type CheckCounts, type DataSubset, check } from '../maintenance/check.ts'
import type { CheckError, CheckNote, CheckProgress } from '../maintenance/findings.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import { Throttle } from './throttle.ts'

export type { CheckError, DataSubset }

export type CheckEvent =
  | ({ readonly type: 'progress' } & CheckProgress)
  | ({ readonly type: 'error' } & CheckError)
  /** Does no harm. */
  | ({ readonly type: 'note' } & CheckNote)

export interface CheckOptions {
  /** `latest`, a name or an id prefix; all snapshots when `undefined`. */
  readonly snapshot?: string | undefined
  /** Reads whole packs and verifies every byte: of all of them, or of some. */
  readonly readData?: boolean | DataSubset | undefined
  /** `repository`: index and packs, no trees. `snapshots`: trees, and whether the index knows all chunks. Default both. */
  readonly scope?: 'all' | 'repository' | 'snapshots' | undefined
  readonly workers?: number | undefined
  readonly onEvent?: ((event: CheckEvent) => void) | undefined
}

export interface CheckResult extends CheckCounts {
  readonly durationMs: number
}

/**
 * Proves that a repository is sound, or finds what is not: the config and the key open, index, packs and commits are there and
 * whole, trees can be read, and all they refer to is known; with `readData` also that every byte is as it was written. Other
 * runs may go on meanwhile. What is wrong is told by events and counted in the result, and never ends the check.
 *
 * @throws {CairnError} what opening throws, for a damaged config or key too; `NOT_FOUND` for an unknown snapshot
 */
export async function checkRepository(access: RepositoryAccess, options: CheckOptions): Promise<CheckResult> {
  const clock = access.clock ?? systemClock
  const { onEvent, snapshot, readData, scope, workers = os.availableParallelism() } = options
  const startedAtMs = clock.now()
  const throttle = new Throttle(clock)
  // What the store has is looked at, not what was read of it once.
  return withRepository({ ...access, cacheFolder: undefined }, async (repository) => {
    const counts = await check({
      repository,
      snapshot,
      readData,
      scope,
      workers,
      signal: access.signal,
      observer: {
        error: (error) => onEvent?.({ type: 'error', ...error }),
        note: (note) => onEvent?.({ type: 'note', ...note }),
        progress(progress) {
          if (throttle.isDue()) onEvent?.({ type: 'progress', ...progress })
        },
      },
    })
    return { ...counts, durationMs: clock.now() - startedAtMs }
  })
}
