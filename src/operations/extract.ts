import os from 'node:os'
import path from 'node:path'
import { type Clock, systemClock } from '../base/clock.ts'
import { CairnError } from '../base/errors.ts'
import type { Repository } from '../repository/repository.ts'
import { CONFLICTS, type Conflict } from '../restorer/conflict.ts'
import { type RestoreAction, type RestoreIssue, type RestoreObserver, restore } from '../restorer/restorer.ts'
import { streamContents } from '../restorer/stream-contents.ts'
import { findSnapshot, loadSnapshots } from '../snapshot/catalog.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { type PatternOption, selectPaths } from './path-selection.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import { Throttle } from './throttle.ts'
import { type SnapshotInfo, toSnapshotInfo } from './snapshot-info.ts'

export { CONFLICTS }
export type { Conflict, PatternOption, RestoreAction }

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
  | { readonly type: 'entry'; readonly path: string; readonly sizeBytes: number; readonly action: RestoreAction }
  | ({ readonly type: 'issue' } & RestoreIssue)

/** Which entries of which snapshot. */
export interface ExtractSelection {
  /** `latest`, a name or an id prefix. */
  readonly snapshot: string
  /** Paths inside the snapshot, or patterns with their style in front (`sh:**` …); all when empty. */
  readonly paths: readonly string[]
  /** What to leave out. */
  readonly patterns?: readonly PatternOption[] | undefined
}

export interface ExtractOptions extends ExtractSelection {
  /** Folder to write below; made when missing. */
  readonly target: string
  readonly workers?: number | undefined
  /** What to do where something is already; `fail` unless told. */
  readonly conflict?: Conflict | undefined
  /** Writes nothing; events tell what would be done. */
  readonly dryRun?: boolean | undefined
  /** Reads every restored file back and compares it with what it should be. */
  readonly verify?: boolean | undefined
  /** So many leading names of each path are left away, and entries that have no more. */
  readonly stripComponents?: number | undefined
  /** Owners by number, even where the snapshot has names that this system knows. */
  readonly numericIds?: boolean | undefined
  /** Leave these alone: extended attributes but for ACLs, ACLs, file flags. */
  readonly noXattrs?: boolean | undefined
  readonly noAcls?: boolean | undefined
  readonly noFlags?: boolean | undefined
  readonly listEntries?: boolean | undefined
  readonly onEvent?: ((event: ExtractEvent) => void) | undefined
}

export interface ExtractResult {
  readonly snapshot: SnapshotInfo
  /** Restored, be it as new ones or in place of others. */
  readonly files: number
  readonly directories: number
  readonly otherEntries: number
  /** Files whose content was right already. */
  readonly filesUnchanged: number
  /** Entries left alone, and entries removed, since something was in the target. */
  readonly entriesKept: number
  readonly entriesDeleted: number
  /** Content written, and content that was right already. */
  readonly bytes: number
  readonly bytesUnchanged: number
  readonly issues: number
  readonly durationMs: number
}

/**
 * Restores a snapshot, or paths of it, below `target`, verifying every chunk. What is there already is dealt with as `conflict`
 * says; directories are shared.
 *
 * @throws {CairnError} `NOT_FOUND`, `TARGET_FAILED`, `INVALID_ARGUMENT`; `DATA_CORRUPT` when stored data is damaged, after
 *   everything else is restored
 */
export async function extractSnapshot(access: RepositoryAccess, options: ExtractOptions): Promise<ExtractResult> {
  const clock = access.clock ?? systemClock
  const startedAtMs = clock.now()
  const { conflict = 'fail', dryRun = false, verify = false, stripComponents = 0, numericIds = false } = options
  const selection = selectEntries(options)
  return withRepository(access, async (repository) => {
    const snapshot = await openSnapshot(access, repository, options.snapshot)
    const isWhole = selection.paths.length === 0 && !selection.patterns && stripComponents === 0
    const counter = new Counter(options, isWhole ? snapshot.stats : undefined, clock)
    await restore({
      repository,
      tree: snapshot.tree,
      root: snapshot.root,
      paths: selection.paths,
      select:
        selection.patterns && ((entry) => (selection.patterns as NonNullable<typeof selection.patterns>).decide(entry)),
      target: path.resolve(options.target),
      workers: options.workers ?? os.availableParallelism(),
      conflict,
      dryRun,
      verify,
      stripComponents,
      numericIds,
      xattrs: options.noXattrs !== true,
      acls: options.noAcls !== true,
      flags: options.noFlags !== true,
      observer: counter,
      signal: access.signal,
    })
    for (const pattern of selection.patterns?.unmatched() ?? []) counter.unmatched(pattern)
    counter.failIfDamaged()
    return {
      snapshot: toSnapshotInfo(snapshot, repository.index),
      ...counter.totals(),
      durationMs: clock.now() - startedAtMs,
    }
  })
}

/**
 * Gives the contents of the selected files, one after the other in the order of the snapshot. `write` gets pieces that are good
 * until it resolves; when it resolves to `false`, nobody wants more.
 *
 * @throws {CairnError} `NOT_FOUND`; `DATA_CORRUPT` at the first file that is damaged, for what follows would be in the wrong place
 */
export async function extractContents(
  access: RepositoryAccess,
  options: ExtractSelection,
  write: (piece: Uint8Array) => Promise<boolean>,
): Promise<void> {
  const { paths, patterns } = selectEntries(options)
  return withRepository(access, async (repository) => {
    const { tree } = await openSnapshot(access, repository, options.snapshot)
    const decide = patterns && ((entry: string) => patterns.decide(entry))
    await streamContents({ repository, tree, paths, select: decide, signal: access.signal }, write)
  })
}

/** Reads what was asked for. @throws {CairnError} `INVALID_ARGUMENT` */
export function selectEntries({ paths, patterns = [] }: ExtractSelection): ReturnType<typeof selectPaths> {
  return selectPaths(
    paths.map((given) => given.replace(/^\/+/, '')),
    patterns,
  )
}

/** A snapshot by its name, with the index loaded. */
export async function openSnapshot(access: RepositoryAccess, repository: Repository, name: string): Promise<Snapshot> {
  await repository.loadIndex(access)
  return findSnapshot(await loadSnapshots(repository, access), name)
}

/** Counts what the restorer reports, and passes it on. */
class Counter implements RestoreObserver {
  readonly #options: ExtractOptions
  readonly #totals: Snapshot['stats'] | undefined
  readonly #throttle: Throttle
  #files = 0
  #directories = 0
  #otherEntries = 0
  #filesUnchanged = 0
  #entriesKept = 0
  #entriesDeleted = 0
  #bytes = 0
  #bytesUnchanged = 0
  #issues = 0
  readonly #damaged: string[] = []

  constructor(options: ExtractOptions, totals: Snapshot['stats'] | undefined, clock: Clock) {
    this.#options = options
    this.#totals = totals
    this.#throttle = new Throttle(clock)
  }

  totals(): Omit<ExtractResult, 'snapshot' | 'durationMs'> {
    return {
      files: this.#files,
      directories: this.#directories,
      otherEntries: this.#otherEntries,
      filesUnchanged: this.#filesUnchanged,
      entriesKept: this.#entriesKept,
      entriesDeleted: this.#entriesDeleted,
      bytes: this.#bytes,
      bytesUnchanged: this.#bytesUnchanged,
      issues: this.#issues,
    }
  }

  entry(entry: string, { type, sizeBytes }: { type: string; sizeBytes: number }, action: RestoreAction): void {
    if (action === 'kept') this.#entriesKept++
    else if (action === 'deleted') this.#entriesDeleted++
    else if (type === 'dir') this.#directories++
    else if (type !== 'file') this.#otherEntries++
    else if (action === 'unchanged') {
      this.#filesUnchanged++
      this.#bytesUnchanged += sizeBytes
    } else this.#files++
    const { onEvent, listEntries } = this.#options
    if (listEntries) onEvent?.({ type: 'entry', path: entry, sizeBytes, action })
    this.#progress(entry)
  }

  #progress(currentPath: string): void {
    const { onEvent } = this.#options
    if (!onEvent || !this.#throttle.isDue()) return
    const totals = this.#totals
    onEvent({
      type: 'progress',
      filesDone: this.#files + this.#filesUnchanged,
      bytesDone: this.#bytes + this.#bytesUnchanged,
      filesTotal: totals && totals.filesNew + totals.filesChanged + totals.filesUnmodified,
      bytesTotal: totals?.originalBytes,
      issues: this.#issues,
      currentPath,
    })
  }

  bytes(count: number, entry: string): void {
    this.#bytes += count
    this.#progress(entry)
  }

  issue(issue: RestoreIssue): void {
    this.#issues++
    if (issue.code === 'DATA_CORRUPT') this.#damaged.push(issue.path)
    this.#options.onEvent?.({ type: 'issue', ...issue })
  }

  unmatched(pattern: string): void {
    this.issue({ path: pattern, message: 'nothing in the snapshot matches it', code: 'NOT_FOUND' })
  }

  failIfDamaged(): void {
    const count = this.#damaged.length
    if (count === 0) return
    throw new CairnError(
      'DATA_CORRUPT',
      `Cannot restore everything: stored data of ${count} ${count === 1 ? 'entry is' : 'entries are'} damaged; the rest is restored`,
      { details: { paths: this.#damaged.slice(0, 100) } },
    )
  }
}
