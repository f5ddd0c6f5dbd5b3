/** What the restorer's main thread and its worker threads say to each other. */
import type { RepositoryKeys } from '../repository/keys.ts'
import type { HoleTable } from '../snapshot/hole-table.ts'
import type { Loss } from './losses.ts'
import type { Metadata, Rights } from './metadata.ts'

export interface RestoreInit {
  readonly keys: RepositoryKeys
  readonly rights: Rights
}

export type WorkerJob = WriteJob | CheckJob

interface Job {
  /** `OpenFolders.root` of the target. */
  readonly root: string
  /** Directories below it that files of the job lie in. */
  readonly folders: readonly string[]
}

/** A stretch of one pack, the segments in it that are wanted, and where their chunks go. */
export interface WriteJob extends Job {
  readonly kind: 'write'
  readonly pack: string
  readonly header: Uint8Array
  /** Bytes of the pack from `offset` on; empty for a job that only makes empty files. */
  readonly bytes: Uint8Array
  readonly offset: number
  readonly segments: readonly SegmentToWrite[]
  readonly files: readonly FileToWrite[]
  /** Temporary names of this job: this, `-` and the number of the file. */
  readonly tempName: string
}

export interface SegmentToWrite {
  /** In the pack. */
  readonly offset: number
  readonly bytes: number
  /** By column: chunk `positions[i]` with id `ids[32 i …]` is content `contentOffsets[i]` of file `files[i]` of the job. */
  readonly positions: Uint32Array
  readonly ids: Uint8Array
  readonly lengths: Float64Array
  readonly files: Uint32Array
  readonly contentOffsets: Float64Array
}

/** How a finished file gets its name: `exclusive` where something may have come to be there that must not be replaced. */
export type Placement = 'exclusive' | 'replace'

export interface FileToWrite {
  readonly folder: number
  readonly name: string
  readonly placement: Placement
  /** Its directory is this run's own: new files in it belong to this process, and nobody else gets at them. */
  readonly isPrivate?: boolean | undefined
  readonly metadata: Metadata
  readonly sizeBytes: number
  readonly holes?: HoleTable | undefined
  /** Set when other jobs write to the file as well: it is there under this name, and stays open-ended. */
  readonly shared?: SharedFile | undefined
  /** Something went wrong with it earlier: nothing is written. */
  readonly failed?: boolean | undefined
}

/** A temporary file that several jobs write to; the inode tells it from one that was put in its place. */
export interface SharedFile {
  readonly tempName: string
  readonly inode: bigint
  readonly device: bigint
}

/** Reads files of the target and compares them with what they should contain. */
export interface CheckJob extends Job {
  readonly kind: 'check'
  readonly files: readonly FileToCheck[]
}

export interface FileToCheck {
  readonly folder: number
  readonly name: string
  readonly sizeBytes: number
  readonly holes: HoleTable | undefined
  /** The part of the content to compare: ids and lengths of the chunks from byte `contentOffset` of it on. */
  readonly ids: Uint8Array
  readonly lengths: Float64Array
  readonly contentOffset: number
  /**
   * The file was there before, and stays only if nothing but its metadata may have to change: so it has to have the same
   * holes, and no other name, which would get the metadata too.
   */
  readonly existing: boolean
  /** Set this when the content is right; only for a file that is in this job as a whole. */
  readonly metadata: Metadata | undefined
}

export interface WorkerResult {
  /** Why files of a write job are not restored, or how those of a check job differ. */
  readonly failures: readonly FileFailure[]
  /** Of metadata; `first` is the number of the file. */
  readonly losses: readonly Loss[]
  readonly bytes: number
}

export interface FileFailure {
  readonly file: number
  readonly message: string
  readonly code: string
}
