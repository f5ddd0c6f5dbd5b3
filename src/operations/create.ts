import os from 'node:os'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type Archived, type Detect, type EntryStatus, type KeptAttributes, archive } from '../archiver/archiver.ts'
import { systemClock } from '../base/clock.ts'
import { type AbortOptions, throwIfAborted } from '../base/abort.ts'
import { type CairnError, errnoOf, isCairnError } from '../base/errors.ts'
import type { SessionId } from '../base/ids.ts'
import { parseCompression } from '../codec/compression.ts'
import { syncFileSystem } from '../platform/file-systems.ts'
import { describeSystemError } from '../platform/files.ts'
import { nativeProblem } from '../platform/native.ts'
import { currentUser, hostName } from '../platform/owners.ts'
import type { Repository } from '../repository/repository.ts'
import { WriteSession } from '../repository/write-session.ts'
import { findParent, loadSnapshots } from '../snapshot/catalog.ts'
import { type Snapshot, encodeSnapshot } from '../snapshot/snapshot.ts'
import { type SelectionOptions, openFolderSource } from '../sources/folder-source.ts'
import type { Source, SourceEntry, SourceWalk } from '../sources/source.ts'
import { CreateCounter } from './create-counter.ts'
import { checkTag } from './labels.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import {
  type CreateStats,
  type RepositoryTotals,
  type SnapshotInfo,
  toSnapshotInfo,
  totalsOf,
} from './snapshot-info.ts'
import { VERSION } from './version.ts'

export type { CreateStats, Detect, EntryStatus, KeptAttributes, RepositoryTotals, SelectionOptions, SnapshotInfo }

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
  | {
      readonly type: 'entry'
      /** `x`: left out by a rule. `-`: would be saved, were this not a dry run. */
      readonly status: EntryStatus | 'x' | '-'
      /** Of entries that are saved. */
      readonly fileType?: SourceEntry['type']
      readonly path: string
      readonly sizeBytes: number
    }
  | { readonly type: 'warning'; readonly message: string; readonly code: string }
  | { readonly type: 'checkpoint'; readonly id: string }
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
  /** A path that does not exist is an issue, and no error as long as there are others. */
  readonly skipMissing?: boolean | undefined
  /** Like `zstd,3`; the default when absent. */
  readonly compression?: string | undefined
  readonly comment?: string | undefined
  /** When the snapshot is said to have been begun, in ms since 1970; when it was when absent. */
  readonly timestampMs?: number | undefined
  readonly tags?: readonly string[] | undefined
  readonly commandLine?: readonly string[] | undefined
  /** Worker threads; the number of processors when absent. */
  readonly workers?: number | undefined
  /** What is left out. */
  readonly selection?: Partial<SelectionOptions> | undefined
  /** How unchanged files are recognized; `auto` when absent. */
  readonly detect?: Detect | undefined
  /** What is kept of a file besides content, owner, mode and mtime; all of it when absent. */
  readonly attributes?: Partial<KeptAttributes> | undefined
  readonly atime?: boolean | undefined
  /** Store owners by number only. */
  readonly numericIds?: boolean | undefined
  /** Wait this long before looking at the source, so that a file server may settle. */
  readonly settleMs?: number | undefined
  /** Read a file only once it has stayed the same for so long. */
  readonly stableForMs?: number | undefined
  /** Have the system write everything to the source's disks first. */
  readonly syncBefore?: boolean | undefined
  /** Time between checkpoints; none when 0; five minutes when absent. */
  readonly checkpointIntervalMs?: number | undefined
  /** Count the source in a thread of its own when no parent snapshot tells the totals: for people who watch the progress. */
  readonly countAhead?: boolean | undefined
  /** Send an `entry` event per entry. */
  readonly listEntries?: boolean | undefined
  readonly onEvent?: ((event: CreateEvent) => void) | undefined
}

export interface CreateResult {
  readonly repositoryId: string
  readonly encryption: string
  readonly snapshot: SnapshotInfo
  /** Over all snapshots, this one included. */
  readonly totals: RepositoryTotals
  readonly issues: number
  /** Besides issues: things about the run or the repository that people should look at. */
  readonly warnings: number
  readonly durationMs: number
}

/** Attributes that nothing but looking at each file can tell to be missing in the previous snapshot. */
const XATTR_KINDS = ['xattrs', 'acls'] as const

/** Time between checkpoints: what is lost at most of a long first backup that is interrupted. */
const CHECKPOINT_INTERVAL_MS = 5 * 60_000

/**
 * Backs up `paths` as one snapshot. When some source data could not be read, the snapshot exists, is marked incomplete, and
 * `issues` is not 0.
 *
 * @throws {CairnError} `SNAPSHOT_EXISTS` when the name is taken, `SOURCE_FAILED` when a path does not exist, `INVALID_ARGUMENT` for a
 *   tag that makes no sense; then nothing is saved
 */
export async function createSnapshot(access: RepositoryAccess, options: CreateOptions): Promise<CreateResult> {
  for (const tag of options.tags ?? []) checkTag(tag)
  const clock = access.clock ?? systemClock
  const counter = new CreateCounter(options, clock)
  const source = await openSource(options, counter, access)
  const startedAtMs = clock.now()
  // The walk starts while the key is derived and the index is read.
  await using walk = source.walk(counter, access)
  const onDamaged = (error: CairnError): void => counter.warning(error.message, error.code)
  return await withRepository(access, async (repository) => {
    const problem = nativeProblem()
    if (problem) counter.warning(`${problem}; attributes, ACLs, flags and holes of files are not kept`, 'UNSUPPORTED')
    const session = await WriteSession.open(repository, { ...access, onDamaged })
    try {
      return await new CreateRun({ access, options, repository, session, source, counter, startedAtMs, onDamaged }).run(
        walk,
      )
    } catch (error) {
      await session.abandon()
      throw error
    }
  })
}

/** Opens the source, after what is to happen before anything of it is looked at. */
export async function openSource(
  options: Pick<
    CreateOptions,
    'paths' | 'skipMissing' | 'syncBefore' | 'settleMs' | 'selection' | 'atime' | 'numericIds' | 'listEntries'
  >,
  counter: CreateCounter,
  { signal }: AbortOptions,
): Promise<Source> {
  const { paths, skipMissing, syncBefore, settleMs = 0, selection, atime, numericIds, listEntries = false } = options
  if (syncBefore) for (const given of paths) syncSource(given, counter)
  if (settleMs > 0) await setTimeout(settleMs, undefined, { signal }).catch(() => throwIfAborted(signal))
  return openFolderSource(paths, process.cwd(), {
    ...selection,
    atime,
    numericIds,
    skipMissing,
    listExcluded: listEntries,
  })
}

function syncSource(given: string, counter: CreateCounter): void {
  const systemPath = path.resolve(given)
  try {
    syncFileSystem(systemPath)
  } catch (error) {
    const message = `the file system could not be written out first: ${describeSystemError(error)}`
    counter.issue({ path: given, systemPath, message, code: errnoOf(error) ?? 'INTERNAL' })
  }
}

interface RunOptions {
  readonly access: RepositoryAccess
  readonly options: CreateOptions
  readonly repository: Repository
  readonly session: WriteSession
  readonly source: Source
  readonly counter: CreateCounter
  readonly startedAtMs: number
  readonly onDamaged: (error: CairnError) => void
}

class CreateRun {
  readonly #run: RunOptions
  readonly #clock: { now(): number }
  #name = ''
  #parent: Snapshot | undefined
  #lastCheckpointMs: number
  /** Bytes stored when the last checkpoint was made. */
  #checkpointBytes = 0

  constructor(run: RunOptions) {
    this.#run = run
    this.#clock = run.access.clock ?? systemClock
    this.#lastCheckpointMs = run.startedAtMs
  }

  async run(walk: SourceWalk): Promise<CreateResult> {
    const { access, options, repository, session, source, counter, startedAtMs, onDamaged } = this.#run
    this.#name = await claimName(session, options)
    const snapshots = await loadSnapshots(repository, { ...access, onDamaged })
    const parent = findParent(snapshots, hostName(), source.paths)
    this.#parent = parent
    counter.totals =
      parent && !parent.checkpoint ? { files: filesOf(parent), bytes: parent.stats.originalBytes } : undefined
    await using counting = options.countAhead && !counter.totals ? source.count?.() : undefined
    counting?.totals.then(
      (totals) => (counter.totals = totals),
      () => undefined, // totals are for people who watch; the walk itself reports what is wrong
    )
    const archived = await archive({
      entries: walk,
      root: source.root,
      keys: repository.keys,
      chunker: repository.config.chunker,
      compression: parseCompression(options.compression ?? 'zstd'),
      table: repository.table,
      loadChunk: (id) => repository.readChunk(id, access),
      storePack: (pack) => session.storePack(pack),
      parent: parent && {
        ...parent,
        xattrsLeftOut: XATTR_KINDS.some(
          (kind) => parent.leftOut.includes(kind) && options.attributes?.[kind] !== false,
        ),
      },
      detect: options.detect ?? 'auto',
      attributes: { xattrs: true, acls: true, flags: true, ...options.attributes },
      stableForMs: options.stableForMs ?? 0,
      startedAtMs,
      workers: options.workers ?? os.availableParallelism(),
      isCheckpointDue: () => this.#isCheckpointDue(),
      checkpoint: (archived) => this.#checkpoint(archived),
      observer: counter,
      signal: access.signal,
    })
    await session.flushIndex()
    const snapshot = this.#snapshot(session.id, this.#name, archived, false)
    await session.commit(encodeSnapshot(snapshot))
    await this.#forgetCheckpoints(snapshots)
    const index = { packs: [...repository.index.packs, ...session.packs] }
    return {
      repositoryId: repository.id,
      encryption: repository.config.encryption,
      snapshot: toSnapshotInfo(snapshot, index),
      totals: totalsOf([...snapshots, snapshot], index),
      issues: counter.issues,
      warnings: counter.warnings,
      durationMs: this.#clock.now() - startedAtMs,
    }
  }

  #snapshot(id: SessionId, name: string, archived: Archived, checkpoint: boolean): Snapshot {
    const { options, session, source, counter, startedAtMs } = this.#run
    const { data, trees } = archived
    const { timestampMs = startedAtMs } = options
    return {
      id,
      name,
      startedAt: new Date(timestampMs).toISOString(),
      endedAt: new Date(timestampMs + this.#clock.now() - startedAtMs).toISOString(),
      hostname: hostName(),
      username: currentUser().name,
      paths: source.paths,
      comment: options.comment ?? '',
      tags: [...new Set(options.tags)],
      issues: counter.issues,
      programVersion: VERSION,
      commandLine: options.commandLine ?? [],
      tree: archived.tree,
      stamps: archived.stamps,
      samples: archived.samples,
      furtherNames: archived.furtherNames,
      root: archived.root,
      checkpoint,
      leftOut: XATTR_KINDS.filter((kind) => options.attributes?.[kind] === false),
      parent: this.#parent?.id,
      madeFrom: undefined,
      pinned: false,
      stats: {
        ...counter.stats(),
        addedBytes: data.newBytes,
        storedBytes: session.storedBytes,
        chunksTotal: archived.chunksTakenOver + data.chunks + counter.stats().directories,
        chunksNew: data.newChunks,
        treeChunksNew: trees.newChunks,
      },
    }
  }

  #isCheckpointDue(): boolean {
    const { checkpointIntervalMs = CHECKPOINT_INTERVAL_MS } = this.#run.options
    if (checkpointIntervalMs === 0 || this.#run.session.storedBytes === this.#checkpointBytes) return false
    // Either way round: a clock may jump back.
    return Math.abs(this.#clock.now() - this.#lastCheckpointMs) >= checkpointIntervalMs
  }

  async #checkpoint(archived: Archived): Promise<void> {
    const { session, options } = this.#run
    const name = `${this.#name}.checkpoint`
    const id = await session.commitCheckpoint((side) => encodeSnapshot(this.#snapshot(side, name, archived, true)))
    this.#lastCheckpointMs = this.#clock.now()
    this.#checkpointBytes = session.storedBytes
    if (id) options.onEvent?.({ type: 'checkpoint', id })
  }

  /** Checkpoints of runs that were interrupted: this snapshot has all that they were kept for. */
  async #forgetCheckpoints(snapshots: readonly Snapshot[]): Promise<void> {
    const { repository, source, counter } = this.#run
    const ours = snapshots.filter(
      (snapshot) => snapshot.checkpoint && findParent([snapshot], hostName(), source.paths) !== undefined,
    )
    try {
      for (const { id } of ours) await repository.forget(id)
    } catch (error) {
      // The snapshot is committed, whatever happens to these.
      if (!isCairnError(error)) throw error
      counter.warning(
        `Checkpoints of an interrupted run are left, the next run tries again: ${error.message}`,
        error.code,
      )
    }
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

function filesOf({ stats }: Snapshot): number {
  return stats.filesNew + stats.filesChanged + stats.filesUnmodified
}
