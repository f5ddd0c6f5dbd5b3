import type { AbortOptions } from '../base/abort.ts'
import { CairnError, isCairnError } from '../base/errors.ts'
import type { SessionId } from '../base/ids.ts'
import { loadLabels } from '../repository/labels.ts'
import {
  decodeCondemned,
  decodeWaiting,
  forgottenKey,
  getOrError,
  hashOfName,
  readNameClaim,
  verifyKeySlot,
  verifyLabel,
  verifySession,
} from '../repository/low-level.ts'
import type { Repository } from '../repository/repository.ts'
import { withLabel } from '../snapshot/catalog.ts'
import { type Snapshot, decodeSnapshot } from '../snapshot/snapshot.ts'
import type { Findings } from './findings.ts'

/** The snapshots of these runs that can be read, by their current names; the others are reported. Oldest first. */
export async function readSnapshots(
  repository: Repository,
  commits: Iterable<SessionId>,
  findings: Findings,
  options: AbortOptions,
): Promise<Snapshot[]> {
  const snapshots: Snapshot[] = []
  const forgotten = new Set<string>()
  for await (const { key } of repository.storage.list('forgotten/', options)) forgotten.add(key)
  for (const session of commits) {
    if (forgotten.has(forgottenKey(session))) continue // deleted: nothing of it needs to be there
    try {
      const snapshot = decodeSnapshot(await repository.loadCommit(session, options))
      if (snapshot) snapshots.push(snapshot)
    } catch (error) {
      if (isCairnError(error, 'NOT_FOUND')) continue // deleted since it was listed
      report(findings, `commits/${session}`, error)
    }
  }
  // Labels that are damaged are reported with the other small objects.
  const ids = snapshots.map(({ id }) => id)
  const { labels, pinned } = await loadLabels(repository, ids, { ...options, onDamaged: () => undefined })
  const current = snapshots.map((snapshot) => withLabel(snapshot, labels.get(snapshot.id), pinned.has(snapshot.id)))
  return current.sort((a, b) => (a.startedAt < b.startedAt ? -1 : a.startedAt > b.startedAt ? 1 : 0))
}

/** Looks at what no restore needs, but runs do: claims of names, labels, session objects, key slots. */
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
    {
      prefix: 'labels/',
      name: /^[0-9a-f]{32}-[1-9]\d{0,8}$/,
      verify: (key: string, object: Uint8Array) => verifyLabel(keys, key, object),
    },
    {
      prefix: 'condemned/',
      name: /^[0-9a-f]{32}$/,
      verify: (key: string, object: Uint8Array) => void decodeCondemned(keys, key, object),
    },
    {
      prefix: 'waiting/',
      name: /^[0-9a-f]{32}$/,
      verify: (key: string, object: Uint8Array) => void decodeWaiting(keys, key, object),
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
