/** What the archiver's main thread and its worker threads say to each other. */
import type { ChunkerParams } from '../chunker/params.ts'
import type { Compression } from '../codec/compression.ts'
import type { SharedChunkTable } from '../repository/chunk-table.ts'
import type { HoleTable } from '../snapshot/hole-table.ts'
import type { WriterStats } from '../repository/chunk-writer.ts'
import type { RepositoryKeys } from '../repository/keys.ts'
import type { SourceXattr } from '../sources/source.ts'

export interface WorkerInit {
  readonly keys: RepositoryKeys
  readonly chunker: ChunkerParams
  readonly compression: Compression
}

export interface ArchiveJob {
  /** The chunk table's memory: it may have grown since the last job. */
  readonly table: SharedChunkTable
  readonly work: ArchiveWork
}

/** `read` the files of a batch, only take `sample`s of them, `save` contents, or `flush`: store everything that is open. */
export type ArchiveWork =
  | { readonly kind: 'read' | 'sample'; readonly batch: FileBatch }
  | { readonly kind: 'save'; readonly contents: ContentBatch }
  | { readonly kind: 'flush' }

export const FLUSH: ArchiveWork = { kind: 'flush' }

/**
 * Files to read, as arrays by column: sending 50,000 records one by one costs more than hashing their content.
 */
export interface FileBatch {
  readonly paths: readonly string[]
  /** For each file its size, its owner's uid, mtime and ctime, as listed. */
  readonly sizes: Float64Array
  readonly uids: Float64Array
  readonly mtimesNs: BigInt64Array
  readonly ctimesNs: BigInt64Array
  /** For each file a sum of `FILE_BITS`. */
  readonly bits: Uint8Array
  /** Of a batch with one large file: which of its ranges the job covers. */
  readonly range: FileRange | undefined
}

/** It may have holes; a sample (snapshot/samples.ts) is to be taken of it. */
export const FILE_BITS = { sparse: 1, sample: 2 } as const

/**
 * A stretch of `RANGE_BYTES` of what a large file has between its holes; the last one reaches to the file's end, wherever that is
 * by now.
 */
export interface FileRange {
  readonly number: number
  readonly count: number
  /** The memory of `RangeStarts`. */
  readonly starts: SharedArrayBuffer
  /** Pairs of offset and length, ascending. */
  readonly holes: HoleTable
}

/** Contents that have arrived in a stream, one after the other in memory that goes to the worker and comes back. */
export interface ContentBatch {
  readonly memory: ArrayBuffer
  /** For each content where it ends. */
  readonly ends: Float64Array
  /** Of a batch with a stretch of one long content. */
  readonly range: ContentRange | undefined
}

/**
 * A stretch of a long content: `RANGE_BYTES`, and the largest chunk more, with which the next stretch begins; the final one is
 * as long as it is.
 */
export interface ContentRange {
  readonly final: boolean
  /** Memory of `RangeStarts` of one number: where in this stretch the first chunk begins, and in the next one. */
  readonly start: SharedArrayBuffer
  readonly next: SharedArrayBuffer
}

export interface ArchiveResult {
  /** Of all chunks of all files in order: 32 bytes of id, 4 bytes of length, little-endian. */
  readonly refs: Uint8Array
  /** For each file how many chunks it has. */
  readonly counts: Uint32Array
  readonly changed: Uint8Array
  /** For each file its sample, if one was to be taken. */
  readonly samples: BigUint64Array
  readonly details: readonly FileDetails[]
  readonly failures: readonly FileFailure[]
  /** The worker's counters since its start. */
  readonly stats: WriterStats
  /** That of `ContentBatch`. */
  readonly memory?: ArrayBuffer | undefined
}

/** The result of work without files. */
export const NOTHING: Omit<ArchiveResult, 'stats'> = {
  refs: new Uint8Array(0),
  counts: new Uint32Array(0),
  changed: new Uint8Array(0),
  samples: new BigUint64Array(0),
  details: [],
  failures: [],
}

/** Values of `ArchiveResult.changed`: as listed; another one by now, but read in peace; written to while it was read, every time. */
export const CHANGED = { no: 0, before: 1, meanwhile: 2 } as const

/** What few files have. */
export interface FileDetails {
  /** Place of the file in the batch. */
  readonly index: number
  readonly xattrs?: readonly SourceXattr[] | undefined
  /** Why its extended attributes could not be read. */
  readonly xattrFailure?: { readonly message: string; readonly code: string } | undefined
  /** Pairs of offset and length, ascending. */
  readonly holes?: HoleTable | undefined
  /** When the file is not what was listed: its mtime in ns. */
  readonly mtimeNs?: bigint | undefined
}

/** Why a file could not be read; then it has no content. */
export interface FileFailure {
  /** Place of the file in the batch. */
  readonly index: number
  readonly message: string
  readonly code: string
}

/** A worker's request: store this pack. The reply gives the memory back. */
export interface PackToStore {
  readonly id: string
  readonly memory: ArrayBuffer
  readonly length: number
  readonly table: Uint8Array
}

export const REF_BYTES = 36
/**
 * Bytes of a range, which ends at the first cut at or after its end; files up to this size are read whole by one worker. A worker
 * reads one largest chunk more, so longer ranges mean less that is read twice, and more memory.
 */
export const RANGE_BYTES = 16 << 20
/** A batch is sent when its files have this many bytes or it has this many files: long enough that sending costs nothing. */
export const BATCH_BYTES = 4 << 20
export const BATCH_FILES = 256
