/**
 * storage: where a repository lives. A `Storage` maps keys to objects; everything else a repository needs is built on it.
 *
 * An implementation is created for one place, used by one process, and closed. Retry, rate limit and cache are decorators
 * around a `Storage`, never part of an implementation. Every implementation passes `describeStorage()` in `suite.ts`.
 */
import type { AbortOptions } from '../base/abort.ts'

export interface ByteRange {
  /** First byte, counted from 0. */
  readonly offset: number
  /** Number of bytes, at least 1; a range that reaches past the end of the object is an error, never a shorter answer. */
  readonly length: number
}

export interface StoredObject {
  readonly key: string
  readonly sizeBytes: number
  /** When the object was last put, by the store's own clock, in ms since 1970; only ever used to judge silence, never safety. */
  readonly modifiedAtMs: number
}

/**
 * Flat key → bytes store that holds one repository; all a repository needs from the outside world.
 *
 * A key is 1 to 200 characters of `a-z 0-9 - _ .` in parts joined by `/`; no part is empty or begins with a dot: `key.ts`
 * checks it for every implementation. A key that is a folder of another (`a` and `a/b`) need not be supported.
 * All operations are linearizable: what one client has put, any other sees in its next get or list.
 * Every operation throws `INVALID_ARGUMENT` for an invalid key and `CANCELLED` when its signal was aborted.
 *
 * Contract after restic `internal/backend/backend.go` and kopia `repo/blob/storage.go`.
 */
export interface Storage {
  /** Where it is, as a person would write it; for messages. */
  readonly location: string

  /** Whether every operation crosses a network: objects that never change are then worth keeping on this machine. */
  readonly isRemote?: boolean | undefined

  /** Whether its connection is gone, so that every operation fails from now on; absent where there is none. */
  readonly isBroken?: boolean | undefined

  /**
   * Reads `range.length` bytes from byte `range.offset`, or the whole object when `range` is omitted.
   * The caller owns the returned buffer. Objects are at most one pack (128 MiB).
   *
   * @throws {CairnError} `NOT_FOUND` when no object has this key; never retried
   * @throws {CairnError} `DATA_CORRUPT` when the object ends before `offset + length`
   * @throws {CairnError} `STORAGE_DENIED` | `STORAGE_UNAVAILABLE`, the latter for any failure worth retrying
   */
  get(key: string, range?: ByteRange, options?: AbortOptions): Promise<Uint8Array>

  /**
   * Stores `data` durably under `key`, replacing what was there: when the promise resolves, the object survives power loss;
   * a reader sees the old object or the new one, whole. `data` must not change before the promise settles.
   *
   * @throws {CairnError} `STORAGE_FULL` | `STORAGE_DENIED`; the key holds what it held before
   * @throws {CairnError} `STORAGE_UNAVAILABLE`; the key holds what it held before or `data`, whole
   */
  put(key: string, data: Uint8Array, options?: AbortOptions): Promise<void>

  /**
   * Like `put`, but only if no object has this key; of several callers exactly one wins. Resolves to whether this one did;
   * `false` means that the other object is there to stay, power loss or not.
   *
   * @throws {CairnError} as `put`; after `STORAGE_UNAVAILABLE` the object may or may not have been stored
   * @throws {CairnError} `INVALID_ARGUMENT` when the store cannot do this at all
   */
  putIfAbsent(key: string, data: Uint8Array, options?: AbortOptions): Promise<boolean>

  /**
   * Yields every object whose key starts with `prefix`, once each and in no particular order; an unknown prefix yields nothing.
   * `prefix` is plain text and may end inside a part (`packs/ab`, `index/<sid>-`). An object that exists during the whole
   * call is always among them, also one that is replaced meanwhile; one that comes or goes meanwhile may be.
   *
   * @throws {CairnError} `STORAGE_DENIED` | `STORAGE_UNAVAILABLE`, also in the middle; then what came before is not the whole
   */
  list(prefix: string, options?: AbortOptions): AsyncIterable<StoredObject>

  /** Deletes the object durably. Deleting an absent key succeeds, so that an interrupted run can be repeated. */
  delete(key: string, options?: AbortOptions): Promise<void>

  /**
   * Resolves when these objects, which were listed, survive power loss. For objects of another process only: `put` lets them be
   * seen a moment before it resolves, and that process may have died in between. Absent where what can be listed is durable.
   *
   * @throws {CairnError} as `put`; one that has gone meanwhile is no error
   */
  persist?(keys: readonly string[], options?: AbortOptions): Promise<void>

  /** Bytes that this user may still store, or `undefined` where nobody knows; absent where nobody ever does. */
  freeBytes?(options?: AbortOptions): Promise<number | undefined>

  /** Lets go of connections and temporary files. Calls after it are a programming error. */
  close(): Promise<void>
}
