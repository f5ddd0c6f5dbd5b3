import { type AbortOptions, throwIfAborted } from '../base/abort.ts'
import { RangeStarts } from './range-starts.ts'
import { asChunkId } from '../base/ids.ts'
import { MAX_CHUNK_BYTES } from '../chunker/params.ts'
import type { ChunkRef } from '../snapshot/content.ts'
import type { WorkerPool } from '../platform/worker-pool.ts'
import type { ChunkTable } from '../repository/chunk-table.ts'
import type { WriterStats } from '../repository/chunk-writer.ts'
import {
  type ArchiveJob,
  type ArchiveResult,
  type FileBatch,
  type FileRange,
  type PackToStore,
  RANGE_BYTES,
  REF_BYTES,
} from './protocol.ts'

/** A file handed to the dispatcher. */
export interface FileToRead {
  readonly systemPath: string
  readonly uid: number
  readonly sizeBytes: number
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
}

export interface ReadFile {
  readonly refs: readonly ChunkRef[]
  readonly changed: boolean
  readonly failure: { readonly message: string; readonly code: string } | undefined
}

type Waiting = { readonly file: FileToRead; readonly done: (read: ReadFile) => void }

interface Task {
  readonly batch: FileBatch
  readonly finished: (result: ArchiveResult) => void
  readonly started?: () => void
}

export type ArchivePool = WorkerPool<ArchiveJob, ArchiveResult, PackToStore, ArrayBuffer>

/** A batch is sent when its files have this many bytes or it has this many files: long enough that sending costs nothing. */
const BATCH_BYTES = 4 << 20
const BATCH_FILES = 256

/**
 * Hands files to worker threads: small ones in batches, large ones in ranges, in order.
 * The ranges of a file begun go before new batches, since trees wait for it.
 */
export class Dispatcher {
  readonly #pool: ArchivePool
  readonly #table: ChunkTable
  /** Chunks one task can add at most; the chunk table always has room for those of every task out there. */
  readonly #chunksATask: number
  readonly #idle: number[]
  readonly #stats = new Map<number, WriterStats>()
  #batch: Waiting[] = []
  #batchBytes = 0
  readonly #tasks: Task[] = []
  readonly #ranges: Task[] = []
  #running = 0
  #wake: (() => void) | undefined
  #failure: { error: unknown } | undefined

  /** @param minChunkBytes only the last chunk of a file is smaller */
  constructor(pool: ArchivePool, table: ChunkTable, minChunkBytes: number) {
    this.#pool = pool
    this.#table = table
    this.#chunksATask = Math.ceil((BATCH_BYTES + RANGE_BYTES + MAX_CHUNK_BYTES) / minChunkBytes) + BATCH_FILES
    // Taken from the end, so that little work stays with few workers, and makes few packs.
    this.#idle = Array.from({ length: pool.size }, (_, i) => pool.size - 1 - i)
  }

  /** Counters of all workers together. */
  get stats(): WriterStats {
    const sum = { chunks: 0, newChunks: 0, newBytes: 0, storedBytes: 0 }
    for (const stats of this.#stats.values()) {
      sum.chunks += stats.chunks
      sum.newChunks += stats.newChunks
      sum.newBytes += stats.newBytes
      sum.storedBytes += stats.storedBytes
    }
    return sum
  }

  /** Whether more files should wait until `turn` comes back. */
  get full(): boolean {
    return this.#failure !== undefined || this.#tasks.length + this.#ranges.length >= this.#pool.size * 2
  }

  /** Makes room in the chunk table for what all tasks out there may add; to be called before adding a chunk besides them. */
  makeRoom(): void {
    this.#table.reserve(this.#pool.size * this.#chunksATask + 1)
  }

  /**
   * Reads a file some time; `done` is called exactly once, unless the dispatcher fails as a whole. `onBytes` is told of every
   * range of a large file, so that people see that it goes on.
   */
  read(file: FileToRead, done: (read: ReadFile) => void, onBytes: (bytes: number) => void): void {
    if (file.sizeBytes > RANGE_BYTES) {
      this.#readRanges(file, done, onBytes)
      return
    }
    this.#batch.push({ file, done })
    this.#batchBytes += file.sizeBytes + 4096 // opening a file costs about as much as 4 KiB of content
    if (this.#batchBytes >= BATCH_BYTES || this.#batch.length >= BATCH_FILES) this.sendBatch()
  }

  /** Sends what has gathered. */
  sendBatch(): void {
    const waiting = this.#batch
    if (waiting.length === 0) return
    this.#batch = []
    this.#batchBytes = 0
    this.#tasks.push({
      batch: toBatch(
        waiting.map(({ file }) => file),
        undefined,
      ),
      finished: (result) => deliver(waiting, result),
    })
    this.#start()
  }

  /** Resolves when something has finished since. @throws what a worker or the store threw */
  async turn(): Promise<void> {
    if (this.#running > 0 && !this.#failure) await new Promise<void>((resolve) => (this.#wake = resolve))
    if (this.#failure) throw this.#failure.error
  }

  /** Reads everything that is waiting, then makes every worker store what it holds. */
  async finish({ signal }: AbortOptions = {}): Promise<void> {
    this.sendBatch()
    while (this.#running > 0 || this.#failure) {
      await this.turn()
      throwIfAborted(signal) // a single large file is read here from the second range on
    }
    await Promise.all(
      Array.from(this.#stats.keys(), async (worker) => {
        const job = { kind: 'flush', table: this.#table.share(), batch: toBatch([], undefined) } as const
        this.#stats.set(worker, (await this.#pool.run(worker, job)).stats)
      }),
    )
  }

  #readRanges(file: FileToRead, done: (read: ReadFile) => void, onBytes: (bytes: number) => void): void {
    const count = Math.ceil(file.sizeBytes / RANGE_BYTES)
    const starts = RangeStarts.create(count).memory
    const results: ArchiveResult[] = []
    let left = count
    const queue = (number: number): void => {
      this.#ranges.push({
        batch: toBatch([file], { number, count, starts }),
        started: () => {
          if (number + 1 < count) queue(number + 1)
        },
        finished: (result) => {
          results[number] = result
          onBytes(refBytes(result.refs))
          if (--left === 0) done(joinRanges(results))
        },
      })
    }
    queue(0)
    this.#start()
  }

  #start(): void {
    while (this.#idle.length > 0 && !this.#failure) {
      const task = this.#ranges.shift() ?? this.#tasks.shift()
      if (!task) return
      void this.#run(this.#idle.pop() as number, task)
    }
  }

  async #run(worker: number, task: Task): Promise<void> {
    this.#running++
    this.makeRoom()
    try {
      const job: ArchiveJob = { kind: 'read', table: this.#table.share(), batch: task.batch }
      const running = this.#pool.run(worker, job)
      task.started?.()
      const result = await running
      this.#stats.set(worker, result.stats)
      task.finished(result)
      this.#idle.push(worker)
    } catch (error) {
      this.#failure ??= { error }
    }
    this.#running--
    this.#start()
    this.#wake?.()
  }
}

function toBatch(files: readonly FileToRead[], range: FileRange | undefined): FileBatch {
  const batch = {
    paths: files.map((file) => file.systemPath),
    sizes: new Float64Array(files.length),
    uids: new Float64Array(files.length),
    mtimesNs: new BigInt64Array(files.length),
    ctimesNs: new BigInt64Array(files.length),
    range,
  }
  for (const [i, file] of files.entries()) {
    batch.sizes[i] = file.sizeBytes
    batch.uids[i] = file.uid
    batch.mtimesNs[i] = file.mtimeNs
    batch.ctimesNs[i] = file.ctimeNs
  }
  return batch
}

function deliver(waiting: readonly Waiting[], result: ArchiveResult): void {
  const failures = new Map(result.failures.map((failure) => [failure.index, failure]))
  let first = 0
  for (const [i, { done }] of waiting.entries()) {
    const end = first + (result.counts[i] as number)
    done({ refs: decodeRefs(result.refs, first, end), changed: result.changed[i] === 1, failure: failures.get(i) })
    first = end
  }
}

function joinRanges(results: readonly ArchiveResult[]): ReadFile {
  return {
    refs: results.flatMap(({ refs }) => decodeRefs(refs, 0, refs.length / REF_BYTES)),
    // A file that changed did so for every range read after; the last one looked last.
    changed: results.some(({ changed }) => changed[0] === 1),
    failure: results.flatMap(({ failures }) => failures)[0],
  }
}

function refBytes(refs: Uint8Array): number {
  const view = new DataView(refs.buffer, refs.byteOffset)
  let bytes = 0
  for (let offset = 32; offset < refs.length; offset += REF_BYTES) bytes += view.getUint32(offset, true)
  return bytes
}

function decodeRefs(refs: Uint8Array, first: number, end: number): ChunkRef[] {
  const view = new DataView(refs.buffer, refs.byteOffset)
  const decoded: ChunkRef[] = []
  for (let offset = first * REF_BYTES; offset < end * REF_BYTES; offset += REF_BYTES) {
    decoded.push({ id: asChunkId(refs.subarray(offset, offset + 32)), bytes: view.getUint32(offset + 32, true) })
  }
  return decoded
}
