/**
 * maintenance: looks after a repository as a whole. `check` proves that it is sound; it writes nothing, needs no locks, and runs
 * beside backups, which must never look like damage to it (checked-index.ts).
 *
 * A check surveys the store (survey.ts: index, then packs), reads every pack when told to (read-packs.ts, in worker threads
 * check-worker.ts), and walks the trees of the snapshots (check-snapshots.ts). It goes on after each error and reports all of
 * them (findings.ts): one for each damaged object, and one for each snapshot that cannot be restored wholly, with what is lost.
 */
import type { AbortOptions } from '../base/abort.ts'
import type { Repository } from '../repository/repository.ts'
import { findSnapshot } from '../snapshot/catalog.ts'
import { checkSmallObjects, readSnapshots } from './check-small-objects.ts'
import { checkSnapshots } from './check-snapshots.ts'
import { CheckedIndex } from './checked-index.ts'
import { type CheckObserver, Findings } from './findings.ts'
import { readPacks } from './read-packs.ts'
import type { SurveyedPack } from './survey.ts'

/** Which packs to read: the `part`-th of `of` parts, by pack id, so that all parts together are all packs; or so many at random. */
export type DataSubset = { readonly part: number; readonly of: number } | { readonly percent: number }

export interface CheckOptions extends AbortOptions {
  readonly repository: Repository
  /** Reads whole packs: all, or some of them. */
  readonly readData?: boolean | DataSubset | undefined
  /** What is looked at. Default `all`. */
  readonly scope?: 'all' | 'repository' | 'snapshots' | undefined
  /** The only snapshot to look at: `latest`, a name or an id prefix. */
  readonly snapshot?: string | undefined
  readonly workers: number
  readonly observer: CheckObserver
}

export interface CheckCounts {
  readonly errors: number
  /** Ids of packs that are missing or damaged. */
  readonly brokenPacks: readonly string[]
  /** Packs that the index names, and how many of them were read wholly. */
  readonly packs: number
  readonly packsRead: number
  /** Of packs. */
  readonly bytesRead: number
  /** Distinct chunks in the index. */
  readonly chunks: number
  /** Snapshots looked at, and the different trees in them. */
  readonly snapshots: number
  readonly trees: number
  /** Packs that no index names. */
  readonly orphanPacks: number
}

/**
 * Checks a repository. Damage is told to the observer and counted; nothing is repaired and nothing is written.
 *
 * @throws {CairnError} `NOT_FOUND` for an unknown snapshot; what listing the store throws; `CANCELLED`
 */
export async function check(options: CheckOptions): Promise<CheckCounts> {
  const { repository, readData = false, scope = 'all', workers, signal } = options
  const findings = new Findings(options.observer)
  const index = await CheckedIndex.load(repository, findings, scope !== 'snapshots', { signal })
  const all = await readSnapshots(repository, index.commits, findings, { signal })
  const wanted = options.snapshot === undefined ? all : [findSnapshot(all, options.snapshot)]
  if (scope !== 'snapshots') await checkSmallObjects(repository, all, findings, { signal })

  const packs = readData === false ? [] : choosePacks(index.packs, readData)
  const packsRead = packs.length > 0 ? await readPacks(packs, { repository, index, findings, workers, signal }) : 0
  const snapshots = scope === 'repository' ? [] : wanted
  const trees = await checkSnapshots(snapshots, { repository, index, findings, signal })
  return {
    errors: findings.errors,
    brokenPacks: findings.brokenPacks,
    packs: new Set(index.packs.map(({ id }) => id)).size,
    packsRead,
    bytesRead: findings.bytesRead,
    chunks: index.chunks,
    snapshots: snapshots.length,
    trees,
    orphanPacks: index.orphans.length,
  }
}

function choosePacks(packs: readonly SurveyedPack[], subset: true | DataSubset): readonly SurveyedPack[] {
  if (subset === true) return packs
  if ('of' in subset)
    return packs.filter(({ id }) => Number.parseInt(id.slice(0, 8), 16) % subset.of === subset.part - 1)
  const count = Math.min(packs.length, Math.ceil((packs.length * subset.percent) / 100))
  const shuffled = packs.map((pack) => ({ pack, rank: Math.random() })).sort((a, b) => a.rank - b.rank)
  return shuffled.slice(0, count).map(({ pack }) => pack)
}
