import { throwIfAborted } from '../base/abort.ts'
import type { WorkerPool } from '../platform/worker-pool.ts'
import type { WorkerJob, WorkerResult } from './protocol.ts'

/** Keeps all workers busy with jobs, the next one of each prepared while it works. */
export class Crew {
  readonly #pool: WorkerPool<WorkerJob, WorkerResult>
  readonly #signal: AbortSignal | undefined

  constructor(pool: WorkerPool<WorkerJob, WorkerResult>, signal: AbortSignal | undefined) {
    this.#pool = pool
    this.#signal = signal
  }

  /**
   * Does all that `next` prepares, until it gives `undefined`; `settle` gets each with its result. After a failure no more is
   * begun, and what runs is waited for: each job then has put its files in their places, or removed them.
   *
   * @throws what `next` or `settle` threw first; `CANCELLED`
   */
  async work<T extends { readonly job: WorkerJob }>(
    next: () => Promise<T | undefined>,
    settle: (task: T, result: WorkerResult) => void,
  ): Promise<void> {
    const failures: unknown[] = []
    const loop = async (worker: number): Promise<void> => {
      try {
        let ahead = next()
        for (;;) {
          const task = await ahead
          if (!task || failures.length > 0) return
          ahead = next()
          ahead.catch(() => undefined) // awaited in the next turn
          throwIfAborted(this.#signal)
          settle(task, await this.#pool.run(worker, task.job, { transfer: transferable(task.job) }))
        }
      } catch (error) {
        failures.push(error)
      }
    }
    await Promise.all(Array.from({ length: this.#pool.size }, (_, worker) => loop(worker)))
    if (failures.length > 0) throw failures[0]
  }
}

function transferable(job: WorkerJob): ArrayBuffer[] {
  if (job.kind !== 'write') return []
  const { buffer, byteOffset, byteLength } = job.bytes
  return byteOffset === 0 && byteLength === buffer.byteLength ? [buffer as ArrayBuffer] : []
}
