import { serveJobs } from '../platform/worker-pool.ts'
import { ChunkTable, type SharedChunkTable } from './chunk-table.ts'

/** What the tests of the chunk table make a thread do: claim all `ids` (32 bytes each), in an order of its own. */
export interface ClaimJob {
  readonly table: SharedChunkTable
  readonly ids: Uint8Array<SharedArrayBuffer>
  /** A counter at which all threads wait for each other, so that they really work at the same time. */
  readonly barrier: Int32Array<SharedArrayBuffer>
  readonly threads: number
  readonly thread: number
  /** So many ids are claimed by all threads in step: they wait for each other, a moment at most, before each. */
  readonly inStep: number
}

/** 1 for each id this thread won; and the ids it did not see as claimed afterwards, of which there must be none. */
export interface ClaimResult {
  readonly won: Uint8Array
  readonly unseen: number
}

/** How often a thread looks for the others before it goes on alone. */
const MAX_SPINS = 2000

serveJobs<undefined, ClaimJob, ClaimResult>(() => async ({ table: shared, ids, barrier, threads, thread, inStep }) => {
  const table = ChunkTable.attach(shared)
  const count = ids.length / 32
  const won = new Uint8Array(count)
  let unseen = 0
  Atomics.add(barrier, 0, 1)
  while (Atomics.load(barrier, 0) < threads); // all begin at once
  // After those in step, half of the threads go on in the same order, and the others begin elsewhere.
  const rest = count - inStep
  const shift = thread % 2 === 0 ? 0 : Math.floor((thread * rest) / threads)
  for (let i = 0; i < count; i++) {
    const place = i < inStep ? i : inStep + ((i - inStep + shift) % rest)
    const id = ids.subarray(place * 32, place * 32 + 32)
    if (i < inStep) {
      Atomics.add(barrier, 0, 1)
      for (let spins = 0; Atomics.load(barrier, 0) < threads * (i + 2) && spins < MAX_SPINS; spins++);
    }
    if (table.claim(id)) {
      won[place] = 1
      if (place % 3 === 0) table.add(place * threads + thread, id)
    } else if (!table.has(id)) unseen++
  }
  return { result: { won, unseen } }
})
