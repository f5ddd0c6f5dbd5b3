import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type Archived, type Detect, type EntryStatus, type KeptAttributes, archive } from '../archiver/archiver.ts'
import { systemClock } from '../base/clock.ts'
import { type AbortOptions, throwIfAborted } from '../base/abort.ts'
import { errnoOf } from '../base/errors.ts'
import { syncFileSystem } from '../platform/file-systems.ts'
import { describeSystemError } from '../platform/files.ts'
import { type SelectionOptions, openFolderSource } from '../sources/folder-source.ts'
import type { Source, SourceEntry } from '../sources/source.ts'
import { CreateCounter } from './create-counter.ts'
import type { RepositoryAccess } from './repository-access.ts'
import {
  type CreateResult,
  type CreateStats,
  type RepositoryTotals,
  type SaveOptions,
  type SnapshotInfo,
  XATTR_KINDS,
  checkTags,
  filesOf,
  saveSnapshot,
} from './save-snapshot.ts'

export type {
  CreateResult,
  CreateStats,
  Detect,
  EntryStatus,
  KeptAttributes,
  RepositoryTotals,
  SelectionOptions,
  SnapshotInfo,
}

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

export interface CreateOptions extends SaveOptions {
  /** Files and folders, absolute or relative to the working directory; raw-name text. */
  readonly paths: readonly string[]
  /** A path that does not exist is an issue, and no error as long as there are others. */
  readonly skipMissing?: boolean | undefined
  /** What is left out. */
  readonly selection?: Partial<SelectionOptions> | undefined
  /** How unchanged files are recognized; `auto` when absent. */
  readonly detect?: Detect | undefined
  readonly atime?: boolean | undefined
  /** Store owners by number only. */
  readonly numericIds?: boolean | undefined
  /** Wait this long before looking at the source, so that a file server may settle. */
  readonly settleMs?: number | undefined
  /** Read a file only once it has stayed the same for so long. */
  readonly stableForMs?: number | undefined
  /** Have the system write everything to the source's disks first. */
  readonly syncBefore?: boolean | undefined
  /** Count the source in a thread of its own when no parent snapshot tells the totals: for people who watch the progress. */
  readonly countAhead?: boolean | undefined
  /** Send an `entry` event per entry. */
  readonly listEntries?: boolean | undefined
  readonly onEvent?: ((event: CreateEvent) => void) | undefined
}

/**
 * Backs up `paths` as one snapshot. When some source data could not be read, the snapshot exists, is marked incomplete, and
 * `issues` is not 0.
 *
 * @throws {CairnError} `SNAPSHOT_EXISTS` when the name is taken, `SOURCE_FAILED` when a path does not exist, `INVALID_ARGUMENT` for a
 *   tag that makes no sense; then nothing is saved
 */
export async function createSnapshot(access: RepositoryAccess, options: CreateOptions): Promise<CreateResult> {
  checkTags(options)
  const clock = access.clock ?? systemClock
  const counter = new CreateCounter(options, clock)
  const source = await openSource(options, counter, access)
  const startedAtMs = clock.now()
  // The walk starts while the key is derived and the index is read.
  await using walk = source.walk(counter, access)
  return await saveSnapshot(access, options, {
    paths: source.paths,
    counter,
    startedAtMs,
    continuesSeries: true,
    async archive({ store, loadChunk, parent, isCheckpointDue, checkpoint }): Promise<Archived> {
      if (parent && !parent.checkpoint) counter.totals = { files: filesOf(parent), bytes: parent.stats.originalBytes }
      await using counting = options.countAhead && !counter.totals ? source.count?.() : undefined
      counting?.totals.then(
        (totals) => (counter.totals = totals),
        () => undefined, // totals are for people who watch; the walk itself reports what is wrong
      )
      return await archive({
        ...store,
        entries: walk,
        root: source.root,
        loadChunk,
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
        isCheckpointDue,
        checkpoint,
        observer: counter,
      })
    },
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
