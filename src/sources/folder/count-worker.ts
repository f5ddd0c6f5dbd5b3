import { serveJobs } from '../../platform/worker-pool.ts'
import type { SourceTotals } from '../source.ts'
import { FolderWalk, type WalkRoot } from './folder-walk.ts'

// What the thread runs that counts a source ahead: the same walk, and nothing kept of it.
serveJobs<undefined, readonly WalkRoot[], SourceTotals>(() => async (roots) => {
  let files = 0
  let bytes = 0
  for (const root of roots) {
    const walk = new FolderWalk(root, () => undefined)
    for (let batch = walk.next(); batch.length > 0; batch = walk.next()) {
      for (const entry of batch) {
        if (entry.type !== 'file') continue
        files++
        bytes += entry.sizeBytes
      }
    }
  }
  return { result: { files, bytes } }
})
