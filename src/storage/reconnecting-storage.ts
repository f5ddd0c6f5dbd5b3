import type { AbortOptions } from '../base/abort.ts'
import type { Clock } from '../base/clock.ts'
import { isCairnError } from '../base/errors.ts'
import type { ByteRange, Storage, StoredObject } from './storage.ts'

/** After a connection could not be made, the next attempt comes so much later; whoever asks meanwhile is told the same. */
const PAUSE_MS = 5000

export interface ReconnectingOptions {
  /** Opens the storage once more. */
  readonly open: () => Promise<Storage>
  readonly clock: Clock
}

/**
 * A storage for those who read for days: when its connection breaks, whoever asks next opens it again. What is put or deleted by
 * way of it is not tried twice.
 */
export class ReconnectingStorage implements Storage {
  readonly location: string
  readonly isRemote: boolean | undefined
  readonly #options: ReconnectingOptions
  #inner: Storage
  #opening: Promise<void> | undefined
  #failure: { readonly error: unknown; readonly atMs: number } | undefined
  #isClosed = false

  /** @param inner is closed by this one */
  constructor(inner: Storage, options: ReconnectingOptions) {
    this.location = inner.location
    this.isRemote = inner.isRemote
    this.#inner = inner
    this.#options = options
  }

  async get(key: string, range?: ByteRange, options?: AbortOptions): Promise<Uint8Array> {
    return this.#read((storage) => storage.get(key, range, options))
  }

  async *list(prefix: string, options?: AbortOptions): AsyncGenerator<StoredObject> {
    // As a whole: nobody could go on in the middle of it.
    yield* await this.#read((storage) => Array.fromAsync(storage.list(prefix, options)))
  }

  async put(key: string, data: Uint8Array, options?: AbortOptions): Promise<void> {
    await this.#inner.put(key, data, options)
  }

  async putIfAbsent(key: string, data: Uint8Array, options?: AbortOptions): Promise<boolean> {
    return this.#inner.putIfAbsent(key, data, options)
  }

  async delete(key: string, options?: AbortOptions): Promise<void> {
    await this.#inner.delete(key, options)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#opening?.catch(() => undefined)
    await this.#inner.close()
  }

  async #read<T>(action: (storage: Storage) => Promise<T>): Promise<T> {
    const storage = this.#inner
    try {
      return await action(storage)
    } catch (error) {
      if (!storage.isBroken || this.#isClosed || !isCairnError(error, 'STORAGE_UNAVAILABLE')) throw error
      await this.#reopen(storage)
      return action(this.#inner)
    }
  }

  /** Opens it again, once for all that ask at the same time. */
  async #reopen(broken: Storage): Promise<void> {
    if (this.#inner !== broken) return
    this.#opening ??= this.#open().finally(() => (this.#opening = undefined))
    await this.#opening
  }

  async #open(): Promise<void> {
    const { open, clock } = this.#options
    const now = clock.now()
    // A clock that was set back must not keep an old failure alive.
    if (this.#failure && Math.abs(now - this.#failure.atMs) < PAUSE_MS) throw this.#failure.error
    const broken = this.#inner
    try {
      this.#inner = await open()
      this.#failure = undefined
    } catch (error) {
      this.#failure = { error, atMs: clock.now() }
      throw error
    }
    await broken.close()
  }
}
