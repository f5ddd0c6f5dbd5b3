import type { AbortOptions } from '../../base/abort.ts'
import { type Clock, systemClock } from '../../base/clock.ts'
import { debugScope } from '../../base/debug.ts'
import { isCairnError, toCairnError } from '../../base/errors.ts'
import { type SessionId, toHex } from '../../base/ids.ts'
import { randomBytes } from '../../codec/random.ts'
import type { Storage } from '../../storage/storage.ts'
import type { RepositoryKeys } from '../keys.ts'
import { sealObject } from '../sealed-object.ts'
import { HEARTBEAT_MS, commitKey, encodeSession, ownSession, sessionKey } from './open-session.ts'

const debug = debugScope('session')

export interface LiveSessionOptions extends AbortOptions {
  readonly clock?: Clock | undefined
}

/** The session object and the register of one run of this process: announced (W1), kept alive, committed once (W4), closed (W5). */
export class LiveSession {
  readonly id: SessionId
  readonly #storage: Storage
  readonly #keys: RepositoryKeys
  readonly #options: LiveSessionOptions
  readonly #heartbeat: NodeJS.Timeout
  /** Resolves when no heartbeat is under way any more. */
  #beating: Promise<void> = Promise.resolve()
  /** The commit was tried, and nobody knows whether it happened or will. */
  #isInDoubt = false

  private constructor(
    storage: Storage,
    keys: RepositoryKeys,
    id: SessionId,
    record: Buffer,
    options: LiveSessionOptions,
  ) {
    this.#storage = storage
    this.#keys = keys
    this.id = id
    this.#options = options
    this.#heartbeat = setInterval(() => {
      // A missed heartbeat is nothing by itself; a store that stays away shows in the next put.
      this.#beating = storage
        .put(sessionKey(id), record)
        .catch((error: unknown) => debug?.('heartbeat of %s failed: %s', id, error))
    }, HEARTBEAT_MS)
    this.#heartbeat.unref()
  }

  /** Puts the session object of a new run (W1). */
  static async announce(
    storage: Storage,
    keys: RepositoryKeys,
    options: LiveSessionOptions = {},
  ): Promise<LiveSession> {
    const id = toHex(randomBytes(16)) as SessionId
    const record = encodeSession(keys, id, ownSession((options.clock ?? systemClock).now()))
    await storage.put(sessionKey(id), record, options)
    return new LiveSession(storage, keys, id, record, options)
  }

  /**
   * Puts the one-shot register (W4), and returns whether it is now this run's; `false` means that the run was fenced.
   *
   * @throws {CairnError} what the store throws; then the run has not committed, unless the store did not answer at all any more
   */
  async commit(value: Readonly<Record<string, unknown>>): Promise<boolean> {
    const key = commitKey(this.id)
    const register = sealObject('commit', this.#keys, key, Buffer.from(JSON.stringify(value)))
    try {
      if (await this.#storage.putIfAbsent(key, register, this.#options)) return true
    } catch (error) {
      // With these two, nothing was stored. Any other failure leaves open whether it was, or still will be: an empty register,
      // put if absent, settles it. Where not even that gets an answer, the session object must stay: reclamation has to wait
      // for this run, until somebody fences it.
      if (isCairnError(error, 'STORAGE_FULL') || isCairnError(error, 'STORAGE_DENIED')) throw error
      this.#isInDoubt = true
      const isAborted = await this.#storage.putIfAbsent(key, Buffer.alloc(0)).catch(() => undefined)
      if (isAborted === undefined) throw error
      this.#isInDoubt = false
      if (isAborted) throw error
    }
    // Own bytes: the reply to an earlier try was lost, and it succeeded.
    return register.equals(await this.#storage.get(key))
  }

  /** Takes back the announcement (W5), unless nobody knows how the run ended. Never throws, and may be called again. */
  async close(): Promise<void> {
    await this.stop()
    if (this.#isInDoubt) return
    try {
      await this.#storage.delete(sessionKey(this.id))
    } catch (error) {
      debug?.('could not close %s: %s', this.id, toCairnError(error).message)
    }
  }

  /** Ends the heartbeat and leaves the session object, for the next run to find. */
  async stop(): Promise<void> {
    clearInterval(this.#heartbeat)
    await this.#beating // or it would bring the object back
  }
}
