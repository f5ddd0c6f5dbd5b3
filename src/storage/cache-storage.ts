import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readFile, readdir, rename, unlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { AbortOptions } from '../base/abort.ts'
import { checkKey } from './key.ts'
import type { ByteRange, Storage, StoredObject } from './storage.ts'

export interface CacheOptions {
  /** Of this repository alone; made when it is first written to. */
  readonly folder: string
  /** Prefixes, each a folder like `index/`, of objects that never change: they are put once, and later at most deleted. */
  readonly prefixes: readonly string[]
}

const CHECKSUM_BYTES = 32

/** So that backups leave caches out: Cache Directory Tagging Specification 0.6. */
const CACHEDIR_TAG =
  'Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache of cairn: it may be deleted at any time.\n'

/**
 * Keeps objects that never change on the local disk, in front of a store that is far away. Only an accelerator: the store says
 * what there is, a cached object counts only with its checksum, and a cache that cannot be read or written is as none.
 *
 * Passes the suite of `Storage` but for one promise: `get` may still return an object that another process has deleted.
 */
export class CacheStorage implements Storage {
  readonly location: string
  readonly isRemote: boolean | undefined
  readonly persist?: NonNullable<Storage['persist']>
  readonly freeBytes?: NonNullable<Storage['freeBytes']>
  readonly #inner: Storage
  readonly #folder: string
  readonly #prefixes: readonly string[]

  constructor(inner: Storage, { folder, prefixes }: CacheOptions) {
    this.location = inner.location
    this.isRemote = inner.isRemote
    if (inner.persist) this.persist = inner.persist.bind(inner)
    if (inner.freeBytes) this.freeBytes = inner.freeBytes.bind(inner)
    this.#inner = inner
    this.#folder = folder
    this.#prefixes = prefixes
  }

  async get(key: string, range?: ByteRange, options?: AbortOptions): Promise<Uint8Array> {
    checkKey(key)
    if (range || options?.signal?.aborted || !this.#prefixOf(key)) return this.#inner.get(key, range, options)
    const cached = await this.#load(key)
    if (cached) return cached
    const object = await this.#inner.get(key, undefined, options)
    await this.#save(key, object)
    return object
  }

  async put(key: string, data: Uint8Array, options?: AbortOptions): Promise<void> {
    await this.#inner.put(key, data, options)
    if (this.#prefixOf(key)) await this.#save(key, data)
  }

  async putIfAbsent(key: string, data: Uint8Array, options?: AbortOptions): Promise<boolean> {
    return this.#inner.putIfAbsent(key, data, options)
  }

  async *list(prefix: string, options?: AbortOptions): AsyncGenerator<StoredObject> {
    // Looked at before: what is put meanwhile need not be in the listing.
    const cached = this.#prefixes.includes(prefix) ? await this.#names(prefix) : new Set<string>()
    for await (const object of this.#inner.list(prefix, options)) {
      cached.delete(object.key)
      yield object
    }
    for (const key of cached) await unlink(join(this.#folder, key)).catch(ignore)
  }

  async delete(key: string, options?: AbortOptions): Promise<void> {
    await this.#inner.delete(key, options)
    if (this.#prefixOf(key)) await unlink(join(this.#folder, key)).catch(ignore)
  }

  async close(): Promise<void> {
    await this.#inner.close()
  }

  #prefixOf(key: string): string | undefined {
    return this.#prefixes.find((prefix) => key.startsWith(prefix))
  }

  async #names(prefix: string): Promise<Set<string>> {
    const names = await readdir(join(this.#folder, prefix)).catch(() => [])
    return new Set(names.map((name) => prefix + name))
  }

  async #load(key: string): Promise<Uint8Array | undefined> {
    const file = await readFile(join(this.#folder, key)).catch(() => undefined)
    if (!file || file.length < CHECKSUM_BYTES) return undefined
    const object = file.subarray(CHECKSUM_BYTES)
    if (!checksumOf(key, object).equals(file.subarray(0, CHECKSUM_BYTES))) return undefined
    return new Uint8Array(object)
  }

  /** Neither synced nor reported when it fails: the checksum tells, and the store has it. */
  async #save(key: string, object: Uint8Array): Promise<void> {
    const path = join(this.#folder, key)
    const temp = `${path}.${randomBytes(8).toString('hex')}`
    try {
      const made = await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      if (made !== undefined) await writeFile(join(this.#folder, 'CACHEDIR.TAG'), CACHEDIR_TAG)
      await writeFile(temp, Buffer.concat([checksumOf(key, object), object]), { mode: 0o600, flag: 'wx' })
      await rename(temp, path)
    } catch {
      await unlink(temp).catch(ignore)
    }
  }
}

/** Also over the key: a file that was moved is not what its name says. */
function checksumOf(key: string, object: Uint8Array): Buffer {
  return createHash('sha256').update(`${key}\0`).update(object).digest()
}

function ignore(): void {}
