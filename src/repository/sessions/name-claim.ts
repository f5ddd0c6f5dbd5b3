import type { AbortOptions } from '../../base/abort.ts'
import { CairnError } from '../../base/errors.ts'
import { type SessionId, asSessionId, toHex } from '../../base/ids.ts'
import { ChunkHasher } from '../../codec/hash.ts'
import type { Storage } from '../../storage/storage.ts'
import type { RepositoryKeys } from '../keys.ts'
import { commitKey, findObject, forgottenKey, loadSession, looksDead, sessionKey } from './open-session.ts'

/**
 * Claims of snapshot names: `names/<keyed hash of the name>-<n>` holds the id of the claiming run. The claim with the highest n
 * is the one in force, and it counts only while its run is open, or committed and not forgotten. A claim that no longer counts is
 * passed over by putting n + 1 if absent, so of several runs that see the same stale claim exactly one gets the name, and nothing
 * is deleted.
 *
 * A damaged claim counts as nobody's. The worst that can come of it is a second snapshot of the same name: both are listed and
 * each has its id; whereas a claim that nobody can read and nobody may pass over would bar the name for good. It needs no seal:
 * damage never makes it another run's, since ids are 128 random bits.
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
    for await (const { key } of storage.list(prefix, options)) {
      const number = key.slice(prefix.length)
      if (/^[1-9]\d{0,8}$/.test(number)) newest = Math.max(newest, Number(number))
    }
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
  if (register) {
    if (register.sizeBytes === 0) return 'gone'
    return (await findObject(storage, forgottenKey(holder), options)) ? 'gone' : 'committed'
  }
  if (!open) return 'gone'
  // The store's clock at a moment not before `open` was listed as silent: when it took our own session object.
  const nowMs = (await findObject(storage, sessionKey(own), options))?.modifiedAtMs ?? 0
  if (!looksDead(await loadSession(storage, keys, holder, options), nowMs - open.modifiedAtMs)) return 'open'
  if (!(await storage.putIfAbsent(commitKey(holder), Buffer.alloc(0), options)))
    return stateOf(storage, keys, holder, own, options)
  // Its session object stays: it tells the next run that opens that this one may have left packs.
  return 'gone'
}
