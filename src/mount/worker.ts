import { release } from '../codec/release.ts'
import { serveJobs } from '../platform/worker-pool.ts'
import type { RepositoryKeys } from '../repository/keys.ts'
import { type SealedSegment, SegmentReader } from '../repository/segment-reader.ts'

export interface DecodeInit {
  readonly keys: RepositoryKeys
}

/** A segment in plain, and the ids that its chunks really have. */
export interface DecodedSegment {
  readonly bytes: Uint8Array
  readonly ends: readonly number[]
  readonly ids: Uint8Array
}

/** From this length on, a buffer has memory of its own. */
const OWN_MEMORY_BYTES = 64 << 10

// What a worker thread of a mount runs: sealed segments in, chunks out.
serveJobs<DecodeInit, SealedSegment, DecodedSegment>(({ keys }) => {
  const reader = new SegmentReader(keys)
  return async (sealed) => {
    const segment = reader.read(sealed)
    const ids = reader.idsOf(segment)
    if (segment.bytes.buffer !== sealed.bytes.buffer) release(sealed.bytes)
    const { bytes, ends } = segment
    // Small ones may share their memory with others.
    const transfer = bytes.length >= OWN_MEMORY_BYTES && bytes.buffer instanceof ArrayBuffer ? [bytes.buffer] : []
    return { result: { bytes, ends, ids }, transfer }
  }
})
