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
}

/** 1 for each id this thread won; and the ids it did not see as claimed afterwards, of which there must be none. */
export interface ClaimResult {
  readonly won: Uint8Array
  readonly unseen: number
}

serveJobs<undefined, ClaimJob, ClaimResult>(() => async ({ table: shared, ids, barrier, threads, thread }) => {
  const table = ChunkTable.attach(shared)
  const count = ids.length / 32
  const won = new Uint8Array(count)
  let unseen = 0
  Atomics.add(barrier, 0, 1)
  while (Atomics.load(barrier, 0) < threads); // all begin at once
  // Half of the threads go through the ids in the same order and collide all the time; the others begin elsewhere.
  const first = thread % 2 === 0 ? 0 : Math.floor((thread * count) / threads)
  for (let i = 0; i < count; i++) {
    const place = (first + i) % count
    const id = ids.subarray(place * 32, place * 32 + 32)
    if (table.claim(id)) {
      won[place] = 1
      if (place % 3 === 0) table.add(id, thread, place, thread + 1, place)
    } else if (!table.has(id)) unseen++
  }
  return { result: { won, unseen } }
})
