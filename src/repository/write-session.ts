import { debugScope } from '../base/debug.ts'
import { CairnError, toCairnError } from '../base/errors.ts'
import { formatBytes } from '../base/sizes.ts'
import type { SessionId } from '../base/ids.ts'
import { MAX_CHUNK_BYTES } from '../chunker/params.ts'
import type { Compression } from '../codec/compression.ts'
import { ChunkWriter, type SealedPack } from './chunk-writer.ts'
import { type IndexedPack, decodeIndex, encodeIndex } from './index/index-object.ts'
import { type KnownPack, type LoadOptions, countChunks } from './index/load-index.ts'
import type { PackKind } from './keys.ts'
import { type Repository, packKey } from './repository.ts'
import { Room } from './room.ts'
import { HEADER_BYTES } from './sealed-object.ts'
import { LiveSession, type LiveSessionOptions } from './sessions/live-session.ts'
import type { CondemnedSets } from './sessions/condemned.ts'
import { claimName } from './sessions/name-claim.ts'
import { commitKey, sessionKey } from './sessions/open-session.ts'

const debug = debugScope('session')

/** Tables are gathered up to this size before they go out as an index object, so a crash loses little indexing work. */
const INDEX_BYTES = 8 << 20

export interface WriteSessionOptions extends LiveSessionOptions, LoadOptions {
  /** The run gives space back: it adopts nothing, and may use the space that backups leave free for it. */
  readonly reclaims?: boolean | undefined
}

interface PendingPack {
  readonly pack: IndexedPack
  /** An index object of an earlier run names it, so the next run would find it even if this one named it nowhere. */
  readonly isNamed: boolean
}

/**
 * One run that writes: steps W1 to W5 of docs/concurrency.md. Any number of sessions, in any number of processes and on any
 * number of machines, can be open on one repository; each ends in exactly one commit, or in none. On its way it may commit
 * checkpoints, which are sessions of their own.
 *
 * Order is safety: packs are durable before an index object names them, and the commit comes last.
 */
export class WriteSession {
  readonly id: SessionId
  /** What dead runs had stored and this one has taken over. */
  readonly adopted: { readonly packs: number; readonly bytes: number }
  /** Packs this run has stored. */
  readonly packs: KnownPack[] = []
  /** Bytes that this run has stored: packs, and index objects, those of checkpoints too. */
  storedBytes = 0
  readonly #repository: Repository
  readonly #options: WriteSessionOptions
  readonly #session: LiveSession
  readonly #room: Room | undefined
  /** Those that were on their way when this run read the index: what they retire, it does not rely on. */
  readonly #seenReclamations: CondemnedSets
  readonly #storing = new Set<Promise<void>>()
  /** Packs that neither an index object of this run nor a committed checkpoint names. */
  #pending: PendingPack[] = []
  #pendingBytes = 0
  /** Keys of index objects of this run; those whose packs a committed checkpoint names are left out. */
  #indexKeys: string[] = []
  #indexObjects = 0
  #indexing: Promise<void> = Promise.resolve()
  /** Checkpoints that are committed, and to be forgotten once something newer is. */
  #checkpoints: SessionId[] = []
  #isOver = false

  private constructor(
    repository: Repository,
    session: LiveSession,
    adopted: readonly PendingPack[],
    room: Room | undefined,
    options: WriteSessionOptions,
  ) {
    this.#repository = repository
    this.#session = session
    this.id = session.id
    this.#room = room
    this.#seenReclamations = repository.index.reclamations
    this.#options = options
    for (const { pack, isNamed } of adopted) this.#addPending(pack, isNamed)
    this.adopted = { packs: adopted.length, bytes: adopted.reduce((sum, { pack }) => sum + pack.sizeBytes, 0) }
  }

  /**
   * Announces the run (W1), then reads what there is to deduplicate against (W2), what dead runs left among it.
   *
   * @throws {CairnError} as `Repository.loadIndex`, and what the store throws
   */
  static async open(repository: Repository, options: WriteSessionOptions = {}): Promise<WriteSession> {
    const { storage, keys, config } = repository
    const session = await LiveSession.announce(storage, keys, options)
    try {
      if (options.reclaims) {
        await repository.loadIndexToWrite(options)
        return new WriteSession(repository, session, [], undefined, options)
      }
      const { packs, ended } = await repository.loadIndexAndAdopt(session.id, options)
      const room = await Room.measure(storage, config.settings, options)
      const adopted = packs.map(({ indexed, isNamed }) => ({ pack: indexed, isNamed }))
      const opened = new WriteSession(repository, session, adopted, room, options)
      if (packs.length > 0) debug?.('adopted %d packs of %s', packs.length, formatBytes(opened.adopted.bytes))
      // From here on it is this run that leaves a session object if it dies.
      for (const dead of ended) await opened.#removeSession(dead)
      return opened
    } catch (error) {
      await session.close()
      throw error
    }
  }

  async #removeSession(dead: SessionId): Promise<void> {
    try {
      await this.#repository.storage.delete(sessionKey(dead), this.#options)
    } catch (error) {
      debug?.('could not remove the session object of %s: %s', dead, toCairnError(error).message)
    }
  }

  /**
   * Takes a snapshot name for this run; `inPlaceOf` is the snapshot that has it and that this run's is to replace.
   *
   * @throws {CairnError} `SNAPSHOT_EXISTS` when it is taken
   */
  async claimName(name: string, inPlaceOf?: SessionId): Promise<void> {
    const { storage, keys } = this.#repository
    await claimName(storage, keys, name, this.id, { ...this.#options, inPlaceOf })
  }

  /** A writer of chunks whose packs this run stores, for the thread that owns the repository. */
  openWriter(kind: PackKind, compression: Compression): ChunkWriter {
    const { keys, table } = this.#repository
    const storePack = (pack: SealedPack): Promise<ArrayBuffer | undefined> => this.storePack(pack)
    return new ChunkWriter({ kind, keys, table, compression, maxChunkBytes: MAX_CHUNK_BYTES, storePack })
  }

  /**
   * Stores a pack durably, and sees to it that an index object will name it. Returns the pack's memory.
   *
   * @throws {CairnError} `STORAGE_FULL`, also when the pack would pass the quota or take of the space to be kept free
   */
  async storePack(pack: SealedPack): Promise<ArrayBuffer> {
    if (this.#isOver) throw new CairnError('CANCELLED', `Cannot store pack ${pack.id}: its run is over`)
    const put = (): Promise<void> => this.#repository.storage.put(packKey(pack.id), pack.bytes, this.#options)
    const stored = this.#room ? this.#room.use(pack.bytes.length, put) : put()
    const named = stored.then(() => this.#noteStored(pack))
    this.#storing.add(named)
    try {
      await named
    } finally {
      this.#storing.delete(named)
    }
    if (this.#pendingBytes >= INDEX_BYTES) await this.#flush(INDEX_BYTES)
    return pack.bytes.buffer
  }

  /**
   * Has index objects of this run name packs that others name already, so that those others may be deleted once it has committed.
   */
  async nameAgain(packs: readonly IndexedPack[]): Promise<void> {
    for (const pack of packs) this.#addPending(pack, true)
    if (this.#pendingBytes >= INDEX_BYTES) await this.#flush(INDEX_BYTES)
  }

  #noteStored(pack: SealedPack): void {
    this.storedBytes += pack.bytes.length
    const header = Buffer.from(pack.bytes.subarray(0, HEADER_BYTES))
    const indexed: IndexedPack = { id: pack.id, sizeBytes: pack.bytes.length, header, table: pack.table }
    this.#addPending(indexed, false)
    this.packs.push(countChunks(indexed))
  }

  #addPending(pack: IndexedPack, isNamed: boolean): void {
    this.#pending.push({ pack, isNamed })
    this.#pendingBytes += pack.table.length
  }

  /**
   * Ends the run by committing `value`, a JSON value that the layers above understand. Its checkpoints are forgotten then.
   *
   * @throws {CairnError} `SESSION_FENCED` when another run took this one for dead; nothing of it counts, start again
   * @throws {CairnError} what the store throws; then nothing of it counts, unless the store did not answer at all any more
   */
  async commit(value: Readonly<Record<string, unknown>>): Promise<void> {
    await this.flushIndex()
    this.#isOver = true // a checkpoint that began now would never be forgotten
    const isCommitted = await this.#session.commit(value)
    // Whatever becomes of the session object now, the outcome stands in the register.
    await this.#session.close()
    if (!isCommitted) throw fenced()
    await this.#forgetCheckpoints(0)
  }

  /**
   * Commits what is stored so far as a snapshot of its own, in a session of its own, while the run goes on; see "Checkpoints" in
   * docs/concurrency.md. `value` makes the commit record from the checkpoint's id; what it refers to must be in packs whose
   * `storePack` has resolved. The checkpoint before it is forgotten.
   *
   * @returns the id of the checkpoint; `undefined` when none could be made this time, which costs nothing
   * @throws {CairnError} `SESSION_FENCED` when this run was taken for dead; what the store throws. The run may go on after the
   *   latter
   */
  commitCheckpoint(value: (id: SessionId) => Readonly<Record<string, unknown>>): Promise<SessionId | undefined> {
    const before = this.#indexing
    const checkpoint = before.then(() => this.#commitCheckpoint(value))
    this.#indexing = before.then(() => checkpoint.then(ignore, ignore))
    return checkpoint
  }

  async #commitCheckpoint(value: (id: SessionId) => Readonly<Record<string, unknown>>): Promise<SessionId | undefined> {
    if (this.#isOver) return undefined // its session object may be gone, and with it what the argument rests on
    const { storage, keys } = this.#repository
    const side = await LiveSession.announce(storage, keys, this.#options)
    try {
      if (!(await this.#mayVouch())) return undefined
      const [indexKeys, pending] = [this.#indexKeys.length, this.#pending.length]
      let number = 0
      for (const key of this.#indexKeys.slice()) {
        const packs = decodeIndex(keys, key, await storage.get(key, undefined, this.#options))
        await this.#putIndex(side.id, number++, packs, this.#options)
      }
      for (const batch of batches(this.#pending.slice()))
        await this.#putIndex(side.id, number++, batch.map(packOf), this.#options)
      if (!(await side.commit(value(side.id)))) return undefined
      this.#indexKeys.splice(0, indexKeys)
      this.#dropPending(pending)
    } finally {
      await side.close()
    }
    this.#checkpoints.push(side.id)
    await this.#forgetCheckpoints(1)
    return side.id
  }

  /**
   * Whether a session announced just now may rely on all that this run relies on. Every reclamation that this run's own reading
   * missed waits for this run, so: one whose condemned set is there may have begun before the new session was announced, and does
   * not wait for that. One that has come to its end found a register of this run. Any other lists sessions later, and waits. The
   * register is looked at last: a reclamation could end between the two reads.
   *
   * @throws {CairnError} `SESSION_FENCED`
   */
  async #mayVouch(): Promise<boolean> {
    const { storage } = this.#repository
    for await (const { key } of storage.list('condemned/', this.#options)) {
      if (this.#seenReclamations.has(key.slice('condemned/'.length))) continue
      debug?.('no checkpoint: %s was put since %s began', key, this.id)
      return false
    }
    const key = commitKey(this.id)
    for await (const object of storage.list(key, this.#options)) if (object.key === key) throw fenced()
    return true
  }

  /** Forgets all checkpoints but the newest `keep`. A failure is none of the run's: the next try includes them. */
  async #forgetCheckpoints(keep: number): Promise<void> {
    while (this.#checkpoints.length > keep) {
      const [oldest] = this.#checkpoints as [SessionId]
      try {
        await this.#repository.forget(oldest)
      } catch (error) {
        debug?.('could not forget the checkpoint %s: %s', oldest, toCairnError(error).message)
        return
      }
      this.#checkpoints.shift()
    }
  }

  /**
   * Ends the run without a commit. What it stored is named in index objects, for the next run to adopt; when that cannot be done,
   * its session object stays and leads the next run to it. Waits for packs on their way. Never throws, and may be called again.
   */
  async abandon(): Promise<void> {
    this.#isOver = true
    await Promise.allSettled(this.#storing)
    await this.#indexing.catch(ignore)
    try {
      // Without the signal: an interrupted run does this too.
      for (const batch of batches(this.#pending.filter(({ isNamed }) => !isNamed)))
        await this.#putIndex(this.id, this.#indexObjects++, batch.map(packOf), {})
      this.#dropPending(this.#pending.length)
    } catch (error) {
      debug?.('could not name the packs of %s: %s', this.id, toCairnError(error).message)
      await this.#session.stop()
      return
    }
    await this.#session.close()
  }

  /** Names all packs stored so far in index objects, which go out one after the other. */
  flushIndex(): Promise<void> {
    return this.#flush(0)
  }

  #flush(minBytes: number): Promise<void> {
    this.#indexing = this.#indexing.then(async () => {
      if (this.#pendingBytes < minBytes) return // another pack's flush has taken them along
      for (const batch of batches(this.#pending.slice())) {
        this.#indexKeys.push(await this.#putIndex(this.id, this.#indexObjects++, batch.map(packOf), this.#options))
        this.#dropPending(batch.length)
      }
    })
    return this.#indexing
  }

  /** Forgets the oldest `count` pending packs, which are named now. */
  #dropPending(count: number): void {
    for (const { pack } of this.#pending.splice(0, count)) this.#pendingBytes -= pack.table.length
  }

  async #putIndex(
    session: SessionId,
    number: number,
    packs: readonly IndexedPack[],
    options: WriteSessionOptions,
  ): Promise<string> {
    const { key, object } = encodeIndex(this.#repository.keys, session, number, packs)
    await this.#repository.storage.put(key, object, options)
    this.storedBytes += object.length
    this.#room?.add(object.length)
    return key
  }
}

/** Packs in their order, as many at a time as go into one index object. */
function* batches(packs: readonly PendingPack[]): Generator<PendingPack[]> {
  let batch: PendingPack[] = []
  let bytes = 0
  for (const entry of packs) {
    batch.push(entry)
    bytes += entry.pack.table.length
    if (bytes < INDEX_BYTES) continue
    yield batch
    batch = []
    bytes = 0
  }
  if (batch.length > 0) yield batch
}

function packOf({ pack }: PendingPack): IndexedPack {
  return pack
}

function ignore(): void {}

function fenced(): CairnError {
  return new CairnError(
    'SESSION_FENCED',
    'Cannot commit: another run took this one for dead after a long silence; run it again',
  )
}
