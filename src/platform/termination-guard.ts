import { setTimeout } from 'node:timers/promises'
import { workerData } from 'node:worker_threads'

const FREE = 0
const BUSY = 1
const CLOSED = 2

/** Shared between a worker thread, which finds it as `workerData.guard`, and the thread that may end it. */
export type TerminationGuard = Int32Array<SharedArrayBuffer>

export function newTerminationGuard(): TerminationGuard {
  return new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
}

/**
 * Runs `action`, which is short, without this worker thread being ended meanwhile: for native code that cannot be. V8 ends a
 * thread by an exception that nobody catches, and an add-on in the middle of defining functions (koffi, for 10 ms) then fails to
 * throw its own, which aborts the whole process: one in some twenty interrupted backups ended with a native stack trace.
 */
export function withoutTermination<T>(action: () => T): T {
  const guard: unknown = (workerData as { guard?: unknown } | null)?.guard
  if (!(guard instanceof Int32Array)) return action()
  if (Atomics.compareExchange(guard, 0, FREE, BUSY) === CLOSED) Atomics.wait(guard, 0, CLOSED) // until the thread is ended
  try {
    return action()
  } finally {
    Atomics.store(guard, 0, FREE)
  }
}

/** Resolves when the thread may be ended; from then on it begins nothing of that kind. May be called again. */
export async function closeGuard(guard: TerminationGuard): Promise<void> {
  while (Atomics.compareExchange(guard, 0, FREE, CLOSED) === BUSY) await setTimeout(1)
}
