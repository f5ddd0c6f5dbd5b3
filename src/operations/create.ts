import type { RepositoryAccess } from './repository-access.ts'
import type { SnapshotInfo } from './list.ts'
import { CairnError } from '../base/errors.ts'

/** Borg's letters: A added, M modified, U unchanged, C changed while read, E error, d directory, s symlink. */
export type EntryStatus = 'A' | 'M' | 'U' | 'C' | 'E' | 'd' | 's'

export type CreateEvent =
  | {
      /** Counters so far; sent at most about ten times a second. */
      readonly type: 'progress'
      readonly filesDone: number
      readonly bytesDone: number
      /** Totals as far as known: `undefined` until the source has been counted. */
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
  /** Files and folders, absolute or relative to the working directory; raw-name text. */
  readonly paths: readonly string[]
  /** Like `zstd,3`; the default when absent. */
  readonly compression?: string | undefined
  readonly comment?: string | undefined
  readonly commandLine?: readonly string[] | undefined
  /** Worker threads; the number of processors when absent. */
  readonly workers?: number | undefined
  /** Count the source ahead for totals in `progress` events; costs a second walk. */
  readonly countAhead?: boolean | undefined
  /** Send an `entry` event per entry. */
  readonly listEntries?: boolean | undefined
  readonly onEvent?: ((event: CreateEvent) => void) | undefined
}

export interface CreateStats {
  readonly filesNew: number
  readonly filesChanged: number
  readonly filesUnmodified: number
  readonly directories: number
  readonly otherEntries: number
  /** Bytes of all files in the snapshot. */
  readonly originalBytes: number
  /** What these bytes would take compressed but not deduplicated. */
  readonly compressedBytes: number
  /** What this run added to the repository. */
  readonly deduplicatedBytes: number
  /** New content before compression. */
  readonly addedBytes: number
  readonly chunksTotal: number
  readonly chunksNew: number
  readonly treeChunksNew: number
}

export interface RepositoryTotals {
  readonly originalBytes: number
  readonly compressedBytes: number
  readonly deduplicatedBytes: number
  readonly chunksUnique: number
  readonly chunksTotal: number
}

export interface CreateResult {
  readonly repositoryId: string
  readonly snapshot: SnapshotInfo
  readonly stats: CreateStats
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
export function createSnapshot(_access: RepositoryAccess, _options: CreateOptions): Promise<CreateResult> {
  throw new CairnError('INTERNAL', 'stub')
}
