import { randomBytes } from 'node:crypto'
import { posix } from 'node:path'
import { type AbortOptions, throwIfAborted } from '../../base/abort.ts'
import { CairnError, isCairnError } from '../../base/errors.ts'
import { startRemoteCommand } from '../../platform/remote-command.ts'
import { checkKey, checkRange, isKey, rangeError } from '../key.ts'
import { type RemoteLocation, sshDestination } from '../remote-location.ts'
import type { SshOptions } from '../remote/ssh.ts'
import type { ByteRange, Storage, StoredObject } from '../storage.ts'
import { type Attributes, SftpClient, SftpError } from './sftp-client.ts'

const TEMP_FOLDER = '.tmp'
const IGNORED_NAMES = [TEMP_FOLDER, 'lost+found']
/** Folders listed at once. */
const PARALLEL_FOLDERS = 16
/** A temporary file that old belongs to no run any more. */
const STALE_MS = 24 * 3600 * 1000

/**
 * Keeps a repository in a folder of another machine that has SFTP and nothing of ours. Objects lie as `LocalStorage` puts them, so the
 * same folder can be used in all ways at once. What it cannot do as well: a deletion may come back after a power loss there, and so
 * may be missing the name of an object, on file systems that do not write names with the file's own changes.
 */
export class SftpStorage implements Storage {
  readonly location: string
  readonly isRemote = true
  readonly freeBytes?: NonNullable<Storage['freeBytes']>
  readonly #sftp: SftpClient
  readonly #root: string
  /** Folders known to exist, or being made. */
  readonly #folders = new Map<string, Promise<void>>()

  /**
   * Opens the folder, or makes it with `create`.
   *
   * @throws {CairnError} `REPOSITORY_NOT_FOUND`; `INVALID_ARGUMENT` when it cannot be made, or holds other things than `mayContain`, or
   *   the server cannot do what is needed; `STORAGE_DENIED` | `STORAGE_UNAVAILABLE`
   */
  static async open(
    text: string,
    place: RemoteLocation,
    options: SshOptions & { readonly create: boolean; readonly mayContain: readonly string[] },
  ): Promise<SftpStorage> {
    const { rsh = ['ssh'], signal, silenceMs } = options
    const link = await startRemoteCommand([...rsh, '-s', ...sshDestination(place), 'sftp'])
    let sftp: SftpClient | undefined
    try {
      sftp = await SftpClient.open(link, { location: text, signal, silenceMs })
      const path = place.path.replace(/^~\/?/, '') || '.'
      if (/^~[^/]/.test(place.path)) {
        throw new CairnError('INVALID_ARGUMENT', `Cannot open ${text}: want the full path in place of ${path}`)
      }
      return await openFolder(sftp, text, path, options)
    } catch (error) {
      await sftp?.close()
      throw toStorageError(error, `open ${text}`)
    }
  }

  constructor(sftp: SftpClient, location: string, root: string) {
    this.location = location
    this.#sftp = sftp
    this.#root = root
    if (sftp.has('statvfs@openssh.com'))
      this.freeBytes = (options) => this.#run('look for free space', options, () => sftp.freeBytes(root))
  }

  get isBroken(): boolean {
    return this.#sftp.isBroken
  }

  async get(key: string, range?: ByteRange, options?: AbortOptions): Promise<Uint8Array> {
    checkKey(key)
    checkRange(key, range)
    const path = this.#path(key)
    const bytes = await this.#run(`read ${key}`, options, async () => {
      try {
        return await this.#sftp.read(path, range)
      } catch (error) {
        // Of what is no file, servers say different things.
        if (error instanceof SftpError && !(await this.#isFile(path))) throw absence(key, error)
        throw error
      }
    })
    if (range && bytes.length < range.length) throw rangeError(key, range.length, bytes.length, range.offset)
    return bytes
  }

  async put(key: string, data: Uint8Array, options?: AbortOptions): Promise<void> {
    await this.#publish(key, data, options, (temp, path) => this.#sftp.replace(temp, path))
  }

  async putIfAbsent(key: string, data: Uint8Array, options?: AbortOptions): Promise<boolean> {
    return this.#publish(key, data, options, async (temp, path) => {
      try {
        // Both refuse when the name is taken.
        if (this.#sftp.has('hardlink@openssh.com')) await this.#sftp.link(temp, path)
        else await this.#sftp.rename(temp, path)
        return true
      } catch (error) {
        // The protocol has no word for why.
        if (error instanceof SftpError && (await this.#exists(path))) return false
        throw error
      } finally {
        await this.#sftp.remove(temp).catch(ignoreSftpError)
      }
    })
  }

  async *list(prefix: string, options?: AbortOptions): AsyncGenerator<StoredObject> {
    const action = `list ${prefix || 'all objects'}`
    let folders = ['']
    while (folders.length > 0) {
      const next: string[] = []
      for (let start = 0; start < folders.length; start += PARALLEL_FOLDERS) {
        throwIfAborted(options?.signal)
        const batch = folders.slice(start, start + PARALLEL_FOLDERS)
        const found = await Promise.all(
          batch.map((folder) => this.#run(action, options, () => this.#readFolder(folder, prefix))),
        )
        for (const { objects, subfolders } of found) {
          yield* objects
          next.push(...subfolders)
        }
      }
      folders = next
    }
  }

  async delete(key: string, options?: AbortOptions): Promise<void> {
    checkKey(key)
    await this.#run(`delete ${key}`, options, async () => {
      try {
        await this.#sftp.remove(this.#path(key))
      } catch (error) {
        if (!(error instanceof SftpError) || (await this.#isFile(this.#path(key)))) throw error
      }
    })
  }

  async persist(keys: readonly string[], options?: AbortOptions): Promise<void> {
    for (const key of keys) checkKey(key)
    await this.#run('make objects durable', options, async () => {
      for (const key of keys) {
        await this.#sftp.sync(this.#path(key)).catch((error: unknown) => {
          if (!(error instanceof SftpError) || !error.isAbsence) throw error
        })
      }
    })
  }

  async close(): Promise<void> {
    await this.#sftp.close()
  }

  /** Writes `data` beside its place and lets `move` put it there. */
  async #publish<T>(
    key: string,
    data: Uint8Array,
    options: AbortOptions | undefined,
    move: (temp: string, path: string) => Promise<T>,
  ): Promise<T> {
    checkKey(key)
    const path = this.#path(key)
    const temp = posix.join(this.#root, TEMP_FOLDER, `sftp-${randomBytes(16).toString('hex')}`)
    return this.#run(`store ${key}`, options, async () => {
      await Promise.all([this.#ensureFolder(posix.dirname(temp)), this.#ensureFolder(posix.dirname(path))])
      try {
        return await this.#sftp.writeDurably(temp, data, () => {
          throwIfAborted(options?.signal)
          return move(temp, path)
        })
      } catch (error) {
        await this.#sftp.remove(temp).catch(ignoreSftpError)
        this.#folders.clear() // someone may have removed a folder: a retry makes it again
        throw await this.#explainFull(error, key, data.length)
      }
    })
  }

  /** The protocol has no word for a full disk. */
  async #explainFull(error: unknown, key: string, bytes: number): Promise<unknown> {
    if (!(error instanceof SftpError) || error.isDenied || error.isAbsence || !this.freeBytes) return error
    if ((await this.#sftp.freeBytes(this.#root)) > bytes) return error
    return new CairnError(
      'STORAGE_FULL',
      `Cannot store ${key}: the disk of ${this.location} has no space left; free some, then run again; nothing saved before is lost`,
      { cause: error },
    )
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
    await this.#ensureFolder(posix.dirname(folder))
    try {
      await this.#sftp.mkdir(folder)
    } catch (error) {
      if (!(error instanceof SftpError) || !(await this.#sftp.lstat(folder)).isFolder) throw error
      if (posix.basename(folder) === TEMP_FOLDER) await this.#sweep(folder)
    }
  }

  /** Removes what killed runs have left, by the server's own clock. */
  async #sweep(folder: string): Promise<void> {
    const files = await Array.fromAsync(this.#sftp.entries(folder))
    const newestMs = Math.max(...files.map(({ modifiedAtMs }) => modifiedAtMs))
    for (const { name, modifiedAtMs } of files)
      if (name.startsWith('sftp-') && modifiedAtMs < newestMs - STALE_MS)
        await this.#sftp.remove(posix.join(folder, name)).catch(ignoreSftpError)
  }

  async #readFolder(folder: string, prefix: string): Promise<{ objects: StoredObject[]; subfolders: string[] }> {
    const objects = new Map<string, StoredObject>()
    const subfolders: string[] = []
    // Session objects are replaced all the time, and a folder that is read meanwhile may then lack them: see LocalStorage.
    const passes = folder === 'sessions' ? 2 : 1
    for (let pass = 0; pass < passes; pass++) {
      for await (const entry of this.#entries(folder)) {
        const key = folder === '' ? entry.name : `${folder}/${entry.name}`
        if (!isKey(key)) continue
        const { isFile, isFolder, sizeBytes, modifiedAtMs } = entry
        if (isFolder && pass === 0 && (key.startsWith(prefix) || prefix.startsWith(`${key}/`))) subfolders.push(key)
        if (isFile && key.startsWith(prefix)) objects.set(key, { key, sizeBytes, modifiedAtMs })
      }
    }
    return { objects: [...objects.values()], subfolders }
  }

  async *#entries(folder: string): AsyncGenerator<Attributes & { readonly name: string }> {
    try {
      yield* this.#sftp.entries(this.#path(folder))
    } catch (error) {
      // One that has gone meanwhile is empty; the repository itself has to be there.
      if (!(error instanceof SftpError) || !error.isAbsence || folder === '') throw error
    }
  }

  async #exists(path: string): Promise<boolean> {
    try {
      await this.#sftp.lstat(path)
      return true
    } catch (error) {
      if (error instanceof SftpError && error.isAbsence) return false
      throw error
    }
  }

  async #isFile(path: string): Promise<boolean> {
    try {
      return (await this.#sftp.lstat(path)).isFile
    } catch (error) {
      if (error instanceof SftpError) return !error.isAbsence && error.isDenied
      throw error
    }
  }

  #path(key: string): string {
    return posix.join(this.#root, key)
  }

  /** `action` completes "Cannot …". */
  async #run<T>(action: string, options: AbortOptions | undefined, act: () => Promise<T>): Promise<T> {
    throwIfAborted(options?.signal)
    try {
      return await act()
    } catch (error) {
      throw toStorageError(error, action)
    }
  }
}

async function openFolder(
  sftp: SftpClient,
  text: string,
  path: string,
  { create, mayContain }: { readonly create: boolean; readonly mayContain: readonly string[] },
): Promise<SftpStorage> {
  // Servers differ in whether they resolve what does not exist.
  const parent = await sftp.realpath(posix.dirname(path))
  const root = posix.join(parent, posix.basename(path))
  const found = await sftp.stat(root).catch((error: unknown) => {
    if (!(error instanceof SftpError) || !error.isAbsence) throw error
    return undefined
  })
  if (!create) {
    if (found?.isFolder) return new SftpStorage(sftp, text, root)
    const what = found ? 'it is not a folder' : 'there is no such folder'
    throw new CairnError(
      'REPOSITORY_NOT_FOUND',
      `Cannot open ${text}: ${what}; check the path, or run 'cairn init' first`,
    )
  }
  if (!found) {
    if (!(await folderExists(sftp, parent)))
      throw new CairnError('INVALID_ARGUMENT', `Cannot make ${text}: want a folder at ${parent}; make it first`)
    await sftp.mkdir(root)
    return new SftpStorage(sftp, text, root)
  }
  if (!found.isFolder) throw new CairnError('INVALID_ARGUMENT', `Cannot make ${text}: it is a file`)
  const allowed = new Set([...IGNORED_NAMES, ...mayContain])
  for await (const { name } of sftp.entries(root)) {
    if (!allowed.has(name))
      throw new CairnError('INVALID_ARGUMENT', `Cannot make ${text}: it holds '${name}', want a new or an empty folder`)
  }
  return new SftpStorage(sftp, text, root)
}

async function folderExists(sftp: SftpClient, path: string): Promise<boolean> {
  try {
    return (await sftp.stat(path)).isFolder
  } catch (error) {
    if (error instanceof SftpError) return false
    throw error
  }
}

function ignoreSftpError(error: unknown): void {
  if (!(error instanceof SftpError)) throw error
}

function absence(key: string, cause: SftpError): CairnError {
  return new CairnError('NOT_FOUND', `Cannot read ${key}: there is no such object`, { cause })
}

function toStorageError(error: unknown, action: string): unknown {
  if (error instanceof SftpError) {
    const options = { cause: error, details: { status: error.status } }
    if (error.isDenied)
      return new CairnError('STORAGE_DENIED', `Cannot ${action}: permission denied by the SFTP server`, options)
    return new CairnError('STORAGE_UNAVAILABLE', `Cannot ${action}: the SFTP server says '${error.message}'`, options)
  }
  if (isCairnError(error, 'STORAGE_UNAVAILABLE') && !error.message.startsWith('Cannot'))
    return new CairnError(error.code, `Cannot ${action}: ${error.message}; run it again: what was stored is not lost`, {
      cause: error,
    })
  return error
}
