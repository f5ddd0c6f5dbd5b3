import { systemClock } from '../base/clock.ts'
import type { SourceTotals } from '../sources/source.ts'
import { CreateCounter } from './create-counter.ts'
import { type CreateOptions, openSource } from './create.ts'
import type { RepositoryAccess } from './repository-access.ts'

export interface DryRunResult extends SourceTotals {
  readonly directories: number
  readonly issues: number
  readonly durationMs: number
}

/** Walks what a backup would save, reads and stores nothing, and needs no repository. Entries have the status `-`, or `x` when left out. */
export async function dryRunCreate(
  access: Pick<RepositoryAccess, 'signal' | 'clock'>,
  options: Omit<CreateOptions, 'name'>,
): Promise<DryRunResult> {
  const clock = access.clock ?? systemClock
  const startedAtMs = clock.now()
  const counter = new CreateCounter(options, clock)
  const source = await openSource(options, counter, access)
  await using walk = source.walk(counter, access)
  const totals = { files: 0, bytes: 0, directories: 0 }
  for await (const batch of walk) {
    for (const entry of batch) {
      if (entry.ancestor) continue
      if (entry.type === 'dir') totals.directories++
      else if (entry.type === 'file') {
        totals.files++
        totals.bytes += !entry.link || entry.link.isFirst ? entry.sizeBytes : 0
      }
      counter.list('-', entry.path, entry.sizeBytes)
    }
  }
  return { ...totals, issues: counter.issues, durationMs: clock.now() - startedAtMs }
}
