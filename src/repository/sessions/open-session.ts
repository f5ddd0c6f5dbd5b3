import { hostname } from 'node:os'
import { CairnError } from '../../base/errors.ts'
import type { SessionId } from '../../base/ids.ts'
import type { RepositoryKeys } from '../keys.ts'
import { openObject, sealObject } from '../sealed-object.ts'

/** Who runs a session: tells people what is going on, and whether the process is known to be gone. */
export interface SessionRecord {
  readonly host: string
  readonly pid: number
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

export function encodeSession(keys: RepositoryKeys, session: SessionId, record: SessionRecord): Buffer {
  return sealObject('session', keys, sessionKey(session), Buffer.from(JSON.stringify(record)))
}

export function decodeSession(keys: RepositoryKeys, session: SessionId, object: Uint8Array): SessionRecord {
  const key = sessionKey(session)
  const { host, pid, startedAt } = JSON.parse(openObject('session', keys, key, object).toString('utf8')) as Record<
    string,
    unknown
  >
  if (typeof host !== 'string' || typeof pid !== 'number' || typeof startedAt !== 'string') {
    throw new CairnError('DATA_CORRUPT', `Cannot read ${key}: it does not say who runs it`)
  }
  return { host, pid, startedAt }
}

/** The record of this process. */
export function ownSession(nowMs: number): SessionRecord {
  return { host: hostname(), pid: process.pid, startedAt: new Date(nowMs).toISOString() }
}

/** Whether a run is over for sure, or was silent for so long, by the store's clock, that it may be treated so. */
export function looksDead(record: SessionRecord | undefined, silentMs: number): boolean {
  if (silentMs > SILENCE_MS) return true
  if (record?.host !== hostname()) return false
  try {
    process.kill(record.pid, 0)
    return false
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH'
  }
}
