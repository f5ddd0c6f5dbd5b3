import { type AbortOptions, throwIfAborted } from '../base/abort.ts'
import { errnoOf } from '../base/errors.ts'
import { closeFile, describeSystemError, openForReading, statFile } from '../platform/files.ts'
import { findHoles } from '../platform/sparse.ts'
import { holeBytes, toHoles, toHoleTable } from '../snapshot/hole-table.ts'
import type { Hole } from '../base/hole.ts'
import { NO_SAMPLE } from '../snapshot/samples.ts'
import type { SourceXattr } from '../sources/source.ts'
import { RangeStarts } from './range-starts.ts'
import type { ChunkRef } from '../snapshot/content.ts'
import {
  type ArchiveResult,
  BATCH_BYTES,
  BATCH_FILES,
  CHANGED,
  FILE_BITS,
  type FileBatch,
  type FileDetails,
  type FileRange,
  RANGE_BYTES,
} from './protocol.ts'
import { decodeRefs, refBytes } from './refs.ts'
import type { Task, TaskQueue } from './task-queue.ts'

/** A file handed to the dispatcher. */
export interface FileToRead {
  readonly systemPath: string
  readonly uid: number
  readonly sizeBytes: number
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  /** It may have holes. */
  readonly sparse: boolean
  /** A sample is to be taken of it. */
  readonly wantsSample: boolean
}

/** What reading a file came to. */
export interface ReadFile {
  readonly refs: readonly ChunkRef[]
  readonly holes: readonly Hole[]
  readonly xattrs: readonly SourceXattr[] | undefined
  readonly xattrFailure: Failure | undefined
  /** One of `CHANGED`. */
  readonly changed: number
  /** When the file is not the one listed: its mtime. */
  readonly mtimeNs: bigint | undefined
  /** `NO_SAMPLE` unless one was wanted. */
  readonly sample: bigint
  readonly failure: Failure | undefined
}

export interface Failure {
  readonly message: string
  readonly code: string
}

/** A file's sample, or why there is none. */
export type Sampled = { readonly sample: bigint } | { readonly failure: Failure }

type Waiting = { readonly file: FileToRead; readonly done: (read: ReadFile) => void }

/** Files whose samples are taken in one task: up to 12 MiB are read of them. */
const BATCH_SAMPLES = 64
/** A large file that is written to while it is read is read so often at most: it takes long, and may go on for ever. */
const MAX_READS = 2

/**
 * Hands files to worker threads: small ones in batches, large ones in ranges, in order.
 * The ranges of a file begun go before new batches, since trees wait for it.
 */
export class Dispatcher {
  readonly #queue: TaskQueue
  #batch: Waiting[] = []
  #batchBytes = 0
  #samples: { readonly file: FileToRead; readonly done: (sampled: Sampled) => void }[] = []

  constructor(queue: TaskQueue) {
    this.#queue = queue
  }

  /**
   * Reads a file some time; `done` is called exactly once, unless the dispatcher fails as a whole. `onBytes` is told of every
   * range of a large file, so that people see that it goes on.
   */
  read(file: FileToRead, done: (read: ReadFile) => void, onBytes: (bytes: number) => void): void {
    if (file.sizeBytes > RANGE_BYTES) {
      this.sendBatch() // so that a checkpoint in the middle of this file has what came before it
      this.#readLarge(file, done, onBytes)
      return
    }
    this.#batch.push({ file, done })
    this.#batchBytes += file.sizeBytes + 4096 // opening a file costs about as much as 4 KiB of content
    if (this.#batchBytes >= BATCH_BYTES || this.#batch.length >= BATCH_FILES) this.sendBatch()
  }

  /** Takes the sample of a file some time; `done` is called exactly once, unless the dispatcher fails as a whole. */
  sample(file: FileToRead, done: (sampled: Sampled) => void): void {
    this.#samples.push({ file, done })
    if (this.#samples.length >= BATCH_SAMPLES) this.#sendSamples()
  }

  #sendSamples(): void {
    const waiting = this.#samples
    if (waiting.length === 0) return
    this.#samples = []
    const files = waiting.map(({ file }) => file)
    this.#queue.push({
      work: { kind: 'sample', batch: toBatch(files, undefined) },
      finished({ samples, failures }) {
        const failed = new Map(failures.map((failure) => [failure.index, failure]))
        for (const [i, { done }] of waiting.entries()) {
          const failure = failed.get(i)
          done(failure ? { failure } : { sample: samples[i] as bigint })
        }
      },
    })
  }

  /** Sends what has gathered. */
  sendBatch(): void {
    this.#sendSamples()
    const waiting = this.#batch
    if (waiting.length === 0) return
    this.#batch = []
    this.#batchBytes = 0
    const files = waiting.map(({ file }) => file)
    this.#queue.push({
      work: { kind: 'read', batch: toBatch(files, undefined) },
      finished: (result) => deliver(waiting, result),
    })
  }

  /**
   * Reads everything that is waiting, then makes every worker store what it holds.
   *
   * @param between called after every turn; may flush the queue
   */
  async finish({ signal, between }: AbortOptions & { readonly between?: () => Promise<void> }): Promise<void> {
    this.sendBatch()
    while (this.#queue.busy) {
      await this.#queue.turn()
      throwIfAborted(signal) // a single large file is read here from the second range on
      await between?.()
      this.sendBatch() // a sample that differs, or a deferred file, is read after all
    }
    await this.#queue.flush()
  }

  #readLarge(file: FileToRead, done: (read: ReadFile) => void, onBytes: (bytes: number) => void, reads = 1): void {
    let holes: readonly Hole[]
    try {
      holes = file.sparse ? holesOf(file) : []
    } catch (error) {
      return done(failedRead(error))
    }
    const table = toHoleTable(holes)
    const count = Math.max(1, Math.ceil((file.sizeBytes - holeBytes(table)) / RANGE_BYTES))
    const starts = RangeStarts.create(count).memory
    const results: ArchiveResult[] = []
    let left = count
    const finished = (): void => {
      const read = joinRanges(results, holes)
      if (read.changed === CHANGED.no || read.failure || reads === MAX_READS) return done(read)
      onBytes(-read.refs.reduce((sum, { bytes }) => sum + bytes, 0))
      try {
        const stat = statFile(file.systemPath)
        // What it is now is what the second reading compares with; that it is not what was listed stays known.
        const { sizeBytes, mtimeNs, ctimeNs } = stat
        const again = (second: ReadFile): void =>
          done(second.changed === CHANGED.no ? { ...second, changed: CHANGED.before, mtimeNs } : { ...second, mtimeNs })
        this.#readLarge({ ...file, sizeBytes, mtimeNs, ctimeNs }, again, onBytes, reads + 1)
      } catch (error) {
        done(failedRead(error))
      }
    }
    const queue = (number: number): void => {
      const task: Task = {
        work: { kind: 'read', batch: toBatch([file], { number, count, starts, holes: table }) },
        started: () => {
          if (number + 1 < count) queue(number + 1)
        },
        finished: (result) => {
          results[number] = result
          onBytes(refBytes(result.refs))
          if (--left === 0) finished()
        },
      }
      this.#queue.push(task, true)
    }
    queue(0)
  }
}

function toBatch(files: readonly FileToRead[], range: FileRange | undefined): FileBatch {
  const batch = {
    paths: files.map((file) => file.systemPath),
    sizes: new Float64Array(files.length),
    uids: new Float64Array(files.length),
    mtimesNs: new BigInt64Array(files.length),
    ctimesNs: new BigInt64Array(files.length),
    bits: new Uint8Array(files.length),
    range,
  }
  for (const [i, file] of files.entries()) {
    batch.sizes[i] = file.sizeBytes
    batch.uids[i] = file.uid
    batch.mtimesNs[i] = file.mtimeNs
    batch.ctimesNs[i] = file.ctimeNs
    batch.bits[i] = (file.sparse ? FILE_BITS.sparse : 0) | (file.wantsSample ? FILE_BITS.sample : 0)
  }
  return batch
}

function deliver(waiting: readonly Waiting[], result: ArchiveResult): void {
  const failures = new Map(result.failures.map((failure) => [failure.index, failure]))
  const details = Map.groupBy(result.details, ({ index }) => index)
  let first = 0
  for (const [i, { done }] of waiting.entries()) {
    const end = first + (result.counts[i] as number)
    done({
      refs: decodeRefs(result.refs, first, end),
      ...detailsOf(details.get(i)),
      changed: result.changed[i] as number,
      sample: result.samples[i] ?? NO_SAMPLE,
      failure: failures.get(i),
    })
    first = end
  }
}

function detailsOf(
  details: readonly FileDetails[] = [],
): Pick<ReadFile, 'holes' | 'xattrs' | 'xattrFailure' | 'mtimeNs'> {
  if (details.length === 0) return NO_DETAILS
  const { holes, xattrs, xattrFailure, mtimeNs }: Partial<FileDetails> = Object.assign({}, ...details)
  return { holes: holes ? toHoles(holes) : [], xattrs, xattrFailure, mtimeNs }
}

const NO_DETAILS = { holes: [], xattrs: undefined, xattrFailure: undefined, mtimeNs: undefined }

function joinRanges(results: readonly ArchiveResult[], holes: readonly Hole[]): ReadFile {
  return {
    ...detailsOf(results[0]?.details),
    refs: results.flatMap(({ refs }) => decodeRefs(refs)),
    holes,
    // A file that changed did so for every range read after; the last one looked last.
    changed: results.reduce((worst, { changed }) => Math.max(worst, changed[0] as number), 0),
    sample: results[0]?.samples[0] ?? NO_SAMPLE,
    failure: results.flatMap(({ failures }) => failures)[0],
  }
}

function failedRead(error: unknown): ReadFile {
  const code = errnoOf(error)
  if (code === undefined) throw error
  const failure = { message: describeSystemError(error), code }
  return { ...NO_DETAILS, refs: [], changed: CHANGED.no, sample: NO_SAMPLE, failure }
}

function holesOf({ systemPath, uid, sizeBytes }: FileToRead): Hole[] {
  const fd = openForReading(systemPath, uid)
  try {
    return findHoles(fd, sizeBytes)
  } finally {
    closeFile(fd)
  }
}
