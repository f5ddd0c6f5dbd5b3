/** What the restorer's main thread and its worker threads say to each other. */
import type { RepositoryKeys } from '../repository/keys.ts'

export interface RestoreInit {
  readonly keys: RepositoryKeys
}

/** A stretch of one pack, the segments in it that are wanted, and where their chunks go. */
export interface RestoreJob {
  readonly pack: string
  readonly header: Uint8Array
  /** Bytes of the pack from `offset` on; empty for a job that only makes empty files. */
  readonly bytes: Uint8Array
  readonly offset: number
  readonly segments: readonly SegmentToWrite[]
  readonly files: readonly FileToWrite[]
}

export interface SegmentToWrite {
  /** In the pack. */
  readonly offset: number
  readonly bytes: number
  /** By column: chunk `positions[i]` with id `ids[32 i …]` goes to byte `fileOffsets[i]` of file `files[i]` of the job. */
  readonly positions: Uint32Array
  readonly ids: Uint8Array
  readonly files: Uint32Array
  readonly fileOffsets: Float64Array
}

export interface FileToWrite {
  readonly systemPath: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtimeNs: bigint
  readonly sizeBytes: number
  /** All of the file is in this job: the worker makes and finishes it. Otherwise it is there already and stays open-ended. */
  readonly whole: boolean
  /** Something went wrong with it earlier, or another file is in its place: nothing is written. */
  readonly failed: boolean
}

export interface RestoreResult {
  readonly failures: readonly WriteFailure[]
  readonly bytes: number
}

/** Why a file of the job is not, or not wholly, restored. */
export interface WriteFailure {
  readonly file: number
  readonly message: string
  readonly code: string
}
