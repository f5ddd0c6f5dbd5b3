import type { AbortOptions } from '../../base/abort.ts'
import { type SessionId, asSessionId } from '../../base/ids.ts'
import type { Storage } from '../../storage/storage.ts'
import type { RepositoryKeys } from '../keys.ts'
import { type ReclamationId, putWaiting, readWaiting } from './condemned.ts'
import { storeTime } from './store-time.ts'
import { commitKey, findObject, listSessions, loadSession, looksDead, sessionKey } from './open-session.ts'

/** For a reclamation: which runs it has to wait for (G4), and which of them have not ended (G5). */
export class SessionEnds {
  readonly #storage: Storage
  readonly #keys: RepositoryKeys
  readonly #options: AbortOptions
  #nowMs: number | undefined

  constructor(storage: Storage, keys: RepositoryKeys, options: AbortOptions) {
    this.#storage = storage
    this.#keys = keys
    this.#options = options
  }

  /** The runs that a reclamation has to wait for; those that are open now and have not committed, if nobody has listed them yet. */
  async waitedFor(reclamation: ReclamationId): Promise<SessionId[]> {
    const listed = await readWaiting(this.#storage, this.#keys, reclamation, this.#options)
    if (listed) return listed
    const sessions = await listSessions(this.#storage, this.#options)
    // Whoever ends between the two looks has nothing more to commit, or has committed already.
    const registers = await this.#listRegisters()
    const open = [...sessions.keys()].filter((session) => !registers.has(session))
    await putWaiting(this.#storage, this.#keys, reclamation, open, this.#options)
    return open
  }

  /** Those of the runs that have no register and may yet put one; the others are fenced. */
  async openOf(sessions: readonly SessionId[]): Promise<SessionId[]> {
    if (sessions.length === 0) return []
    const registers = await this.#listRegisters()
    const open: SessionId[] = []
    for (const session of sessions) {
      if (registers.has(session)) continue
      if (await this.#mayCommit(session)) open.push(session)
      // A register has one winner: either it is over now, or it has just ended by itself.
      else await this.#storage.putIfAbsent(commitKey(session), Buffer.alloc(0), this.#options)
    }
    return open
  }

  async #mayCommit(session: SessionId): Promise<boolean> {
    const object = await findObject(this.#storage, sessionKey(session), this.#options)
    if (!object) return false // its own hand has closed it
    const record = await loadSession(this.#storage, this.#keys, session, this.#options)
    return !looksDead(record, (this.#nowMs ??= await storeTime(this.#storage, this.#options)) - object.modifiedAtMs)
  }

  async #listRegisters(): Promise<Set<SessionId>> {
    const registers = new Set<SessionId>()
    for await (const { key } of this.#storage.list('commits/', this.#options)) {
      const session = asSessionId(key.slice('commits/'.length))
      if (session) registers.add(session)
    }
    return registers
  }
}
