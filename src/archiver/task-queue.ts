import type { WorkerPool } from '../platform/worker-pool.ts'
import type { ChunkTable } from '../repository/chunk-table.ts'
import type { WriterStats } from '../repository/chunk-writer.ts'
import { type ArchiveJob, type ArchiveResult, type ArchiveWork, FLUSH, type PackToStore } from './protocol.ts'

export type ArchivePool = WorkerPool<ArchiveJob, ArchiveResult, PackToStore, ArrayBuffer>

/** Work for one worker thread. */
export interface Task {
  readonly work: ArchiveWork
  /** Memory that goes to the worker. */
  readonly transfer?: ArrayBuffer[]
  readonly finished: (result: ArchiveResult) => void
  readonly started?: () => void
}

/** Gives tasks to worker threads, each to the first that is idle, in order; and knows what all of them together have done. */
export class TaskQueue {
  readonly #pool: ArchivePool
  readonly #table: ChunkTable
  readonly #chunksATask: number
  readonly #idle: number[]
  readonly #stats = new Map<number, WriterStats>()
  readonly #urgent: Task[] = []
  readonly #tasks: Task[] = []
  #running = 0
  #held = 0
  /** No task is started until what is stored is flushed. */
  #isPaused = false
  #wake: (() => void) | undefined
  #failure: { readonly error: unknown } | undefined

  /** @param chunksATask chunks that one task can add at most; the chunk table always has room for those of every task out there */
  constructor(pool: ArchivePool, table: ChunkTable, chunksATask: number) {
    this.#pool = pool
    this.#table = table
    this.#chunksATask = chunksATask
    // Taken from the end, so that little work stays with few workers, and makes few packs.
    this.#idle = Array.from({ length: pool.size }, (_, i) => pool.size - 1 - i)
  }

  /** Number of workers. */
  get size(): number {
    return this.#pool.size
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

  /** Whether more tasks should wait until `turn` comes back. */
  get full(): boolean {
    return this.#failure !== undefined || this.#tasks.length + this.#urgent.length >= this.#pool.size * 2
  }

  /** Whether something is still to come to its end, be it by failing. */
  get busy(): boolean {
    return this.#running > 0 || this.#held > 0 || this.#failure !== undefined
  }

  /** Makes room in the chunk table for what all tasks out there may add; to be called before adding a chunk besides them. */
  makeRoom(): void {
    this.#table.reserve(this.#pool.size * this.#chunksATask + 1)
  }

  /** Adds a task; urgent ones go before all others, in order. */
  push(task: Task, urgent = false): void {
    ;(urgent ? this.#urgent : this.#tasks).push(task)
    this.#start()
  }

  /** Counts as busy until `ready` settles. */
  hold(ready: Promise<void>): void {
    this.#held++
    const settled = (): void => {
      this.#held--
      this.#wake?.()
    }
    ready.then(settled, (error: unknown) => {
      this.#failure ??= { error }
      settled()
    })
  }

  /** Resolves when something has finished since. @throws what a worker or the store threw */
  async turn(): Promise<void> {
    if ((this.#running > 0 || this.#held > 0) && !this.#failure)
      await new Promise<void>((resolve) => (this.#wake = resolve))
    if (this.#failure) throw this.#failure.error
  }

  /** Lets the tasks that run come to their end, and makes every worker store what it holds; then it goes on. */
  async flush(): Promise<void> {
    this.#isPaused = true
    try {
      while (this.#running > 0) await this.turn()
      await Promise.all(
        Array.from(this.#stats.keys(), async (worker) => {
          const job = { table: this.#table.share(), work: FLUSH }
          this.#stats.set(worker, (await this.#pool.run(worker, job)).stats)
        }),
      )
    } finally {
      this.#isPaused = false
    }
    this.#start()
  }

  #start(): void {
    while (this.#idle.length > 0 && !this.#failure && !this.#isPaused) {
      const task = this.#urgent.shift() ?? this.#tasks.shift()
      if (!task) return
      void this.#run(this.#idle.pop() as number, task)
    }
  }

  async #run(worker: number, task: Task): Promise<void> {
    this.#running++
    this.makeRoom()
    try {
      const job = { table: this.#table.share(), work: task.work }
      const running = this.#pool.run(worker, job, task.transfer && { transfer: task.transfer })
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
