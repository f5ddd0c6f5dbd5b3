import type { AbortOptions } from '../base/abort.ts'
import { CairnError, isCairnError } from '../base/errors.ts'
import type { SessionId } from '../base/ids.ts'
import { getOrError, hashOfName, readNameClaim, verifyKeySlot, verifySession } from '../repository/low-level.ts'
import type { Repository } from '../repository/repository.ts'
import { type Snapshot, decodeSnapshot } from '../snapshot/snapshot.ts'
import type { Findings } from './findings.ts'

/** The snapshots of these runs that can be read; the others are reported. Oldest first. */
export async function readSnapshots(
  repository: Repository,
  commits: Iterable<SessionId>,
  findings: Findings,
  options: AbortOptions,
): Promise<Snapshot[]> {
  const snapshots: Snapshot[] = []
  for (const session of commits) {
    try {
      const snapshot = decodeSnapshot(await repository.loadCommit(session, options))
      if (snapshot) snapshots.push(snapshot)
    } catch (error) {
      if (isCairnError(error, 'NOT_FOUND')) continue // deleted since it was listed
      report(findings, `commits/${session}`, error)
    }
  }
  return snapshots.sort((a, b) => (a.startedAt < b.startedAt ? -1 : a.startedAt > b.startedAt ? 1 : 0))
}

/** Looks at what no restore needs, but runs do: claims of names, session objects, key slots. */
export async function checkSmallObjects(
  repository: Repository,
  snapshots: readonly Snapshot[],
  findings: Findings,
  options: AbortOptions,
): Promise<void> {
  const { storage, keys, id } = repository
  const claims = new Map<string, Set<SessionId>>()
  const verifyClaim = (key: string, object: Uint8Array): void => {
    const { hash, session } = readNameClaim(key, object)
    claims.set(hash, (claims.get(hash) ?? new Set()).add(session))
  }
  const kinds = [
    { prefix: 'keys/', name: /./, verify: (key: string, object: Uint8Array) => verifyKeySlot(id, key, object) },
    {
      prefix: 'sessions/',
      name: /^[0-9a-f]{32}$/,
      verify: (key: string, object: Uint8Array) => verifySession(keys, key, object),
    },
    { prefix: 'names/', name: /^[0-9a-f]{64}-\d{1,15}$/, verify: verifyClaim },
  ]
  for (const { prefix, name, verify } of kinds) {
    for await (const { key } of storage.list(prefix, options)) {
      if (!name.test(key.slice(prefix.length))) {
        findings.note(key, 'is not named like an object of its folder')
        continue
      }
      const object = await getOrError(storage, key, options)
      if (isCairnError(object, 'NOT_FOUND')) continue // a session that has ended since
      try {
        if (isCairnError(object)) throw object
        verify(key, object)
      } catch (error) {
        report(findings, key, error)
      }
    }
  }
  for (const { id: session, name, checkpoint } of snapshots) {
    if (checkpoint) continue // its name is made from its run's, and claimed by nobody
    const hash = hashOfName(keys, name)
    if (claims.get(hash)?.has(session)) continue
    const found = 'no claim of its name is left, so another snapshot could get the same'
    const message = `Cannot find names/${hash}-* of snapshot '${name}': ${found}`
    findings.error({ code: 'DATA_CORRUPT', object: `names/${hash}`, message })
  }
}

function report(findings: Findings, object: string, error: unknown): void {
  // What is in a sealed object was checked when it was written; a field that makes no sense is damage all the same.
  const known = isCairnError(error) ? error : error instanceof SyntaxError ? corrupt(object, error) : undefined
  if (!known || known.code === 'CANCELLED' || known.code === 'INTERNAL') throw error
  findings.error({ code: known.code, object, message: known.message })
}

function corrupt(object: string, cause: SyntaxError): CairnError {
  return new CairnError('DATA_CORRUPT', `Cannot read ${object}: it is no JSON`, { cause })
}
