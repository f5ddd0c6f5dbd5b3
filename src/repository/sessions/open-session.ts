import { hostname } from 'node:os'
import type { AbortOptions } from '../../base/abort.ts'
import { CairnError, isCairnError } from '../../base/errors.ts'
import { type SessionId, asSessionId } from '../../base/ids.ts'
import { isAlive } from '../../platform/process-scope.ts'
import { processSpace } from '../../storage/process-space.ts'
import type { Storage, StoredObject } from '../../storage/storage.ts'
import type { RepositoryKeys } from '../keys.ts'
import { openObject, parseObject, sealObject } from '../sealed-object.ts'

/** Who runs a session: tells people what is going on, and whether the process is known to be gone. */
export interface SessionRecord {
  readonly host: string
  readonly pid: number
  /** Where the process id means something (`processSpace`); `undefined` in objects of the first version. */
  readonly space: string | undefined
  /** UTC, ISO 8601. */
  readonly startedAt: string
}

/** A session is re-put this often while it runs. */
export const HEARTBEAT_MS = 2 * 60_000
/** A session silent for this long is taken for dead. Being wrong costs that run a restart, never data. */
export const SILENCE_MS = 30 * 60_000

export function sessionKey(session: SessionId): string {
  return `sessions/${session}`
}

/** The one-shot register that ends a run: non-empty = committed, empty = aborted. */
export function commitKey(session: SessionId): string {
  return `commits/${session}`
}

/** The marker that hides a committed snapshot. */
export function forgottenKey(session: SessionId): string {
  return `forgotten/${session}`
}

/** The mark of a snapshot that policies keep. */
export function pinKey(session: SessionId): string {
  return `pins/${session}`
}

export function encodeSession(keys: RepositoryKeys, session: SessionId, record: SessionRecord): Buffer {
  return sealObject('session', keys, sessionKey(session), Buffer.from(JSON.stringify(record)))
}

export function decodeSession(keys: RepositoryKeys, session: SessionId, object: Uint8Array): SessionRecord {
  const key = sessionKey(session)
  const { host, pid, space, startedAt } = parseObject(openObject('session', keys, key, object), key)
  if (typeof host !== 'string' || typeof pid !== 'number' || typeof startedAt !== 'string') {
    throw new CairnError('DATA_CORRUPT', `Cannot read ${key}: it does not say who runs it`)
  }
  return { host, pid, space: typeof space === 'string' ? space : undefined, startedAt }
}

/** What a run says of itself; `undefined` when it has ended, or its object is damaged or of a newer version. */
export async function loadSession(
  storage: Storage,
  keys: RepositoryKeys,
  session: SessionId,
  options: AbortOptions,
): Promise<SessionRecord | undefined> {
  try {
    return decodeSession(keys, session, await storage.get(sessionKey(session), undefined, options))
  } catch (error) {
    // Nothing is known of such a run: only its silence can tell.
    if (isCairnError(error, 'DATA_CORRUPT') || isCairnError(error, 'FORMAT_UNSUPPORTED')) return undefined
    if (isCairnError(error, 'NOT_FOUND')) return undefined
    throw error
  }
}

/** Session objects on the store, by their runs. */
export async function listSessions(storage: Storage, options: AbortOptions): Promise<Map<SessionId, StoredObject>> {
  const sessions = new Map<SessionId, StoredObject>()
  for await (const object of storage.list('sessions/', options)) {
    const session = asSessionId(object.key.slice('sessions/'.length))
    if (session) sessions.set(session, object)
  }
  return sessions
}

/** The ids in the keys of markers below a prefix like `forgotten/`. */
export async function listIds(storage: Storage, prefix: string, options: AbortOptions): Promise<Set<SessionId>> {
  const ids = new Set<SessionId>()
  for await (const { key } of storage.list(prefix, options)) {
    const id = asSessionId(key.slice(prefix.length))
    if (id) ids.add(id)
  }
  return ids
}

/** The object with exactly this key, as a listing shows it. */
export async function findObject(
  storage: Storage,
  key: string,
  options: AbortOptions,
): Promise<StoredObject | undefined> {
  for await (const object of storage.list(key, options)) if (object.key === key) return object
  return undefined
}

/** The record of this process. */
export function ownSession(nowMs: number): SessionRecord {
  return { host: hostname(), pid: process.pid, space: processSpace(), startedAt: new Date(nowMs).toISOString() }
}

/** Whether a run is over for sure, or was silent for so long, by the store's clock, that it may be treated so. */
export function looksDead(record: SessionRecord | undefined, silentMs: number): boolean {
  if (silentMs > SILENCE_MS) return true
  if (record?.host !== hostname()) return false
  // Containers that share a host name do not see each other's processes; nor does a machine know those of its last boot.
  if (record.space !== undefined && record.space !== processSpace()) return false
  return !isAlive(record.pid)
}
