import { lstat, mkdir, readdir, rename, stat, statfs, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { type AbortOptions, throwIfAborted } from '../../base/abort.ts'
import { type Clock, systemClock } from '../../base/clock.ts'
import { CairnError, errnoOf } from '../../base/errors.ts'
import { checkKey, checkRange, isKey } from '../key.ts'
import { processSpace } from '../process-space.ts'
import type { ByteRange, Storage, StoredObject } from '../storage.ts'
import { discard, linkUnlessTaken, readFileRange, syncFolder, writeSynced } from './durable-file.ts'
import { symlinkError, toStorageError } from './system-error.ts'
import { sweepTempFiles, tempFileName } from './temp-files.ts'

/** Begins with a dot, so that no key ever names it or what is in it. */
const TEMP_FOLDER = '.tmp'

/** What a folder may hold and still count as empty: an earlier try, and what `mkfs` puts on a fresh disk. */
const IGNORED_NAMES = [TEMP_FOLDER, 'lost+found']

/** How many `lstat` calls of a listing are under way at once; they run on the few threads of libuv's pool. */
const LIST_BATCH = 64

export interface CreateLocalStorageOptions {
  /** Names at the top of an existing folder that do not stand in the way; nothing else may be there. */
  readonly mayContain?: readonly string[] | undefined
  /** Make the folders above that are missing. */
  readonly makeParents?: boolean | undefined
}

/**
 * Keeps a repository in a folder: each object is a file whose path is its key; folders are 0700, files 0600.
 *
 * A put writes `.tmp/<unique name>`, syncs it, renames it to the key and syncs the folder, so no reader and no crash ever
 * meets half an object. `putIfAbsent` uses link(2) in place of the rename: the only portable call that publishes a finished
 * file and refuses when the name is taken. (O_EXCL on the final name would leave an empty or half-written register after a
 * crash, and an empty register means "aborted".) File systems without hard links, such as FAT and exFAT, are refused.
 *
 * Inside the folder, symbolic links are never written through and never listed: list and put refuse them.
 */
export class LocalStorage implements Storage {
  readonly location: string
  readonly #root: string
  readonly #rootInode: bigint
  readonly #owner: string
  /** Folders known to exist durably, or being made. */
  readonly #folders = new Map<string, Promise<void>>()

  private constructor(root: string, rootInode: bigint, owner: string) {
    this.location = root
    this.#root = root
    this.#rootInode = rootInode
    this.#owner = owner
  }

  /**
   * Makes the folder `path`, or takes over an empty one, and opens it.
   *
   * @throws {CairnError} `INVALID_ARGUMENT` when the parent is missing or the folder holds anything but `mayContain`
   * @throws {CairnError} `STORAGE_FULL` | `STORAGE_DENIED` | `STORAGE_UNAVAILABLE`
   */
  static async create(path: string, options: CreateLocalStorageOptions = {}): Promise<LocalStorage> {
    const root = resolve(path)
    const action = `create a repository at ${root}`
    try {
      if (options.makeParents) await makeFolders(dirname(root))
      await mkdir(root, 0o700)
      await syncFolder(dirname(root))
    } catch (error) {
      const errno = errnoOf(error)
      if (errno === 'ENOENT' || errno === 'ENOTDIR') {
        const parent = dirname(root)
        throw new CairnError('INVALID_ARGUMENT', `Cannot ${action}: want a folder at ${parent}; make it first`, {
          cause: error,
          details: { parent },
        })
      }
      if (errno !== 'EEXIST') throw toStorageError(error, action, root)
      await checkEmpty(root, action, [...IGNORED_NAMES, ...(options.mayContain ?? [])])
    }
    return LocalStorage.open(root)
  }

  /**
   * Opens the existing folder `path` and removes temporary files that killed runs left there.
   *
   * @throws {CairnError} `REPOSITORY_NOT_FOUND` when there is no folder; whether it holds a repository is not looked at
   * @throws {CairnError} `STORAGE_DENIED` | `STORAGE_UNAVAILABLE`
   */
  static async open(path: string, options: { readonly clock?: Clock } = {}): Promise<LocalStorage> {
    const root = resolve(path)
    const action = `open the repository at ${root}`
    const stats = await stat(root, { bigint: true }).catch((error: unknown) => {
      const errno = errnoOf(error)
      if (errno !== 'ENOENT' && errno !== 'ENOTDIR') throw toStorageError(error, action, root)
      return undefined
    })
    if (!stats?.isDirectory()) {
      const found = stats ? 'it is not a folder' : 'there is no such folder'
      throw new CairnError(
        'REPOSITORY_NOT_FOUND',
        `Cannot ${action}: ${found}; check the path, or run 'cairn init' first`,
      )
    }
    const owner = processSpace()
    await sweepTempFiles(join(root, TEMP_FOLDER), owner, (options.clock ?? systemClock).now())
    return new LocalStorage(root, stats.ino, owner)
  }

  async get(key: string, range?: ByteRange, options?: AbortOptions): Promise<Uint8Array> {
    checkKey(key)
    checkRange(key, range)
    throwIfAborted(options?.signal)
    const path = join(this.#root, key)
    try {
      return await readFileRange(path, key, range)
    } catch (error) {
      if (!isAbsence(error)) throw toStorageError(error, `read ${key}`, path)
      await this.#checkRoot(`read ${key}`)
      throw new CairnError('NOT_FOUND', `Cannot read ${key}: ${this.#root} has no such object`, { cause: error })
    }
  }

  async put(key: string, data: Uint8Array, options?: AbortOptions): Promise<void> {
    await this.#publish(key, data, options, async (temp, path) => {
      await rename(temp, path)
      return true
    })
  }

  async putIfAbsent(key: string, data: Uint8Array, options?: AbortOptions): Promise<boolean> {
    return this.#publish(key, data, options, async (temp, path) => {
      const won = await linkUnlessTaken(temp, path, key)
      await discard(temp)
      return won
    })
  }

  async *list(prefix: string, options?: AbortOptions): AsyncGenerator<StoredObject> {
    throwIfAborted(options?.signal)
    const action = `list ${prefix || 'all objects'}`
    const pending = ['']
    for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
      const files: string[] = []
      for (const { key, isFolder } of await this.#readFolder(folder, prefix, action)) {
        ;(isFolder ? pending : files).push(key)
      }
      for (let start = 0; start < files.length; start += LIST_BATCH) {
        throwIfAborted(options?.signal)
        yield* await this.#describe(files.slice(start, start + LIST_BATCH), action)
      }
    }
    // At the end: only now is it known that what was missing on the way was missing indeed.
    await this.#checkRoot(action)
  }

  async delete(key: string, options?: AbortOptions): Promise<void> {
    checkKey(key)
    throwIfAborted(options?.signal)
    const path = join(this.#root, key)
    try {
      await unlink(path).catch(ignoreAbsence)
      // Also when it was absent: the run that deleted it may have ended before the folder was synced.
      await syncFolder(dirname(path)).catch(ignoreAbsence)
    } catch (error) {
      throw toStorageError(error, `delete ${key}`, path)
    }
    await this.#checkRoot(`delete ${key}`)
  }

  async persist(keys: readonly string[], options?: AbortOptions): Promise<void> {
    for (const key of keys) checkKey(key)
    // Contents are synced before they get their names, so only the names can be missing.
    for (const folder of new Set(keys.map((key) => dirname(join(this.#root, key))))) {
      throwIfAborted(options?.signal)
      await syncFolder(folder).catch((error: unknown) => {
        if (!isAbsence(error)) throw toStorageError(error, 'make objects durable', folder)
      })
    }
    await this.#checkRoot('make objects durable')
  }

  async freeBytes(options?: AbortOptions): Promise<number> {
    throwIfAborted(options?.signal)
    await this.#checkRoot('look for free space') // or it would be that of another disk
    try {
      const { bavail, bsize } = await statfs(this.#root)
      return bavail * bsize
    } catch (error) {
      throw toStorageError(error, 'look for free space', this.#root)
    }
  }

  async close(): Promise<void> {}

  /** Writes `data` beside its place, lets `move` put it there, and resolves when the folder's entry is durable. */
  async #publish(
    key: string,
    data: Uint8Array,
    options: AbortOptions | undefined,
    move: (temp: string, path: string) => Promise<boolean>,
  ): Promise<boolean> {
    checkKey(key)
    throwIfAborted(options?.signal)
    const path = join(this.#root, key)
    const temp = join(this.#root, TEMP_FOLDER, tempFileName(this.#owner))
    try {
      await this.#ensureFolder(dirname(temp))
      await this.#ensureFolder(dirname(path))
      let moved: boolean
      try {
        await writeSynced(temp, data)
        throwIfAborted(options?.signal)
        moved = await move(temp, path)
      } catch (error) {
        await discard(temp)
        throw error
      }
      await syncFolder(dirname(path))
      return moved
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') this.#folders.clear() // someone removed a folder: a retry makes it again
      throw toStorageError(error, `store ${key}`, path)
    }
  }

  #ensureFolder(folder: string): Promise<void> {
    if (folder === this.#root) return Promise.resolve()
    const known = this.#folders.get(folder)
    if (known) return known
    const made = this.#makeFolder(folder).catch((error: unknown) => {
      this.#folders.delete(folder)
      throw error
    })
    this.#folders.set(folder, made)
    return made
  }

  async #makeFolder(folder: string): Promise<void> {
    const parent = dirname(folder)
    await this.#ensureFolder(parent)
    await this.#checkRoot('write to the repository') // never fill the folder below an unmounted disk
    try {
      await mkdir(folder, 0o700)
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
      if ((await lstat(folder)).isSymbolicLink()) throw symlinkError('write to the repository', folder)
    }
    // Also when it existed: another process may have made it just now.
    await syncFolder(parent)
  }

  /** Files in `folder` whose keys begin with `prefix`, and folders that may hold some; what has no valid key is not ours. */
  async #readFolder(folder: string, prefix: string, action: string): Promise<{ key: string; isFolder: boolean }[]> {
    const path = join(this.#root, folder)
    const found = new Map<string, boolean>()
    try {
      // Twice, because Btrfs hides a name from a readdir that began before a rename replaced it: the new entry lies behind
      // the end noted at opendir. While 50 names were being replaced without pause, 63 of 5,000 readdirs missed one and no
      // pair of readdirs did (Linux 6.18; ext4 and tmpfs never). A heartbeat must not hide its session from reclamation.
      for (let pass = 0; pass < 2; pass++) {
        for (const entry of await readdir(path, { withFileTypes: true })) {
          const key = folder === '' ? entry.name : `${folder}/${entry.name}`
          const isMatch = key.startsWith(prefix)
          if (!isKey(key) || !(isMatch || prefix.startsWith(`${key}/`))) continue
          // Leaving it out could make live packs look unreferenced; following it leads out of the repository.
          if (entry.isSymbolicLink()) throw symlinkError(action, join(path, entry.name))
          if (entry.isDirectory() || (isMatch && entry.isFile())) found.set(key, entry.isDirectory())
        }
      }
    } catch (error) {
      if (!isAbsence(error)) throw toStorageError(error, action, path)
    }
    return Array.from(found, ([key, isFolder]) => ({ key, isFolder }))
  }

  async #describe(keys: readonly string[], action: string): Promise<StoredObject[]> {
    const objects = await Promise.all(
      keys.map(async (key) => {
        const path = join(this.#root, key)
        try {
          const stats = await lstat(path)
          return { key, sizeBytes: stats.size, modifiedAtMs: Math.trunc(stats.mtimeMs) }
        } catch (error) {
          if (isAbsence(error)) return undefined // deleted meanwhile
          throw toStorageError(error, action, path)
        }
      }),
    )
    return objects.filter((object) => object !== undefined)
  }

  /** Tells "this object is not there" from "the whole disk is not there": an unmounted disk leaves an empty folder behind. */
  async #checkRoot(action: string): Promise<void> {
    const stats = await stat(this.#root, { bigint: true }).catch((error: unknown) => {
      throw toStorageError(error, action, this.#root)
    })
    if (stats.ino === this.#rootInode) return
    throw new CairnError(
      'STORAGE_UNAVAILABLE',
      `Cannot ${action}: ${this.#root} is not the folder it was when this run began; see that the disk is mounted, then run again`,
    )
  }
}

/** `ENOTDIR`: a part of the key is a file; `EISDIR`: the key is a folder. Neither is an object. */
function isAbsence(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'EISDIR'].includes(errnoOf(error) ?? '')
}

function ignoreAbsence(error: unknown): void {
  if (!isAbsence(error)) throw error
}

async function checkEmpty(root: string, action: string, ignored: readonly string[]): Promise<void> {
  const names = await readdir(root).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOTDIR') throw new CairnError('INVALID_ARGUMENT', `Cannot ${action}: it is a file`)
    throw toStorageError(error, action, root)
  })
  const foreign = names.filter((name) => !ignored.includes(name)).sort()
  if (foreign.length === 0) return
  const more = foreign.length > 1 ? ` and ${foreign.length - 1} more` : ''
  throw new CairnError(
    'INVALID_ARGUMENT',
    `Cannot ${action}: it holds '${foreign[0]}'${more}, want a new or an empty folder`,
    { details: { names: foreign.slice(0, 10) } },
  )
}

/** Makes a folder and those above it, for good. */
async function makeFolders(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let at = folder; at !== dirname(first); at = dirname(at)) await syncFolder(dirname(at))
}
