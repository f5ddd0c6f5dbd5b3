import path from 'node:path'
import { systemClock } from '../base/clock.ts'
import { toPrintable } from '../base/raw-name.ts'
import { hostName } from '../platform/owners.ts'
import { latestSnapshot, loadSnapshots, seriesKey } from '../snapshot/catalog.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import type { Finding } from './doctor.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'

export interface SnapshotAgesOptions {
  /** What is to be saved on this machine; raw-name text. All series of the repository when empty. */
  readonly paths: readonly string[]
  /** An older newest snapshot is a warning. */
  readonly maxAgeMs: number
}

/**
 * How old the newest snapshots are: of each path, or of each series of the same paths of one host. Checkpoints of runs that were
 * interrupted do not count.
 *
 * @throws {CairnError} as `listSnapshots`
 */
export async function examineSnapshotAges(access: RepositoryAccess, options: SnapshotAgesOptions): Promise<Finding[]> {
  const snapshots = await withRepository(access, async (repository) => {
    await repository.loadIndex(access)
    return loadSnapshots(repository, access)
  })
  const nowMs = (access.clock ?? systemClock).now()
  const host = hostName()
  const paths = options.paths.map((given) => path.resolve(given))
  const wanted =
    paths.length === 0
      ? [...Map.groupBy(snapshots, seriesKey).values()].map((series) => ({ subject: subjectOf(series), series }))
      : paths.map((wantedPath) => ({
          subject: wantedPath,
          series: snapshots.filter((snapshot) => snapshot.hostname === host && hasSaved(snapshot, wantedPath)),
        }))
  if (wanted.length === 0) return [never('the repository')]
  return wanted.map(({ subject, series }) => ageFinding(subject, latestSnapshot(series), nowMs, options.maxAgeMs))
}

function subjectOf([first]: readonly Snapshot[]): string {
  return first ? `${first.hostname}: ${first.paths.join(', ')}` : ''
}

function hasSaved({ paths }: Snapshot, wanted: string): boolean {
  return paths.some((saved) => saved === wanted || saved === '/' || wanted.startsWith(`${saved}/`))
}

function ageFinding(subject: string, newest: Snapshot | undefined, nowMs: number, maxAgeMs: number): Finding {
  if (!newest) return never(subject)
  const ageMs = nowMs - Date.parse(newest.startedAt)
  const found = `the newest snapshot, ${toPrintable(newest.name)},`
  if (ageMs < -maxAgeMs) {
    const advice = 'set the clock right; with such a snapshot nobody can tell whether newer ones are missing'
    return { status: 'warning', subject, message: `${found} is ${describeAge(-ageMs)} in the future`, advice }
  }
  if (ageMs <= maxAgeMs) return { status: 'ok', subject, message: `${found} is ${describeAge(ageMs)} old` }
  const advice = 'see whether the backup still runs, and how it ended; cairn create saves it now'
  return { status: 'warning', subject, message: `${found} is ${describeAge(ageMs)} old`, advice }
}

function never(subject: string): Finding {
  return { status: 'warning', subject, message: 'has never been saved there', advice: 'cairn create saves it' }
}

const UNITS = [
  ['day', 24 * 60 * 60 * 1000],
  ['hour', 60 * 60 * 1000],
  ['minute', 60 * 1000],
] as const

/** In the largest unit of which there are two, rounded down: `3 days`, `26 hours`. */
function describeAge(ms: number): string {
  for (const [unit, unitMs] of UNITS) if (ms >= 2 * unitMs) return `${Math.floor(ms / unitMs)} ${unit}s`
  return `${Math.max(0, Math.floor(ms / 1000))} seconds`
}
