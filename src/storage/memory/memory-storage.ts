import { setImmediate } from 'node:timers/promises'
import { type AbortOptions, throwIfAborted } from '../../base/abort.ts'
import { type Clock, systemClock } from '../../base/clock.ts'
import { CairnError } from '../../base/errors.ts'
import { checkKey, checkRange, rangeError } from '../key.ts'
import type { ByteRange, Storage, StoredObject } from '../storage.ts'

export interface MemoryStorageOptions {
  /** Source of `modifiedAtMs`. */
  readonly clock?: Clock
  /** Awaited once before every operation takes effect and before every listed object: where other runs get their turn. */
  readonly turn?: () => Promise<void>
}

interface Entry {
  readonly bytes: Uint8Array
  readonly modifiedAtMs: number
}

/**
 * Keeps a repository in memory, for tests and simulations: every operation takes effect at one moment after a turn of the
 * event loop, so runs interleave as they do on a real store; only the order is reproducible.
 */
export class MemoryStorage implements Storage {
  readonly location = 'memory'
  // Stored bytes are never handed out and never changed, so clones share them.
  readonly #objects: Map<string, Entry>
  readonly #clock: Clock
  readonly #turn: () => Promise<void>

  constructor(options: MemoryStorageOptions = {}, objects: ReadonlyMap<string, Entry> = new Map()) {
    this.#objects = new Map(objects)
    this.#clock = options.clock ?? systemClock
    this.#turn = options.turn ?? setImmediate
  }

  /** An independent storage that holds what this one holds now: the disk as a crash at this moment leaves it. */
  clone(): MemoryStorage {
    return new MemoryStorage({ clock: this.#clock, turn: this.#turn }, this.#objects)
  }

  async get(key: string, range?: ByteRange, options?: AbortOptions): Promise<Uint8Array> {
    checkRange(key, range)
    await this.#begin(key, options)
    const entry = this.#objects.get(key)
    if (!entry) throw new CairnError('NOT_FOUND', `Cannot read ${key}: the storage has no such object`)
    if (!range) return entry.bytes.slice()
    const bytes = entry.bytes.slice(range.offset, range.offset + range.length)
    if (bytes.length < range.length) throw rangeError(key, range.length, bytes.length, range.offset)
    return bytes
  }

  async put(key: string, data: Uint8Array, options?: AbortOptions): Promise<void> {
    await this.#begin(key, options)
    this.#set(key, data)
  }

  async putIfAbsent(key: string, data: Uint8Array, options?: AbortOptions): Promise<boolean> {
    await this.#begin(key, options)
    if (this.#objects.has(key)) return false
    this.#set(key, data)
    return true
  }

  async *list(prefix: string, options?: AbortOptions): AsyncGenerator<StoredObject> {
    throwIfAborted(options?.signal)
    await this.#turn()
    const keys = [...this.#objects.keys()].filter((key) => key.startsWith(prefix))
    for (const key of keys) {
      throwIfAborted(options?.signal)
      await this.#turn()
      const entry = this.#objects.get(key)
      if (entry) yield { key, sizeBytes: entry.bytes.length, modifiedAtMs: entry.modifiedAtMs }
    }
  }

  async delete(key: string, options?: AbortOptions): Promise<void> {
    await this.#begin(key, options)
    this.#objects.delete(key)
  }

  async close(): Promise<void> {}

  async #begin(key: string, options: AbortOptions | undefined): Promise<void> {
    checkKey(key)
    throwIfAborted(options?.signal)
    await this.#turn()
  }

  #set(key: string, data: Uint8Array): void {
    // Not slice(): on a Buffer that is a view of the caller's memory.
    this.#objects.set(key, { bytes: new Uint8Array(data), modifiedAtMs: this.#clock.now() })
  }
}
