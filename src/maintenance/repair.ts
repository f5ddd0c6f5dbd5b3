import type { AbortOptions } from '../base/abort.ts'
import type { Clock } from '../base/clock.ts'
import { CairnError } from '../base/errors.ts'
import { type PackId, type SessionId, asPackId, asSessionId } from '../base/ids.ts'
import type { Compression } from '../repository/chunk-writer.ts'
import type { Repository } from '../repository/repository.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { type CheckCounts, type CheckOptions, check } from './check.ts'
import { deleteReclaimed } from './compact/finish.ts'
import { reclaim } from './compact/reclaim.ts'
import type { CheckError, CheckObserver } from './findings.ts'
import { waitForRuns } from './compact/waiting.ts'
import { condemn } from './repair/condemn.ts'
import { replaceCondemned } from './repair/condemned-sets.ts'
import { type DroppedLosses, dropLosses } from './repair/drop-losses.ts'
import type { LossKind } from './repair/losses.ts'
import { rebuildIndex } from './repair/rebuild-index.ts'

export type { DroppedLosses, LossKind }

export interface RepairOptions extends AbortOptions, Pick<CheckOptions, 'repository' | 'readData' | 'workers'> {
  /** Of what is written anew. */
  readonly compression: Compression
  readonly clock?: Clock | undefined
  readonly observer: RepairObserver
}

/** Told of everything that is found, as by a check, and of what is done about it. */
export interface RepairObserver extends CheckObserver {
  /** A path that is lost; empty for the top of the snapshot. Raw-name text. */
  lost(snapshot: Snapshot, path: string, kind: LossKind): void
  /** Runs have to end before anything goes on; told again and again. */
  waiting(runs: number): void
}

export interface RepairResult {
  /** What was found before. */
  readonly found: CheckCounts
  /** Errors that are left. */
  readonly remaining: readonly CheckError[]
  /** Packs that the index names again, and damaged index objects that are gone. */
  readonly indexedPacks: number
  readonly removedIndexObjects: number
  /** Packs that were lost or damaged: no run relies on them any more, and the next compaction deletes what is left of them. */
  readonly retiredPacks: number
  /** Damaged records of packs to be deleted that are gone. */
  readonly replacedCondemned: number
  /** Snapshots of which something is lost, in place of which there is what is left. */
  readonly dropped: readonly DroppedLosses[]
  /** Snapshots of which even the record is lost. */
  readonly lostSnapshots: readonly SessionId[]
}

/** How often losses are looked for again because a run that ended meanwhile relied on something that is lost. */
const MAX_ROUNDS = 5

/**
 * Checks a repository, and brings it into a state in which everything that the snapshots say is there. Does nothing where nothing is
 * damaged. The steps, of which each leaves the repository better than it was, so that the next repair goes on from there:
 *
 * 1. Damaged condemned sets, which let nobody write, are replaced (condemned-sets.ts).
 * 2. Snapshots whose records are damaged are deleted: nothing tells what was in them.
 * 3. The index is rebuilt from packs where that may help (rebuild-index.ts).
 * 4. Packs that are lost or damaged are condemned: the next backup stores again what it sees of their content. When the runs have
 *    ended that may rely on them, snapshots are replaced by what is left of them (drop-losses.ts), and what is sound in those packs is
 *    moved. Packs are deleted by the next compaction only.
 *
 * @throws {CairnError} what cannot be told to be damage, for the store does not answer or a newer version wrote it, before anything
 *   is changed; `SESSION_FENCED`, what the store throws, `CANCELLED`: then run it again
 */
export async function repair(options: RepairOptions): Promise<RepairResult> {
  return new Repair(options).run()
}

interface Inspection {
  readonly counts: CheckCounts
  readonly errors: readonly CheckError[]
}

class Repair {
  readonly #options: RepairOptions
  readonly #repository: Repository
  readonly #done = { indexedPacks: 0, removedIndexObjects: 0, retiredPacks: 0, replacedCondemned: 0 }
  readonly #dropped: DroppedLosses[] = []
  readonly #lostSnapshots: SessionId[] = []

  constructor(options: RepairOptions) {
    this.#options = options
    this.#repository = options.repository
  }

  async run(): Promise<RepairResult> {
    const first = await this.#inspect(this.#options.observer, this.#options.readData)
    requireDamageOnly(first.errors)
    let found = first
    if (await this.#repairRecords(first.errors)) {
      // The index is to be believed now, so packs can be judged by it.
      if (await this.#rebuildIndex(found.errors)) found = await this.#inspect(QUIET, this.#options.readData)
      requireDamageOnly(found.errors)
      await this.#retireBroken(found)
    }
    const last = first.errors.length === 0 ? first : await this.#inspect(QUIET, false)
    return {
      found: first.counts,
      remaining: last.errors,
      ...this.#done,
      dropped: this.#dropped,
      lostSnapshots: this.#lostSnapshots,
    }
  }

  async #inspect(observer: CheckObserver, readData: CheckOptions['readData']): Promise<Inspection> {
    const { repository, workers, signal } = this.#options
    const errors: CheckError[] = []
    const counts = await check({
      repository,
      readData,
      workers,
      signal,
      observer: {
        error(error) {
          errors.push(error)
          observer.error(error)
        },
        note: (note) => observer.note(note),
        progress: (progress) => this.#options.observer.progress(progress),
      },
    })
    return { counts, errors }
  }

  /** Steps 1 and 2. Returns whether there is anything at all to repair. */
  async #repairRecords(errors: readonly CheckError[]): Promise<boolean> {
    if (errors.length === 0) return false
    const condemned = damagedObjects(errors, 'condemned/')
    if (condemned.length > 0) {
      await replaceCondemned(this.#repository, condemned, this.#waitOptions())
      this.#done.replacedCondemned += condemned.length
    }
    for (const key of damagedObjects(errors, 'commits/')) {
      const session = asSessionId(key.slice('commits/'.length))
      if (!session) continue
      await this.#repository.forget(session, this.#options)
      this.#lostSnapshots.push(session)
    }
    return true
  }

  /** Step 3. Returns whether the index says something else than before. */
  async #rebuildIndex(errors: readonly CheckError[]): Promise<boolean> {
    const damaged = new Set(damagedObjects(errors, 'index/'))
    // What snapshots miss may be in packs that nobody names.
    if (damaged.size === 0 && !errors.some(({ snapshot }) => snapshot)) return false
    const { packs, removed } = await rebuildIndex(this.#repository, damaged, this.#options)
    this.#done.indexedPacks += packs
    this.#done.removedIndexObjects += removed.length
    return packs + removed.length > 0
  }

  /** Step 4. */
  async #retireBroken({ counts, errors }: Inspection): Promise<void> {
    const broken = counts.brokenPacks.flatMap((text): PackId[] => {
      const id = asPackId(text)
      return id ? [id] : []
    })
    if (broken.length === 0 && !errors.some(({ snapshot }) => snapshot)) return
    const { signal, clock, compression } = this.#options
    await condemn(this.#repository, broken, { signal })
    for (let round = 1; ; round++) {
      const ready = await waitForRuns(this.#repository, this.#waitOptions())
      this.#dropped.push(
        ...(await dropLosses(this.#repository, {
          signal,
          clock,
          compression,
          onLost: (snapshot, path, kind) => this.#options.observer.lost(snapshot, path, kind),
        })),
      )
      if (broken.length === 0) return
      const reclaimed = await reclaim(this.#repository, ready, { signal, clock, compression })
      if (reclaimed) {
        // Packs, and the sets that name them, go with the next compaction, which finds the record of this one.
        await deleteReclaimed(this.#repository, { ...reclaimed, reclaimed: [] }, new Map(), { signal })
        this.#done.retiredPacks += broken.length
        return
      }
      if (round === MAX_ROUNDS) throw othersReclaim()
    }
  }

  #waitOptions(): { signal: AbortSignal | undefined; onWaiting: (runs: number) => void } {
    return { signal: this.#options.signal, onWaiting: (runs) => this.#options.observer.waiting(runs) }
  }
}

const QUIET: CheckObserver = { error: () => undefined, note: () => undefined, progress: () => undefined }

/** Keys below a prefix of objects that are damaged themselves. */
function damagedObjects(errors: readonly CheckError[], prefix: string): string[] {
  return errors.flatMap(({ object, snapshot }) => (object.startsWith(prefix) && !snapshot ? [object] : []))
}

const NEEDED = ['packs/', 'index/', 'commits/', 'condemned/']

/** Refuses to take for lost what only cannot be read now, or not by this version. */
function requireDamageOnly(errors: readonly CheckError[]): void {
  for (const { code, object, message } of errors) {
    if (code === 'DATA_CORRUPT' || !NEEDED.some((prefix) => object.startsWith(prefix))) continue
    throw new CairnError(
      code,
      `Cannot repair the repository: ${object} may be sound, but could not be read (${message}); ` +
        'see to it that it can be, or move it away if it is lost, and run this again',
      { details: { object } },
    )
  }
}

function othersReclaim(): CairnError {
  return new CairnError(
    'SESSION_FENCED',
    `Cannot finish the repair: other runs began to reclaim space ${MAX_ROUNDS} times meanwhile; run it again when they have ended`,
  )
}
