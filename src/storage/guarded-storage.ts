import type { AbortOptions } from '../base/abort.ts'
import { CairnError } from '../base/errors.ts'
import { formatBytes } from '../base/sizes.ts'
import { checkKey } from './key.ts'
import type { ByteRange, Storage, StoredObject } from './storage.ts'

/** What whoever serves a storage does not leave to its clients. */
export interface GuardOptions {
  /**
   * Nothing is deleted or overwritten, but for session objects, which only open runs need. Snapshots can be added, and hidden, which
   * can be undone; space cannot be reclaimed.
   */
  readonly appendOnly?: boolean | undefined
  /** Bytes that all objects together may have. Clients of several servers at once may go beyond it by what they store in the meantime. */
  readonly quotaBytes?: number | undefined
}

/** Where objects come and go although nothing is lost. */
const TRANSIENT = 'sessions/'
/** Objects that have others delete what they name (docs/concurrency.md, G3 and G4). */
const SENTENCES = ['condemned/', 'waiting/']

/** A storage that does not trust those who use it: for a server. */
export class GuardedStorage implements Storage {
  readonly location: string
  readonly isRemote: boolean | undefined
  readonly persist?: NonNullable<Storage['persist']>
  readonly #inner: Storage
  readonly #isAppendOnly: boolean
  readonly #quotaBytes: number | undefined
  /** What was stored when it was counted, and what had been put here by then; of what others put or delete since, nothing is known. */
  #count: Promise<{ readonly bytes: number; readonly putBytes: number }> | undefined
  #putBytes = 0
  /** Of puts that are under way: a count may have them or not. */
  #openBytes = 0

  constructor(inner: Storage, { appendOnly = false, quotaBytes }: GuardOptions) {
    this.location = inner.location
    this.isRemote = inner.isRemote
    if (inner.persist) this.persist = inner.persist.bind(inner)
    this.#inner = inner
    this.#isAppendOnly = appendOnly
    this.#quotaBytes = quotaBytes
  }

  async get(key: string, range?: ByteRange, options?: AbortOptions): Promise<Uint8Array> {
    return this.#inner.get(key, range, options)
  }

  async put(key: string, data: Uint8Array, options?: AbortOptions): Promise<void> {
    await this.#admit(key, data, options, async () => {
      if (!this.#isAppendOnly || key.startsWith(TRANSIENT)) return this.#inner.put(key, data, options)
      // Put again with the same bytes, an object is as it was: somebody may not have got the answer the first time.
      if (await this.#inner.putIfAbsent(key, data, options)) return
      const found = await this.#inner.get(key, undefined, options)
      if (!Buffer.from(data).equals(found)) throw this.#denied(`replace ${key}`)
    })
  }

  async putIfAbsent(key: string, data: Uint8Array, options?: AbortOptions): Promise<boolean> {
    return this.#admit(key, data, options, () => this.#inner.putIfAbsent(key, data, options))
  }

  list(prefix: string, options?: AbortOptions): AsyncIterable<StoredObject> {
    return this.#inner.list(prefix, options)
  }

  async delete(key: string, options?: AbortOptions): Promise<void> {
    checkKey(key)
    if (this.#isAppendOnly && !key.startsWith(TRANSIENT)) throw this.#denied(`delete ${key}`)
    await this.#inner.delete(key, options)
    this.#count = undefined
  }

  async freeBytes(options?: AbortOptions): Promise<number | undefined> {
    const free = await this.#inner.freeBytes?.(options)
    if (this.#quotaBytes === undefined) return free
    const left = Math.max(0, this.#quotaBytes - this.#usedBytes(await this.#counted(options)))
    return free === undefined ? left : Math.min(free, left)
  }

  async close(): Promise<void> {
    await this.#inner.close()
  }

  /** @throws {CairnError} `STORAGE_DENIED` | `STORAGE_FULL` */
  async #admit<T>(key: string, data: Uint8Array, options: AbortOptions | undefined, put: () => Promise<T>): Promise<T> {
    checkKey(key)
    if (this.#isAppendOnly && SENTENCES.some((prefix) => key.startsWith(prefix))) throw this.#denied(`store ${key}`)
    if (this.#quotaBytes === undefined || data.length === 0) return put()
    // No wait between looking and taking: others do the same.
    if (this.#usedBytes(await this.#counted(options)) + data.length > this.#quotaBytes) {
      this.#count = undefined // others may have deleted something since
      if (this.#usedBytes(await this.#counted(options)) + data.length > this.#quotaBytes) {
        throw new CairnError(
          'STORAGE_FULL',
          `Cannot store ${key}: the quota of ${formatBytes(this.#quotaBytes)} for ${this.location} is used up; delete snapshots and run 'cairn compact', or have the quota raised`,
        )
      }
    }
    this.#openBytes += data.length
    try {
      const result = await put()
      this.#putBytes += data.length
      return result
    } finally {
      this.#openBytes -= data.length
    }
  }

  #usedBytes(count: { readonly bytes: number; readonly putBytes: number }): number {
    return count.bytes + (this.#putBytes - count.putBytes) + this.#openBytes
  }

  async #counted(options: AbortOptions | undefined): Promise<{ readonly bytes: number; readonly putBytes: number }> {
    const putBytes = this.#putBytes
    const count = (this.#count ??= this.#countBytes(options).then((bytes) => ({ bytes, putBytes })))
    count.catch(() => {
      if (this.#count === count) this.#count = undefined // the next one tries again
    })
    return count
  }

  async #countBytes(options: AbortOptions | undefined): Promise<number> {
    let bytes = 0
    for await (const { sizeBytes } of this.#inner.list('', options)) bytes += sizeBytes
    return bytes
  }

  #denied(action: string): CairnError {
    return new CairnError(
      'STORAGE_DENIED',
      `Cannot ${action}: ${this.location} is append-only; whoever looks after it can allow this, by 'cairn config REPO append_only 0' on its machine, or a server without '--append-only'`,
    )
  }
}
