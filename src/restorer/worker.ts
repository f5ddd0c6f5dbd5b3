import { serveJobs } from '../platform/worker-pool.ts'
import { SegmentReader } from '../repository/segment-reader.ts'
import { FileWriter } from './file-writer.ts'
import type { RestoreInit, RestoreJob, RestoreResult } from './protocol.ts'

// What a worker thread of the restorer runs: sealed segments in, files out.
serveJobs<RestoreInit, RestoreJob, RestoreResult>((init) => {
  const writer = new FileWriter(new SegmentReader(init.keys))
  return async (job) => ({ result: writer.run(job) })
})
