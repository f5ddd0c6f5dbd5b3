import type { AbortOptions } from '../../base/abort.ts'
import { CairnError, isCairnError } from '../../base/errors.ts'
import { type SessionId, asSessionId, toHex } from '../../base/ids.ts'
import { ChunkHasher } from '../../codec/hash.ts'
import type { Storage, StoredObject } from '../../storage/storage.ts'
import type { RepositoryKeys } from '../keys.ts'
import { type SessionRecord, commitKey, decodeSession, looksDead, sessionKey } from './open-session.ts'

/**
 * Claims of snapshot names: `names/<keyed hash of the name>-<n>` holds the id of the claiming run. The claim with the highest n
 * is the one in force, and it counts only while its run is open or committed. A claim that no longer counts is passed over by
 * putting n + 1 if absent, so of several runs that see the same stale claim exactly one gets the name, and nothing is deleted.
 */

/**
 * Claims `name` for a session. A run that holds the name but is known to be dead is fenced first.
 *
 * @throws {CairnError} `SNAPSHOT_EXISTS` when a snapshot or a living run has the name
 */
export async function claimName(
  storage: Storage,
  keys: RepositoryKeys,
  name: string,
  session: SessionId,
  options: AbortOptions,
): Promise<void> {
  const prefix = `names/${toHex(new ChunkHasher(keys.names).hash(Buffer.from(name)))}-`
  for (;;) {
    let newest = 0
    for await (const { key } of storage.list(prefix, options))
      newest = Math.max(newest, Number(key.slice(prefix.length)) || 0)
    if (newest > 0) {
      const holder = asSessionId(
        Buffer.from(await storage.get(`${prefix}${newest}`, undefined, options)).toString('utf8'),
      )
      if (holder === session) return // an earlier try had been answered too late, or not at all
      const state = holder ? await stateOf(storage, keys, holder, session, options) : 'gone'
      if (state !== 'gone') {
        const found = state === 'committed' ? 'a snapshot has it' : 'a run in progress has it'
        throw new CairnError('SNAPSHOT_EXISTS', `Cannot use the snapshot name '${name}': ${found}; choose another name`)
      }
    }
    if (await storage.putIfAbsent(`${prefix}${newest + 1}`, Buffer.from(session), options)) return
  }
}

/** Whether a run is committed, open, or neither; an open one known to be dead is fenced, and so is gone. */
async function stateOf(
  storage: Storage,
  keys: RepositoryKeys,
  holder: SessionId,
  own: SessionId,
  options: AbortOptions,
): Promise<'committed' | 'open' | 'gone'> {
  // The open session first: a run that commits in between is then seen in its register.
  const open = await findObject(storage, sessionKey(holder), options)
  const register = await findObject(storage, commitKey(holder), options)
  if (register) return register.sizeBytes > 0 ? 'committed' : 'gone'
  if (!open) return 'gone'
  // The store's clock at a moment not before `open` was listed as silent: when it took our own session object.
  const nowMs = (await findObject(storage, sessionKey(own), options))?.modifiedAtMs ?? 0
  if (!looksDead(await loadSession(storage, keys, holder, options), nowMs - open.modifiedAtMs)) return 'open'
  if (!(await storage.putIfAbsent(commitKey(holder), Buffer.alloc(0), options)))
    return stateOf(storage, keys, holder, own, options)
  await storage.delete(sessionKey(holder), options)
  return 'gone'
}

async function loadSession(
  storage: Storage,
  keys: RepositoryKeys,
  session: SessionId,
  options: AbortOptions,
): Promise<SessionRecord | undefined> {
  try {
    return decodeSession(keys, session, await storage.get(sessionKey(session), undefined, options))
  } catch (error) {
    // Nothing is known of a run whose object is damaged or of a newer version: only its silence can tell.
    if (isCairnError(error, 'DATA_CORRUPT') || isCairnError(error, 'FORMAT_UNSUPPORTED')) return undefined
    if (isCairnError(error, 'NOT_FOUND')) return undefined
    throw error
  }
}

async function findObject(storage: Storage, key: string, options: AbortOptions): Promise<StoredObject | undefined> {
  for await (const object of storage.list(key, options)) if (object.key === key) return object
  return undefined
}
