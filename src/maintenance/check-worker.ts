import { serveJobs } from '../platform/worker-pool.ts'
import { type PackClaim, type PackVerdict, PackVerifier, type RepositoryKeys } from '../repository/low-level.ts'

export interface VerifyInit {
  readonly keys: RepositoryKeys
}

export interface VerifyJob {
  readonly claim: PackClaim
  /** The whole pack. */
  readonly bytes: Uint8Array
  /** What the index says, for a pack that cannot be asked itself. */
  readonly table: Uint8Array | undefined
}

// What a worker thread of a check runs: whole packs in, verdicts out.
serveJobs<VerifyInit, VerifyJob, PackVerdict>((init) => {
  const verifier = new PackVerifier(init.keys)
  return async ({ claim, bytes, table }) => ({ result: verifier.verify(claim, bytes, table) })
})
