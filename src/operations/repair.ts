import os from 'node:os'
import { systemClock } from '../base/clock.ts'
import { parseCompression } from '../codec/compression.ts'
import type { CheckError } from '../maintenance/findings.ts'
import { type LossKind, type RepairResult, repair } from '../maintenance/repair.ts'
import type { CheckEvent, CheckOptions } from './check.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import { explainRefusal } from './store-refusal.ts'
import { Throttle } from './throttle.ts'

export type { CheckError, LossKind }

export type RepairEvent =
  | CheckEvent
  /** A path that is lost; empty for the top of the snapshot. Raw-name text. */
  | {
      readonly type: 'lost'
      readonly snapshot: string
      readonly name: string
      readonly path: string
      readonly kind: LossKind
    }
  /** So many runs have to end first. */
  | { readonly type: 'waiting'; readonly runs: number }

export interface RepairOptions extends Pick<CheckOptions, 'readData' | 'workers'> {
  readonly onEvent?: ((event: RepairEvent) => void) | undefined
}

export interface RepairedRepository extends RepairResult {
  readonly durationMs: number
}

/**
 * Checks a repository and repairs what is damaged: rebuilds the index from packs, has no run rely on broken packs any more, and
 * replaces snapshots of which something is lost by what is left of them. Waits for runs that are open where it has to.
 *
 * @throws {CairnError} as `repair` of maintenance; what opening throws
 */
export async function repairRepository(access: RepositoryAccess, options: RepairOptions): Promise<RepairedRepository> {
  const clock = access.clock ?? systemClock
  const { onEvent, readData, workers = os.availableParallelism() } = options
  const startedAtMs = clock.now()
  const throttle = new Throttle(clock)
  // What the store has is looked at, not what was read of it once.
  return withRepository({ ...access, cacheFolder: undefined }, async (repository) => {
    const result = await explainRefusal('Cannot repair the repository', () =>
      repair({
        repository,
        readData,
        workers,
        compression: parseCompression('zstd'),
        clock,
        signal: access.signal,
        observer: {
          error: (error) => onEvent?.({ type: 'error', ...error }),
          note: (note) => onEvent?.({ type: 'note', ...note }),
          progress(progress) {
            if (throttle.isDue()) onEvent?.({ type: 'progress', ...progress })
          },
          lost: ({ id, name }, path, kind) => onEvent?.({ type: 'lost', snapshot: id, name, path, kind }),
          waiting: (runs) => onEvent?.({ type: 'waiting', runs }),
        },
      }),
    )
    return { ...result, durationMs: clock.now() - startedAtMs }
  })
}
