import { workerScript } from '../../platform/installation.ts'
import { WorkerPool } from '../../platform/worker-pool.ts'
import type { EntryBatch } from './entry-batch.ts'
import type { WalkPart, WalkRoot } from './folder-walk.ts'
import type { ScanJob, ScanResult, StepResult } from './scan-worker.ts'
import type { SelectionOptions } from './selection.ts'

/** Batches of 512 entries that the walk may be ahead of its reader, for each thread: 3 MB. */
export const MAX_AHEAD = 32

/** A stretch of the walk. Each belongs to one thread, once begun; together, in order, they are the walk. */
interface Stretch {
  readonly number: number
  /** Which of the roots it belongs to. */
  readonly root: number
  start: WalkRoot | WalkPart | undefined
  thread: number | undefined
  running: boolean
  done: boolean
  readonly batches: EntryBatch[]
}

/**
 * Walks roots in threads and gives their entries in order. One thread walks from the start; as soon as another one is idle, the
 * walk is split, so that several threads wait for a slow file system at the same time. However it was split, the entries and
 * their order are those of one walk. Starts at once, and goes ahead of its reader by `MAX_AHEAD` batches a thread.
 */
export class Scan {
  readonly #pool: WorkerPool<ScanJob, ScanResult>
  readonly #stretches: Stretch[]
  readonly #idle: number[]
  #numbers = 0
  /** Batches that wait for the reader. */
  #ahead = 0
  #wake: (() => void) | undefined
  #failure: { readonly error: unknown } | undefined

  constructor(roots: readonly WalkRoot[], selection: SelectionOptions, threads: number) {
    this.#pool = new WorkerPool({ script: scanWorker(), count: threads, init: selection })
    this.#idle = Array.from({ length: threads }, (_, i) => threads - 1 - i)
    this.#stretches = roots.map((root, i) => this.#stretch(root, i))
    this.#pump()
  }

  /** The next entries of the walk, and the number of the root they are of; `undefined` at its end. */
  async next(): Promise<{ readonly batch: EntryBatch; readonly root: number } | undefined> {
    for (;;) {
      if (this.#failure) throw this.#failure.error
      const first = this.#stretches[0]
      if (!first) return undefined
      const batch = first.batches.shift()
      if (batch) {
        this.#ahead--
        this.#pump()
        return { batch, root: first.root }
      }
      if (first.done) {
        this.#stretches.shift()
        this.#pump()
      } else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  close(): Promise<void> {
    return this.#pool.close()
  }

  #stretch(start: WalkRoot | WalkPart, root: number): Stretch {
    return { number: this.#numbers++, root, start, thread: undefined, running: false, done: false, batches: [] }
  }

  /** Gives every idle thread something to do, the earliest first. */
  #pump(): void {
    if (this.#failure) return
    for (let i = this.#idle.length - 1; i >= 0; i--) {
      const thread = this.#idle[i] as number
      const next = this.#stretches.find(
        (stretch) =>
          !stretch.running &&
          !stretch.done &&
          // Roots may be many, so all of them together are bounded too; but the reader waits for the first.
          (this.#ahead < MAX_AHEAD * this.#pool.size || stretch === this.#stretches[0]) &&
          stretch.batches.length < MAX_AHEAD &&
          (stretch.thread === undefined || stretch.thread === thread),
      )
      if (!next) continue
      this.#idle.splice(i, 1)
      void this.#step(next, thread)
    }
  }

  async #step(stretch: Stretch, thread: number): Promise<void> {
    const { number, start } = stretch
    stretch.running = true
    stretch.thread = thread
    stretch.start = undefined
    try {
      const open = this.#stretches.filter((other) => !other.done)
      // Threads may also be idle because the reader is slow: more stretches would only use memory.
      const split =
        this.#idle.length > 0 && open.length <= this.#pool.size && open.every((other) => other.thread !== undefined)
      const result = (await this.#pool.run(thread, { kind: 'step', walk: number, start, split })) as StepResult
      stretch.batches.push(result.batch)
      this.#ahead++
      stretch.done = result.done
      if (result.part)
        this.#stretches.splice(this.#stretches.indexOf(stretch) + 1, 0, this.#stretch(result.part, stretch.root))
    } catch (error) {
      this.#failure ??= { error }
    }
    stretch.running = false
    this.#idle.push(thread)
    this.#pump()
    this.#wake?.()
  }
}

export function scanWorker(): URL | string {
  return workerScript('sources/folder/scan-worker')
}
