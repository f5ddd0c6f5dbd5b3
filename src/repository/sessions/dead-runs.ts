import type { AbortOptions } from '../../base/abort.ts'
import { debugScope } from '../../base/debug.ts'
import type { SessionId } from '../../base/ids.ts'
import type { Storage } from '../../storage/storage.ts'
import type { RepositoryKeys } from '../keys.ts'
import { commitKey, findObject, listSessions, loadSession, looksDead } from './open-session.ts'

const debug = debugScope('session')

/** The session objects that a run found on the store, its own left out. */
export interface OtherRuns {
  /** Runs that ended without a commit and left their session object: fenced just now, or by somebody earlier. */
  readonly dead: readonly SessionId[]
  /** Runs that may be alive. */
  readonly living: ReadonlySet<SessionId>
  /** When the first of the living began, in ms since 1970 by its own clock; 0 when one does not say. */
  readonly livingSinceMs: number
}

/**
 * Looks at the other runs, and fences those that are known to be dead: an empty register, put if absent, so that they can never
 * commit. Their session objects are left for the caller to delete, once it has taken over what they stored. Of a run that turns
 * out to have committed everything stays as it is: whether it was closed by its own hand is for reclamation to know.
 */
export async function endDeadRuns(
  storage: Storage,
  keys: RepositoryKeys,
  own: SessionId,
  options: AbortOptions,
): Promise<OtherRuns> {
  const sessions = await listSessions(storage, options)
  // The store's clock at a moment not before the others were last put: when it took our own session object.
  const nowMs = sessions.get(own)?.modifiedAtMs ?? 0
  sessions.delete(own)
  const dead: SessionId[] = []
  const living = new Set<SessionId>()
  let livingSinceMs = Infinity
  for (const [session, { modifiedAtMs }] of sessions) {
    const record = await loadSession(storage, keys, session, options)
    if (looksDead(record, nowMs - modifiedAtMs)) {
      if (await fence(storage, session, options)) dead.push(session)
      continue
    }
    living.add(session)
    livingSinceMs = Math.min(livingSinceMs, record ? Date.parse(record.startedAt) || 0 : 0)
  }
  return { dead, living, livingSinceMs }
}

/** Ends a run by force; returns whether it is over without a commit. */
async function fence(storage: Storage, session: SessionId, options: AbortOptions): Promise<boolean> {
  const key = commitKey(session)
  if (await storage.putIfAbsent(key, Buffer.alloc(0), options)) {
    debug?.('fenced %s, which is dead', session)
    return true
  }
  return (await findObject(storage, key, options))?.sizeBytes === 0
}
