import os from 'node:os'
import type { Archived, KeptAttributes } from '../archiver/archiver.ts'
import type { ChunkStore } from '../archiver/workers.ts'
import { systemClock } from '../base/clock.ts'
import { type CairnError, isCairnError } from '../base/errors.ts'
import type { SessionId } from '../base/ids.ts'
import { parseCompression } from '../codec/compression.ts'
import { nativeProblem } from '../platform/native.ts'
import { currentUser, hostName } from '../platform/owners.ts'
import type { Repository } from '../repository/repository.ts'
import { WriteSession } from '../repository/write-session.ts'
import { findParent, loadSnapshots } from '../snapshot/catalog.ts'
import type { LoadChunk } from '../snapshot/content.ts'
import { type Snapshot, encodeSnapshot } from '../snapshot/snapshot.ts'
import type { CreateCounter } from './create-counter.ts'
import type { CreateEvent } from './create.ts'
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

export type { CreateStats, RepositoryTotals, SnapshotInfo }

/** What all snapshots have, wherever their content comes from. */
export interface SaveOptions {
  readonly name: string
  /** The name was not the user's choice: when it is taken, `-2`, `-3` … is appended. */
  readonly nameIsDefault?: boolean | undefined
  /** Like `zstd,3`; the default when absent. */
  readonly compression?: string | undefined
  readonly comment?: string | undefined
  /** When the snapshot is said to have been begun, in ms since 1970; when it was when absent. */
  readonly timestampMs?: number | undefined
  readonly tags?: readonly string[] | undefined
  readonly commandLine?: readonly string[] | undefined
  /** Worker threads; the number of processors when absent. */
  readonly workers?: number | undefined
  /** What is kept of a file besides content, owner, mode and mtime; all of it when absent. */
  readonly attributes?: Partial<KeptAttributes> | undefined
  /** Time between checkpoints; none when 0; five minutes when absent. */
  readonly checkpointIntervalMs?: number | undefined
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

/** Where the content of a snapshot comes from. */
export interface SaveInput {
  /** What was asked for, as kept in the snapshot. */
  readonly paths: readonly string[]
  readonly counter: CreateCounter
  readonly startedAtMs: number
  /** It is one of a series of snapshots of the same paths, of which the latest is its parent. */
  readonly continuesSeries: boolean
  archive(means: ArchiveMeans): Promise<Archived>
}

export interface ArchiveMeans {
  readonly store: ChunkStore
  readonly loadChunk: LoadChunk
  readonly parent: Snapshot | undefined
  readonly isCheckpointDue: () => boolean
  readonly checkpoint: (archived: Archived) => Promise<void>
}

/** Attributes that nothing but looking at each file can tell to be missing in the previous snapshot. */
export const XATTR_KINDS = ['xattrs', 'acls'] as const

/** Time between checkpoints: what is lost at most of a long first backup that is interrupted. */
const CHECKPOINT_INTERVAL_MS = 5 * 60_000

/** @throws {CairnError} `INVALID_ARGUMENT` for a tag that makes no sense */
export function checkTags({ tags }: SaveOptions): void {
  for (const tag of tags ?? []) checkTag(tag)
}

/**
 * Makes a snapshot of what `input.archive` archives: opens the repository and a session, claims the name, and commits.
 *
 * @throws {CairnError} `SNAPSHOT_EXISTS` when the name is taken, and what archiving throws; then nothing is saved
 */
export async function saveSnapshot(
  access: RepositoryAccess,
  options: SaveOptions,
  input: SaveInput,
): Promise<CreateResult> {
  const { counter } = input
  const onDamaged = (error: CairnError): void => counter.warning(error.message, error.code)
  return await withRepository(access, async (repository) => {
    const problem = nativeProblem()
    if (problem) counter.warning(`${problem}; attributes, ACLs, flags and holes of files are not kept`, 'UNSUPPORTED')
    const session = await WriteSession.open(repository, { ...access, onDamaged })
    try {
      return await new SaveRun({ access, options, input, repository, session, onDamaged }).run()
    } catch (error) {
      await session.abandon()
      throw error
    }
  })
}

interface RunOptions {
  readonly access: RepositoryAccess
  readonly options: SaveOptions
  readonly input: SaveInput
  readonly repository: Repository
  readonly session: WriteSession
  readonly onDamaged: (error: CairnError) => void
}

class SaveRun {
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
    this.#lastCheckpointMs = run.input.startedAtMs
  }

  async run(): Promise<CreateResult> {
    const { access, options, input, repository, session, onDamaged } = this.#run
    const { counter, startedAtMs } = input
    this.#name = await claimName(session, options)
    const snapshots = await loadSnapshots(repository, { ...access, onDamaged })
    this.#parent = input.continuesSeries ? findParent(snapshots, hostName(), input.paths) : undefined
    const archived = await input.archive({
      store: {
        keys: repository.keys,
        chunker: repository.config.chunker,
        compression: parseCompression(options.compression ?? 'zstd'),
        table: repository.table,
        storePack: (pack) => session.storePack(pack),
        workers: options.workers ?? os.availableParallelism(),
        signal: access.signal,
      },
      loadChunk: (id) => repository.readChunk(id, access),
      parent: this.#parent,
      isCheckpointDue: () => this.#isCheckpointDue(),
      checkpoint: (part) => this.#checkpoint(part),
    })
    await session.flushIndex()
    const snapshot = this.#snapshot(session.id, this.#name, archived, false)
    await session.commit(encodeSnapshot(snapshot))
    if (input.continuesSeries) await this.#forgetCheckpoints(snapshots)
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
    const { options, session, input } = this.#run
    const { counter, startedAtMs } = input
    const { data, trees } = archived
    const { timestampMs = startedAtMs } = options
    return {
      id,
      name,
      startedAt: new Date(timestampMs).toISOString(),
      endedAt: new Date(timestampMs + this.#clock.now() - startedAtMs).toISOString(),
      hostname: hostName(),
      username: currentUser().name,
      paths: input.paths,
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
    const { repository, input } = this.#run
    const ours = snapshots.filter(
      (snapshot) => snapshot.checkpoint && findParent([snapshot], hostName(), input.paths) !== undefined,
    )
    try {
      for (const { id } of ours) await repository.forget(id)
    } catch (error) {
      // The snapshot is committed, whatever happens to these.
      if (!isCairnError(error)) throw error
      input.counter.warning(
        `Checkpoints of an interrupted run are left, the next run tries again: ${error.message}`,
        error.code,
      )
    }
  }
}

async function claimName(session: WriteSession, options: SaveOptions): Promise<string> {
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

/** Regular files in a snapshot. */
export function filesOf({ stats }: Snapshot): number {
  return stats.filesNew + stats.filesChanged + stats.filesUnmodified
}
