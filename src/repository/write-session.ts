import type { AbortOptions } from '../base/abort.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { debugScope } from '../base/debug.ts'
import { CairnError, isCairnError, toCairnError } from '../base/errors.ts'
import { type SessionId, toHex } from '../base/ids.ts'
import { randomBytes } from '../codec/random.ts'
import type { SealedPack } from './chunk-writer.ts'
import { type IndexedPack, encodeIndex } from './index/index-object.ts'
import { type KnownPack, countChunks } from './index/load-index.ts'
import { type Repository, packKey } from './repository.ts'
import { HEADER_BYTES, sealObject } from './sealed-object.ts'
import { claimName } from './sessions/name-claim.ts'
import { HEARTBEAT_MS, commitKey, encodeSession, ownSession, sessionKey } from './sessions/open-session.ts'

const debug = debugScope('session')

/** Tables are gathered up to this size before they go out as an index object, so a crash loses little indexing work. */
const INDEX_BYTES = 8 << 20

export interface WriteSessionOptions extends AbortOptions {
  readonly clock?: Clock | undefined
}

/**
 * One run that writes: steps W1 to W5 of docs/concurrency.md. Any number of sessions, in any number of processes and on any
 * number of machines, can be open on one repository; each ends in exactly one commit, or in none.
 *
 * Order is safety: packs are durable before an index object names them, and the commit comes last.
 */
export class WriteSession {
  readonly id: SessionId
  readonly #repository: Repository
  readonly #options: WriteSessionOptions
  readonly #heartbeat: NodeJS.Timeout
  /** Resolves when no heartbeat is under way any more. */
  #beating: Promise<void> = Promise.resolve()
  #pending: IndexedPack[] = []
  #pendingBytes = 0
  #indexObjects = 0
  /** Packs this run has stored. */
  readonly packs: KnownPack[] = []
  #indexing: Promise<void> = Promise.resolve()
  /** Bytes that reached the store. */
  storedBytes = 0
  /** The commit was tried, and nobody knows whether it happened or will. */
  #isInDoubt = false

  private constructor(repository: Repository, id: SessionId, record: Buffer, options: WriteSessionOptions) {
    this.#repository = repository
    this.id = id
    this.#options = options
    this.#heartbeat = setInterval(() => {
      // A missed heartbeat is nothing by itself; a store that stays away shows in the next put.
      this.#beating = repository.storage
        .put(sessionKey(id), record)
        .catch((error: unknown) => debug?.('heartbeat of %s failed: %s', id, error))
    }, HEARTBEAT_MS)
    this.#heartbeat.unref()
  }

  /** Announces the run (W1), then reads what there is to deduplicate against (W2). */
  static async open(repository: Repository, options: WriteSessionOptions = {}): Promise<WriteSession> {
    const id = toHex(randomBytes(16)) as SessionId
    const record = encodeSession(repository.keys, id, ownSession((options.clock ?? systemClock).now()))
    await repository.storage.put(sessionKey(id), record, options)
    const session = new WriteSession(repository, id, record, options)
    try {
      await repository.loadIndex(options)
    } catch (error) {
      await session.abandon()
      throw error
    }
    return session
  }

  /** Takes a snapshot name for this run. @throws {CairnError} `SNAPSHOT_EXISTS` when it is taken */
  async claimName(name: string): Promise<void> {
    await claimName(this.#repository.storage, this.#repository.keys, name, this.id, this.#options)
  }

  /** Stores a pack durably, and sees to it that an index object will name it. Returns the pack's memory. */
  async storePack(pack: SealedPack): Promise<ArrayBuffer> {
    await this.#repository.storage.put(packKey(pack.id), pack.bytes, this.#options)
    this.storedBytes += pack.bytes.length
    const header = Buffer.from(pack.bytes.subarray(0, HEADER_BYTES))
    const indexed: IndexedPack = { id: pack.id, sizeBytes: pack.bytes.length, header, table: pack.table }
    this.#pending.push(indexed)
    this.#pendingBytes += pack.table.length
    this.packs.push(countChunks(indexed))
    if (this.#pendingBytes >= INDEX_BYTES) await this.flushIndex()
    return pack.bytes.buffer
  }

  /**
   * Ends the run by committing `value`, a JSON value that the layers above understand.
   *
   * @throws {CairnError} `SESSION_FENCED` when another run took this one for dead; nothing of it counts, start again
   * @throws {CairnError} what the store throws; then nothing of it counts, unless the store did not answer at all any more
   */
  async commit(value: Readonly<Record<string, unknown>>): Promise<void> {
    await this.flushIndex()
    const key = commitKey(this.id)
    const register = sealObject('commit', this.#repository.keys, key, Buffer.from(JSON.stringify(value)))
    const isCommitted = await this.#putRegister(key, register)
    // Whatever becomes of the session object now, the outcome stands in the register.
    await this.abandon()
    if (isCommitted) return
    throw new CairnError(
      'SESSION_FENCED',
      'Cannot commit: another run took this one for dead after a long silence; run it again',
    )
  }

  /** Puts the one-shot register, and returns whether it is now this run's; `false` means that the run was fenced. */
  async #putRegister(key: string, register: Buffer): Promise<boolean> {
    const { storage } = this.#repository
    try {
      if (await storage.putIfAbsent(key, register, this.#options)) return true
    } catch (error) {
      // With these two, nothing was stored. Any other failure leaves open whether it was, or still will be: an empty register,
      // put if absent, settles it. Where not even that gets an answer, the session object must stay: reclamation has to wait
      // for this run, until somebody fences it.
      if (isCairnError(error, 'STORAGE_FULL') || isCairnError(error, 'STORAGE_DENIED')) throw error
      this.#isInDoubt = true
      const isAborted = await storage.putIfAbsent(key, Buffer.alloc(0)).catch(() => undefined)
      if (isAborted === undefined) throw error
      this.#isInDoubt = false
      if (isAborted) throw error
    }
    // Own bytes: the reply to an earlier try was lost, and it succeeded.
    return register.equals(await storage.get(key))
  }

  /**
   * Ends the run. What it stored and did not commit is garbage that a later reclamation may collect. Never throws, and may be
   * called again.
   */
  async abandon(): Promise<void> {
    clearInterval(this.#heartbeat)
    if (this.#isInDoubt) return
    try {
      await this.#beating // or it would bring the object back
      await this.#repository.storage.delete(sessionKey(this.id))
    } catch (error) {
      debug?.('could not close %s: %s', this.id, toCairnError(error).message)
    }
  }

  /** Names all packs stored so far in index objects, which go out one after the other. */
  flushIndex(): Promise<void> {
    this.#indexing = this.#indexing.then(async () => {
      if (this.#pending.length === 0) return
      const packs = this.#pending
      this.#pending = []
      this.#pendingBytes = 0
      const { key, object } = encodeIndex(this.#repository.keys, this.id, this.#indexObjects++, packs)
      await this.#repository.storage.put(key, object, this.#options)
      this.storedBytes += object.length
    })
    return this.#indexing
  }
}
