import { parentPort, type Transferable, Worker, workerData } from 'node:worker_threads'
import { CairnError, type ErrorRecord, toCairnError } from '../base/errors.ts'
import { type TerminationGuard, closeGuard, newTerminationGuard } from './termination-guard.ts'

/**
 * Worker threads that do one job at a time each. The main thread makes a `WorkerPool`; the file that the threads run calls
 * `serveJobs`. A worker may ask the main thread for something (`host.request`) at any time and wait for the reply.
 *
 * Everything sent is structured-cloned, except what `transfer` lists: that moves and is gone from the sender.
 * Errors arrive as `CairnError` with code, message, details, cause and the stack of the thread that threw; an error of
 * any other class becomes `INTERNAL`.
 */

export interface WorkerPoolOptions<Request, Reply> {
  /** What the threads run, a file or the code itself; it calls `serveJobs`. That of a program is a `workerScript`. */
  readonly script: URL | string
  readonly count: number
  /** Cloned to every worker, for its `setup`. */
  readonly init: unknown
  /** Answers `host.request` of the worker with this number. */
  readonly onRequest?: (request: Request, worker: number) => Promise<{ reply: Reply; transfer?: Transferable[] }>
}

export interface RunOptions {
  readonly transfer?: Transferable[]
  /** Gets what the job sends by `progress`, in that order; called for the last time before the result arrives. */
  readonly onProgress?: ((message: unknown) => void) | undefined
}

interface Pending<Result> {
  resolve(result: Result): void
  reject(error: unknown): void
  readonly onProgress: RunOptions['onProgress']
  /** What `onProgress` threw first; the job fails with it when the worker is done. */
  failure?: CairnError
}

interface Slot<Result> {
  readonly number: number
  readonly guard: TerminationGuard
  /** Started for the first job. */
  worker?: Worker
  pending?: Pending<Result> | undefined
  /** Why the worker takes no more jobs. */
  ended?: CairnError
}

interface WireError extends ErrorRecord {
  readonly stack: string | undefined
  readonly cause?: unknown
}

type ToWorker<Job, Reply> =
  | { kind: 'job'; job: Job }
  | { kind: 'reply'; id: number; reply: Reply }
  | { kind: 'refusal'; id: number; error: WireError }

type FromWorker<Result, Request> =
  | { kind: 'progress'; message: unknown }
  | { kind: 'result'; result: Result }
  | { kind: 'failure'; error: WireError }
  | { kind: 'request'; id: number; request: Request }

/**
 * Up to `count` threads, each started for its first job, so that little work costs few threads (50 ms of processor time each).
 * Nothing waits for a thread to start: a job posted earlier waits in its queue. The threads keep the process alive only
 * while a job runs.
 */
export class WorkerPool<Job, Result, Request = never, Reply = never> {
  readonly #options: WorkerPoolOptions<Request, Reply>
  readonly #slots: Slot<Result>[]
  #closed: Promise<void> | undefined

  constructor(options: WorkerPoolOptions<Request, Reply>) {
    this.#options = options
    this.#slots = Array.from({ length: options.count }, (_, number) => ({ number, guard: newTerminationGuard() }))
  }

  /** Starts all threads now: for work that will certainly need them, so that they load meanwhile. */
  start(): void {
    for (const slot of this.#slots) this.#threadOf(slot)
  }

  #threadOf(slot: Slot<Result>): Worker {
    if (slot.worker) return slot.worker
    const { number, guard } = slot
    const { script, init } = this.#options
    const worker = new Worker(script, { eval: typeof script === 'string', workerData: { init, guard } })
    slot.worker = worker
    worker.on('message', (message: FromWorker<Result, Request>) => this.#receive(slot, message))
    worker.on('error', (error) =>
      end(slot, died(number, error instanceof Error ? (error.stack ?? error.message) : String(error), error)),
    )
    worker.on('exit', (code) => end(slot, died(number, `it ended with exit code ${code}`)))
    worker.on('messageerror', (error) => {
      end(slot, died(number, 'what it sent cannot be read', error))
      void worker.terminate()
    })
    worker.unref() // after the listeners: adding them refs
    return worker
  }

  get size(): number {
    return this.#slots.length
  }

  /**
   * Runs a job in the worker with this number, 0 to `size - 1`, which must be idle.
   *
   * @throws {CairnError} what the job, the worker's setup or `onProgress` threw
   * @throws {CairnError} `INTERNAL` when the worker died, now or earlier
   * @throws {CairnError} `CANCELLED` when the pool was closed
   */
  async run(worker: number, job: Job, options: RunOptions = {}): Promise<Result> {
    const slot = this.#slots[worker]
    if (!slot) throw new RangeError(`There is no worker ${worker} among ${this.size}`)
    if (slot.pending) throw new Error(`Worker ${worker} has a job already`)
    if (slot.ended) throw slot.ended
    const thread = this.#threadOf(slot)
    this.#post(slot, { kind: 'job', job }, options.transfer)
    thread.ref()
    return new Promise((resolve, reject) => {
      slot.pending = { resolve, reject, onProgress: options.onProgress }
    })
  }

  /**
   * Ends all threads, wherever they are; pending jobs reject with `CANCELLED` at once. Resolves when the threads are gone,
   * for which a system call or native function that one is in must return. May be called again.
   */
  close(): Promise<void> {
    this.#closed ??= Promise.all(
      this.#slots.map(async (slot) => {
        end(slot, new CairnError('CANCELLED', 'Interrupted: the worker threads were closed'))
        if (!slot.worker) return
        await closeGuard(slot.guard)
        await slot.worker.terminate()
      }),
    ).then(() => undefined)
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #receive(slot: Slot<Result>, message: FromWorker<Result, Request>): void {
    if (message.kind === 'request') return void this.#answer(slot, message.id, message.request)
    const pending = slot.pending
    if (!pending) return
    if (message.kind === 'progress') {
      try {
        pending.onProgress?.(message.message)
      } catch (error) {
        pending.failure ??= toCairnError(error)
      }
      return
    }
    slot.pending = undefined
    slot.worker?.unref()
    if (pending.failure) pending.reject(pending.failure)
    else if (message.kind === 'failure') pending.reject(fromWire(message.error))
    else pending.resolve(message.result)
  }

  #post(slot: Slot<Result>, message: ToWorker<Job, Reply>, transfer?: Transferable[]): void {
    slot.worker?.postMessage(message, transfer)
  }

  async #answer(slot: Slot<Result>, id: number, request: Request): Promise<void> {
    try {
      if (!this.#options.onRequest) throw new Error('The pool has no onRequest')
      const { reply, transfer } = await this.#options.onRequest(request, slot.number)
      this.#post(slot, { kind: 'reply', id, reply }, transfer)
    } catch (error) {
      this.#post(slot, { kind: 'refusal', id, error: toWire(error) })
    }
  }
}

/** What a worker can ask of the main thread. */
export interface WorkerHost<Request, Reply> {
  /** @throws {CairnError} what `onRequest` threw */
  request(message: Request, transfer?: Transferable[]): Promise<Reply>
}

/** Does one job. `progress` sends a message to `onProgress`; not to be called any more once the job's promise settled. */
export type JobFunction<Job, Result> = (
  job: Job,
  progress: (message: unknown) => void,
) => Promise<{ result: Result; transfer?: Transferable[] }>

/** Makes this thread a worker of a `WorkerPool`: `setup` is called once and gives the function that does each job. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller knows what its pool's `init` is
export function serveJobs<Init, Job, Result, Request = never, Reply = never>(
  setup: (init: Init, host: WorkerHost<Request, Reply>) => JobFunction<Job, Result> | Promise<JobFunction<Job, Result>>,
): void {
  const port = parentPort
  if (!port) throw new Error('serveJobs works in worker threads only')
  const post = (message: FromWorker<Result, Request>, transfer?: Transferable[]): void =>
    port.postMessage(message, transfer ?? [])
  const waiting = new Map<number, { resolve(reply: Reply): void; reject(error: CairnError): void }>()
  let lastId = 0

  const host: WorkerHost<Request, Reply> = {
    async request(request, transfer) {
      const id = ++lastId
      post({ kind: 'request', id, request }, transfer)
      return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }))
    },
  }
  const progress = (message: unknown): void => post({ kind: 'progress', message })

  const ready = (async () => setup((workerData as { init: Init }).init, host))()
  ready.catch(() => undefined) // every job reports it

  const run = async (job: Job): Promise<void> => {
    try {
      const doJob = await ready
      const { result, transfer } = await doJob(job, progress)
      post({ kind: 'result', result }, transfer)
    } catch (error) {
      post({ kind: 'failure', error: toWire(error) })
    }
  }

  port.on('message', (message: ToWorker<Job, Reply>) => {
    if (message.kind === 'job') {
      void run(message.job)
      return
    }
    const caller = waiting.get(message.id)
    waiting.delete(message.id)
    if (message.kind === 'reply') caller?.resolve(message.reply)
    else caller?.reject(fromWire(message.error))
  })
  port.on('messageerror', (error) => {
    throw error // ends the thread, so that the pool hears of it
  })
}

function end<Result>(slot: Slot<Result>, reason: CairnError): void {
  slot.ended ??= reason
  slot.pending?.reject(slot.ended)
  slot.pending = undefined
}

function died(worker: number, what: string, cause?: unknown): CairnError {
  return new CairnError('INTERNAL', `Worker thread ${worker} died: ${what}`, {
    ...(cause !== undefined && { cause }),
    details: { worker },
  })
}

function toWire(error: unknown): WireError {
  const { code, message, details, stack, cause } = toCairnError(error)
  try {
    return structuredClone({ code, message, details, stack, cause })
  } catch {
    return { code, message, details: {}, stack } // better an error without details than none
  }
}

function fromWire({ code, message, details, stack, cause }: WireError): CairnError {
  const error = new CairnError(code, message, { ...(cause !== undefined && { cause }), details })
  if (stack !== undefined) error.stack = stack
  return error
}
