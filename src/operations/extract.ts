import os from 'node:os'
import path from 'node:path'
import { systemClock } from '../base/clock.ts'
import { CairnError } from '../base/errors.ts'
import { type RestoreIssue, type RestoreObserver, restore } from '../restorer/restorer.ts'
import { findSnapshot, loadSnapshots } from '../snapshot/catalog.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import { type SnapshotInfo, toSnapshotInfo } from './snapshot-info.ts'

export type ExtractEvent =
  | {
      readonly type: 'progress'
      readonly filesDone: number
      readonly bytesDone: number
      /** Totals of the snapshot; `undefined` when only parts of it are restored. */
      readonly filesTotal: number | undefined
      readonly bytesTotal: number | undefined
      readonly issues: number
      readonly currentPath: string
    }
  | { readonly type: 'entry'; readonly path: string; readonly sizeBytes: number }
  | ({ readonly type: 'issue' } & RestoreIssue)

export interface ExtractOptions {
  /** `latest`, a name or an id prefix. */
  readonly snapshot: string
  /** Paths inside the snapshot; all when empty. */
  readonly paths: readonly string[]
  /** Folder to write below; made when missing. */
  readonly target: string
  readonly workers?: number | undefined
  readonly listEntries?: boolean | undefined
  readonly onEvent?: ((event: ExtractEvent) => void) | undefined
}

export interface ExtractResult {
  readonly snapshot: SnapshotInfo
  readonly files: number
  readonly directories: number
  readonly otherEntries: number
  readonly bytes: number
  readonly issues: number
  readonly durationMs: number
}

/**
 * Restores a snapshot, or paths of it, below `target`, verifying every chunk. Existing files are refused as issues, never
 * overwritten; directories are shared.
 *
 * @throws {CairnError} `NOT_FOUND`, `TARGET_FAILED`; `DATA_CORRUPT` when stored data is damaged, after everything else is restored
 */
export async function extractSnapshot(access: RepositoryAccess, options: ExtractOptions): Promise<ExtractResult> {
  const clock = access.clock ?? systemClock
  const startedAtMs = clock.now()
  return withRepository(access, async (repository) => {
    await repository.loadIndex(access)
    const snapshot = findSnapshot(await loadSnapshots(repository, access), options.snapshot)
    const counter = new Counter(options, snapshot, clock)
    await restore({
      repository,
      tree: snapshot.tree,
      paths: options.paths.map((given) => given.replace(/^\/+/, '')),
      target: path.resolve(options.target),
      workers: options.workers ?? os.availableParallelism(),
      observer: counter,
      signal: access.signal,
    })
    const { damaged, files, directories, otherEntries, bytesDone, issues } = counter
    if (damaged.length > 0) {
      throw new CairnError(
        'DATA_CORRUPT',
        `Cannot restore everything: stored data of ${damaged.length} ${damaged.length === 1 ? 'entry is' : 'entries are'} damaged; the rest is restored`,
        { details: { paths: damaged.slice(0, 100) } },
      )
    }
    const info = toSnapshotInfo(snapshot, repository.index)
    return {
      snapshot: info,
      files,
      directories,
      otherEntries,
      bytes: bytesDone,
      issues,
      durationMs: clock.now() - startedAtMs,
    }
  })
}

/** Time between two progress events. */
const PROGRESS_MS = 100

/** Counts what the restorer reports, and passes it on. */
class Counter implements RestoreObserver {
  readonly #options: ExtractOptions
  readonly #totals: Snapshot['stats'] | undefined
  readonly #clock: { now(): number }
  #lastProgressMs = 0
  files = 0
  directories = 0
  otherEntries = 0
  bytesDone = 0
  issues = 0
  readonly damaged: string[] = []

  constructor(options: ExtractOptions, snapshot: Snapshot, clock: { now(): number }) {
    this.#options = options
    this.#totals = options.paths.length === 0 ? snapshot.stats : undefined
    this.#clock = clock
  }

  entry(path: string, { type, sizeBytes }: { type: string; sizeBytes: number }): void {
    if (type === 'file') this.files++
    else if (type === 'dir') this.directories++
    else this.otherEntries++
    const { onEvent, listEntries } = this.#options
    if (listEntries) onEvent?.({ type: 'entry', path, sizeBytes })
    this.#progress(path)
  }

  #progress(currentPath: string): void {
    const { onEvent } = this.#options
    const now = this.#clock.now()
    // Either way round: a clock may jump back.
    if (!onEvent || Math.abs(now - this.#lastProgressMs) < PROGRESS_MS) return
    this.#lastProgressMs = now
    const totals = this.#totals
    onEvent({
      type: 'progress',
      filesDone: this.files,
      bytesDone: this.bytesDone,
      filesTotal: totals && totals.filesNew + totals.filesChanged + totals.filesUnmodified,
      bytesTotal: totals?.originalBytes,
      issues: this.issues,
      currentPath,
    })
  }

  bytes(count: number, path: string): void {
    this.bytesDone += count
    this.#progress(path)
  }

  issue(issue: RestoreIssue): void {
    this.issues++
    if (issue.code === 'DATA_CORRUPT') this.damaged.push(issue.path)
    this.#options.onEvent?.({ type: 'issue', ...issue })
  }
}
