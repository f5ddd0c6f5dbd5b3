import { OpenFolders } from '../platform/open-folder.ts'
import { serveJobs } from '../platform/worker-pool.ts'
import { SegmentReader } from '../repository/segment-reader.ts'
import { FileChecker } from './file-checker.ts'
import { FileWriter } from './file-writer.ts'
import type { RestoreInit, WorkerJob, WorkerResult } from './protocol.ts'

// What a worker thread of the restorer runs: sealed segments in, files out; or files in, and whether they are right.
serveJobs<RestoreInit, WorkerJob, WorkerResult>(({ keys, rights }) => {
  const writer = new FileWriter(new SegmentReader(keys), rights)
  const checker = new FileChecker(keys, rights)
  let folders: OpenFolders | undefined
  return async (job) => {
    folders ??= new OpenFolders(job.root)
    return { result: job.kind === 'write' ? writer.run(job, folders) : checker.run(job, folders) }
  }
})
