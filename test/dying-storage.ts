import { linkSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { AbortOptions } from '../src/base/abort.ts'
import { processSpace } from '../src/storage/process-space.ts'
import { tempFileName } from '../src/storage/local/temp-files.ts'
import type { LocalStorage } from '../src/storage/local/local-storage.ts'
import type { ByteRange, Storage, StoredObject } from '../src/storage/storage.ts'

/**
 * A local storage that kills its process, as `kill -9` does, at the `nth` state that a crash can leave behind, counted from 1. Of a
 * put there are two: the temporary file is half written, or the object is there. Of a `putIfAbsent` there is one more, in which
 * the object has its name and the temporary file is there still. Of a delete there is one.
 */
export class DyingStorage implements Storage {
  readonly #inner: LocalStorage
  #left: number

  constructor(inner: LocalStorage, nth: number) {
    this.#inner = inner
    this.#left = nth
  }

  get location(): string {
    return this.#inner.location
  }

  async put(key: string, data: Uint8Array, options?: AbortOptions): Promise<void> {
    this.#dieIfDue(() => writeFileSync(this.#tempFile(), data.subarray(0, data.length >> 1)))
    await this.#inner.put(key, data, options)
    this.#dieIfDue()
  }

  async putIfAbsent(key: string, data: Uint8Array, options?: AbortOptions): Promise<boolean> {
    this.#dieIfDue(() => writeFileSync(this.#tempFile(), data.subarray(0, data.length >> 1)))
    this.#dieIfDue(() => {
      const [temp, object] = [this.#tempFile(), path.join(this.location, key)]
      writeFileSync(temp, data)
      mkdirSync(path.dirname(object), { recursive: true })
      linkSync(temp, object)
    })
    const won = await this.#inner.putIfAbsent(key, data, options)
    this.#dieIfDue()
    return won
  }

  async delete(key: string, options?: AbortOptions): Promise<void> {
    await this.#inner.delete(key, options)
    this.#dieIfDue()
  }

  #dieIfDue(prepare?: () => void): void {
    if (--this.#left !== 0) return
    prepare?.()
    process.kill(process.pid, 'SIGKILL')
  }

  #tempFile(): string {
    mkdirSync(path.join(this.location, '.tmp'), { recursive: true })
    return path.join(this.location, '.tmp', tempFileName(processSpace()))
  }

  get(key: string, range?: ByteRange, options?: AbortOptions): Promise<Uint8Array> {
    return this.#inner.get(key, range, options)
  }

  list(prefix: string, options?: AbortOptions): AsyncIterable<StoredObject> {
    return this.#inner.list(prefix, options)
  }

  persist(keys: readonly string[], options?: AbortOptions): Promise<void> {
    return this.#inner.persist(keys, options)
  }

  freeBytes(options?: AbortOptions): Promise<number> {
    return this.#inner.freeBytes(options)
  }

  close(): Promise<void> {
    return this.#inner.close()
  }
}
