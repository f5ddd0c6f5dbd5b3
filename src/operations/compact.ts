import { systemClock } from '../base/clock.ts'
import { parseCompression } from '../codec/compression.ts'
import { type CompactProgress, type CompactResult, DEFAULT_THRESHOLD, compact } from '../maintenance/compact.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import { explainRefusal } from './store-refusal.ts'
import { Throttle } from './throttle.ts'

export type { CompactProgress }

export interface CompactRepositoryOptions {
  readonly dryRun?: boolean | undefined
  /** A pack is rewritten when at least this share of it, 0 to 1, is needed by no snapshot. Borg's 0.1 when absent. */
  readonly threshold?: number | undefined
  /** At most so many bytes on the store are rewritten; the packs that give back most come first. No limit when absent. */
  readonly maxRepackBytes?: number | undefined
  /** Of what is rewritten, as `create` takes it. Default `zstd`. */
  readonly compression?: string | undefined
  /** Waits for runs that are open, in place of leaving the rest to the next time. */
  readonly wait?: boolean | undefined
  readonly onProgress?: ((progress: CompactProgress) => void) | undefined
}

export interface CompactedRepository extends CompactResult {
  readonly durationMs: number
}

/**
 * Gives back the space of what only deleted snapshots had. Backups and restores may go on meanwhile, and it may be interrupted at any
 * moment: the next time it goes on where it was.
 *
 * @throws {CairnError} as `compact` of maintenance; `INVALID_ARGUMENT` for an unknown compression; what opening throws
 */
export async function compactRepository(
  access: RepositoryAccess,
  options: CompactRepositoryOptions,
): Promise<CompactedRepository> {
  const { onProgress } = options
  const clock = access.clock ?? systemClock
  const startedAtMs = clock.now()
  const compression = parseCompression(options.compression ?? 'zstd')
  const throttle = new Throttle(clock)
  return withRepository(access, async (repository) => {
    const result = await explainRefusal('Cannot free space', () =>
      compact({
        repository,
        dryRun: options.dryRun ?? false,
        threshold: options.threshold ?? DEFAULT_THRESHOLD,
        maxRepackBytes: options.maxRepackBytes ?? Number.POSITIVE_INFINITY,
        compression,
        wait: options.wait ?? false,
        clock,
        signal: access.signal,
        onProgress: (progress) => {
          if (throttle.isDue()) onProgress?.(progress)
        },
      }),
    )
    return { ...result, durationMs: clock.now() - startedAtMs }
  })
}
