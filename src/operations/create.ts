import os from 'node:os'
import { type ArchiveObserver, type EntryStatus, archive } from '../archiver/archiver.ts'
import { systemClock } from '../base/clock.ts'
import { isCairnError } from '../base/errors.ts'
import { parseCompression } from '../codec/compression.ts'
import { currentUser, hostName } from '../platform/owners.ts'
import type { Repository } from '../repository/repository.ts'
import { WriteSession } from '../repository/write-session.ts'
import { findParent, loadSnapshots } from '../snapshot/catalog.ts'
import { type Snapshot, encodeSnapshot } from '../snapshot/snapshot.ts'
import { openFolderSource } from '../sources/folder-source.ts'
import { readAhead } from '../sources/read-ahead.ts'
import type { Source, SourceEntry, SourceIssue, SourceTotals } from '../sources/source.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import {
  type CreateStats,
  type RepositoryTotals,
  type SnapshotInfo,
  toSnapshotInfo,
  totalsOf,
} from './snapshot-info.ts'
import { VERSION } from './version.ts'

export type { CreateStats, EntryStatus, RepositoryTotals, SnapshotInfo }

export type CreateEvent =
  | {
      /** Counters so far; sent at most about ten times a second. */
      readonly type: 'progress'
      readonly filesDone: number
      readonly bytesDone: number
      /** Totals as far as known: those of the parent snapshot, or of `countAhead` once it is done. */
      readonly filesTotal: number | undefined
      readonly bytesTotal: number | undefined
      readonly issues: number
      readonly currentPath: string
    }
  | { readonly type: 'entry'; readonly status: EntryStatus; readonly path: string; readonly sizeBytes: number }
  | {
      readonly type: 'issue'
      readonly during: 'scan' | 'read'
      readonly path: string
      readonly message: string
      readonly code: string
    }

export interface CreateOptions {
  readonly name: string
  /** The name was not the user's choice: when it is taken, `-2`, `-3` … is appended. */
  readonly nameIsDefault?: boolean | undefined
  /** Files and folders, absolute or relative to the working directory; raw-name text. */
  readonly paths: readonly string[]
  /** Like `zstd,3`; the default when absent. */
  readonly compression?: string | undefined
  readonly comment?: string | undefined
  readonly commandLine?: readonly string[] | undefined
  /** Worker threads; the number of processors when absent. */
  readonly workers?: number | undefined
  /** Count the source in a thread of its own when no parent snapshot tells the totals: for people who watch the progress. */
  readonly countAhead?: boolean | undefined
  /** Send an `entry` event per entry. */
  readonly listEntries?: boolean | undefined
  readonly onEvent?: ((event: CreateEvent) => void) | undefined
}

export interface CreateResult {
  readonly repositoryId: string
  readonly snapshot: SnapshotInfo
  /** Over all snapshots, this one included. */
  readonly totals: RepositoryTotals
  readonly issues: number
  readonly durationMs: number
}

/**
 * Backs up `paths` as one snapshot. When some source data could not be read, the snapshot exists, is marked incomplete, and
 * `issues` is not 0.
 *
 * @throws {CairnError} `SNAPSHOT_EXISTS` when the name is taken, `SOURCE_FAILED` when a path does not exist; then nothing is saved
 */
export async function createSnapshot(access: RepositoryAccess, options: CreateOptions): Promise<CreateResult> {
  const clock = access.clock ?? systemClock
  const startedAtMs = clock.now()
  const source = openFolderSource(options.paths, process.cwd())
  const counter = new Counter(options, clock)
  // The walk starts while the key is derived and the index is read.
  const entries = readAhead(source.entries((issue) => counter.report('scan', issue), access))
  return withRepository(access, async (repository) => {
    const session = await WriteSession.open(repository, access)
    try {
      return await runSession({
        access,
        options,
        repository,
        session,
        source,
        entries,
        counter,
        startedAtMs,
      })
    } catch (error) {
      await session.abandon()
      throw error
    }
  })
}

interface Run {
  readonly access: RepositoryAccess
  readonly options: CreateOptions
  readonly repository: Repository
  readonly session: WriteSession
  readonly source: Source
  readonly entries: AsyncIterable<SourceEntry[]>
  readonly counter: Counter
  readonly startedAtMs: number
}

async function runSession(run: Run): Promise<CreateResult> {
  const { access, options, repository, session, source, entries, counter, startedAtMs } = run
  const { paths } = source
  const clock = access.clock ?? systemClock
  const name = await claimName(session, options)
  const snapshots = await loadSnapshots(repository, access)
  const parent = findParent(snapshots, hostName(), paths)
  counter.totals = parent && { files: filesOf(parent), bytes: parent.stats.originalBytes }
  await using counting = options.countAhead && !parent ? source.count?.() : undefined
  counting?.totals.then(
    (totals) => (counter.totals = totals),
    () => undefined, // totals are for people who watch; the walk itself reports what is wrong
  )
  const archived = await archive({
    entries,
    keys: repository.keys,
    chunker: repository.config.chunker,
    compression: parseCompression(options.compression ?? 'zstd'),
    table: repository.table,
    loadChunk: (id) => repository.readChunk(id, access),
    storePack: (pack) => session.storePack(pack),
    parent,
    startedAtMs,
    workers: options.workers ?? os.availableParallelism(),
    observer: counter,
    signal: access.signal,
  })
  await session.flushIndex()
  const { data, trees } = archived
  const snapshot: Snapshot = {
    id: session.id,
    name,
    startedAt: new Date(startedAtMs).toISOString(),
    endedAt: new Date(clock.now()).toISOString(),
    hostname: hostName(),
    username: currentUser().name,
    paths,
    comment: options.comment ?? '',
    tags: [],
    issues: counter.issues,
    programVersion: VERSION,
    commandLine: options.commandLine ?? [],
    tree: archived.tree,
    stamps: archived.stamps,
    samples: undefined,
    root: undefined,
    checkpoint: false,
    parent: parent?.id,
    stats: {
      ...counter.stats(),
      addedBytes: data.newBytes,
      storedBytes: session.storedBytes,
      chunksTotal: archived.chunksTakenOver + data.chunks + counter.stats().directories,
      chunksNew: data.newChunks,
      treeChunksNew: trees.newChunks,
    },
  }
  await session.commit(encodeSnapshot(snapshot))
  const index = { packs: [...repository.index.packs, ...session.packs] }
  return {
    repositoryId: repository.id,
    snapshot: toSnapshotInfo(snapshot, index),
    totals: totalsOf([...snapshots, snapshot], index),
    issues: counter.issues,
    durationMs: clock.now() - startedAtMs,
  }
}

async function claimName(session: WriteSession, options: CreateOptions): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const name = attempt === 1 ? options.name : `${options.name}-${attempt}`
    try {
      await session.claimName(name)
      return name
    } catch (error) {
      if (!options.nameIsDefault || !isCairnError(error, 'SNAPSHOT_EXISTS')) throw error
    }
  }
}

/** Time between two progress events. */
const PROGRESS_MS = 100

/** Counts what the archiver reports, and passes it on. */
class Counter implements ArchiveObserver {
  readonly #options: CreateOptions
  readonly #clock: { now(): number }
  #lastProgressMs = 0
  /** What the run will about come to. */
  totals: SourceTotals | undefined
  issues = 0
  #filesNew = 0
  #filesChanged = 0
  #filesUnmodified = 0
  #directories = 0
  #otherEntries = 0
  #bytes = 0
  /** Bytes of large files that are not read wholly yet: together, and each. */
  #bytesAhead = 0
  readonly #partlyRead = new Map<string, number>()

  constructor(options: CreateOptions, clock: { now(): number }) {
    this.#options = options
    this.#clock = clock
  }

  stats(): Pick<
    Snapshot['stats'],
    'filesNew' | 'filesChanged' | 'filesUnmodified' | 'directories' | 'otherEntries' | 'originalBytes'
  > {
    return {
      filesNew: this.#filesNew,
      filesChanged: this.#filesChanged,
      filesUnmodified: this.#filesUnmodified,
      directories: this.#directories,
      otherEntries: this.#otherEntries,
      originalBytes: this.#bytes,
    }
  }

  entry(status: EntryStatus, { path, sizeBytes, type }: { path: string; sizeBytes: number; type: string }): void {
    if (status === 'A') this.#filesNew++
    else if (status === 'M' || status === 'C') this.#filesChanged++
    else if (status === 'U') this.#filesUnmodified++
    else if (status === 'd') this.#directories++
    else if (status !== 'E') this.#otherEntries++
    if (type === 'file' && status !== 'E') this.#bytes += sizeBytes
    this.#bytesAhead -= this.#partlyRead.get(path) ?? 0
    this.#partlyRead.delete(path)
    const { onEvent, listEntries } = this.#options
    if (listEntries) onEvent?.({ type: 'entry', status, path, sizeBytes })
    this.#progress(path)
  }

  bytes({ path }: { path: string }, count: number): void {
    this.#partlyRead.set(path, (this.#partlyRead.get(path) ?? 0) + count)
    this.#bytesAhead += count
    this.#progress(path)
  }

  #progress(currentPath: string): void {
    const { onEvent } = this.#options
    const now = this.#clock.now()
    // Either way round: a clock may jump back.
    if (!onEvent || Math.abs(now - this.#lastProgressMs) < PROGRESS_MS) return
    this.#lastProgressMs = now
    onEvent({
      type: 'progress',
      filesDone: this.#filesNew + this.#filesChanged + this.#filesUnmodified,
      bytesDone: this.#bytes + this.#bytesAhead,
      filesTotal: this.totals?.files,
      bytesTotal: this.totals?.bytes,
      issues: this.issues,
      currentPath,
    })
  }

  issue(issue: SourceIssue): void {
    this.report('read', issue)
  }

  report(during: 'scan' | 'read', { systemPath, message, code }: SourceIssue): void {
    if (code !== 'SKIPPED') this.issues++
    this.#options.onEvent?.({ type: 'issue', during, path: systemPath, message, code })
  }
}

function filesOf({ stats }: Snapshot): number {
  return stats.filesNew + stats.filesChanged + stats.filesUnmodified
}
