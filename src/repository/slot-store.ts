import type { AbortOptions } from '../base/abort.ts'
import { CairnError, isCairnError, toCairnError } from '../base/errors.ts'
import { toHex } from '../base/ids.ts'
import { blake3 } from '../codec/hash.ts'
import { randomBytes } from '../codec/random.ts'
import type { Storage } from '../storage/storage.ts'
import type { RepositoryConfig } from './config.ts'
import { type KeySlot, parseKeySlot } from './key-slot.ts'

/** Keeps the key slots of `keyfile` repositories, each in a file; outside the repository, on the user's machine. */
export interface KeyFiles {
  /** All slots of this repository. @throws {CairnError} `WRONG_PASSWORD` when they cannot be read */
  list(repositoryId: string): Promise<KeyFile[]>
  /**
   * Stores a slot durably in a new file, readable by the user alone, and returns where: at `pathOf` unless there is one. Never
   * replaces one.
   *
   * @throws {CairnError} `STORAGE_DENIED` | `STORAGE_FULL`
   */
  save(repositoryId: string, slot: string): Promise<string>
  /** Removes a file, unless there is another slot in it by now. @throws {CairnError} `STORAGE_DENIED` */
  remove(file: KeyFile): Promise<void>
  /** Moves a file to `pathOf` if there is none, and returns where it is then. Never replaces one. @throws {CairnError} as `save` */
  moveToFront(repositoryId: string, path: string): Promise<string>
  /** Where the first slot of this repository is or would be; for messages. */
  pathOf(repositoryId: string): string
}

export interface KeyFile {
  readonly path: string
  readonly text: string
}

/** A slot where it was found. */
export interface StoredSlot {
  /** 32 hex digits: the name of the object; of a file the beginning of its hash. */
  readonly id: string
  /** For messages: `keys/<id>`, or the path of the key file. */
  readonly where: string
  readonly text: string
  /** `undefined` when it can open nothing here: see `problem`. */
  readonly slot: KeySlot | undefined
  /** Why not: `DATA_CORRUPT`, `FORMAT_UNSUPPORTED`, or `WRONG_PASSWORD` for one of another repository. */
  readonly problem: CairnError | undefined
}

/** Where the slots of one repository are: in it, or in files of the user. */
export interface SlotStore {
  /** What it is called in messages. */
  readonly name: string
  list(options?: AbortOptions): Promise<StoredSlot[]>
  /** Stores a slot durably and returns where. */
  add(slot: string, options?: AbortOptions): Promise<StoredSlot>
  /** Removing a slot that has gone succeeds. */
  remove(slot: StoredSlot, options?: AbortOptions): Promise<void>
  /** Puts a removed slot back; returns where it is then. */
  putBack(slot: StoredSlot): Promise<StoredSlot>
  /** Gives a slot the place that another has left, where places have names that people know. */
  moveToFront(slot: StoredSlot): Promise<StoredSlot>
}

/** The slots of an encrypted repository. */
export function slotStoreOf(storage: Storage, config: RepositoryConfig, keyFiles: KeyFiles): SlotStore {
  return config.encryption === 'keyfile' ? new FileSlots(config.id, keyFiles) : new RepositorySlots(storage, config.id)
}

/** Slots under `keys/`. */
class RepositorySlots implements SlotStore {
  readonly name: string
  readonly #storage: Storage
  readonly #repository: string

  constructor(storage: Storage, repository: string) {
    this.name = storage.location
    this.#storage = storage
    this.#repository = repository
  }

  async list(options: AbortOptions = {}): Promise<StoredSlot[]> {
    const slots: StoredSlot[] = []
    for await (const { key } of this.#storage.list('keys/', options)) {
      try {
        slots.push(this.#stored(key, Buffer.from(await this.#storage.get(key, undefined, options)).toString('utf8')))
      } catch (error) {
        if (isCairnError(error, 'DATA_CORRUPT')) slots.push(broken(key.slice('keys/'.length), key, '', error))
        else if (!isCairnError(error, 'NOT_FOUND')) throw error // removed since it was listed
      }
    }
    return slots
  }

  async add(slot: string, options: AbortOptions = {}): Promise<StoredSlot> {
    const key = `keys/${toHex(randomBytes(16))}`
    await this.#storage.put(key, Buffer.from(slot), options)
    return this.#stored(key, slot)
  }

  async remove(slot: StoredSlot, options: AbortOptions = {}): Promise<void> {
    await this.#storage.delete(slot.where, options)
  }

  async putBack(slot: StoredSlot): Promise<StoredSlot> {
    await this.#storage.put(slot.where, Buffer.from(slot.text))
    return slot
  }

  async moveToFront(slot: StoredSlot): Promise<StoredSlot> {
    return slot
  }

  #stored(key: string, text: string): StoredSlot {
    const stored = inspect(key.slice('keys/'.length), key, text, this.#repository)
    if (!stored.slot || stored.slot.needsPassphrase) return stored
    // One without passphrase was never written by us: whoever can write to the store would have put there, with a config to
    // match, a key of his own, and the next backup would be readable to him.
    const found = new CairnError('DATA_CORRUPT', `Cannot use ${key}: it needs no passphrase, so it opens nothing here`)
    return broken(stored.id, key, text, found)
  }
}

/** Slots in key files. */
class FileSlots implements SlotStore {
  readonly name = 'the key folder'
  readonly #repository: string
  readonly #files: KeyFiles

  constructor(repository: string, files: KeyFiles) {
    this.#repository = repository
    this.#files = files
  }

  async list(): Promise<StoredSlot[]> {
    return (await this.#files.list(this.#repository)).map(({ path, text }) => this.#stored(path, text))
  }

  async add(slot: string): Promise<StoredSlot> {
    return this.#stored(await this.#files.save(this.#repository, slot), slot)
  }

  async remove({ where, text }: StoredSlot): Promise<void> {
    await this.#files.remove({ path: where, text })
  }

  async putBack({ text }: StoredSlot): Promise<StoredSlot> {
    return this.add(text)
  }

  async moveToFront({ where, text }: StoredSlot): Promise<StoredSlot> {
    return this.#stored(await this.#files.moveToFront(this.#repository, where), text)
  }

  #stored(path: string, text: string): StoredSlot {
    return inspect(toHex(blake3(Buffer.from(text))).slice(0, 32), path, text, this.#repository)
  }
}

function inspect(id: string, where: string, text: string, repository: string): StoredSlot {
  const what = where.startsWith('keys/') ? where : `key file ${where}`
  try {
    const slot = parseKeySlot(text, what)
    if (slot.repository === repository) return { id, where, text, slot, problem: undefined }
    return broken(
      id,
      where,
      text,
      new CairnError('WRONG_PASSWORD', `Cannot open the repository: ${what} belongs to repository ${slot.repository}`),
    )
  } catch (error) {
    return broken(id, where, text, toCairnError(error))
  }
}

function broken(id: string, where: string, text: string, problem: CairnError): StoredSlot {
  return { id, where, text, slot: undefined, problem }
}
