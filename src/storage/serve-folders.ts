import { realpath } from 'node:fs/promises'
import path from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { CairnError, errnoOf } from '../base/errors.ts'
import { homeFolder } from '../platform/home-folder.ts'
import { type GuardOptions, GuardedStorage } from './guarded-storage.ts'
import { LocalStorage } from './local/local-storage.ts'
import { toStorageError } from './local/system-error.ts'
import type { OpenRequest } from './remote/messages.ts'
import { serveStorage } from './remote/serve-storage.ts'
import type { Storage } from './storage.ts'

/** What clients of a server may open, and what they may do there. */
export interface ServeFoldersOptions extends GuardOptions {
  /** Folders in which, or below which, repositories may be opened and made; all of them when there is none here and below. */
  readonly restrictToPaths?: readonly string[] | undefined
  /** Repositories that may be opened or made, and no folder below them. */
  readonly restrictToRepositories?: readonly string[] | undefined
  /** Whether a storage is append-only although `appendOnly` does not say so. */
  readonly isAppendOnly?: ((storage: Storage) => Promise<boolean>) | undefined
}

/**
 * Serves storages in folders of this machine to one client, until it ends the connection: the far end of a `RemoteStorage`.
 *
 * @throws {CairnError} `STORAGE_UNAVAILABLE` when the connection breaks
 */
export async function serveFolders(
  streams: { input: Readable; output: Writable },
  options: ServeFoldersOptions,
): Promise<void> {
  await serveStorage({ ...streams, open: (request) => openServedFolder(request, options) })
}

/**
 * Opens the local storage that a client asks for, if it may. Symbolic links are followed before that is decided.
 *
 * @throws {CairnError} `STORAGE_DENIED` for one that it may not open, whether it exists or not; what `LocalStorage` throws
 */
async function openServedFolder(request: OpenRequest, options: ServeFoldersOptions): Promise<Storage> {
  const folder = await resolveRequest(request.path)
  if (!(await isAllowed(folder, options))) {
    throw new CairnError('STORAGE_DENIED', `Cannot open ${request.path}: this server gives no access to it`)
  }
  const { create, mayContain } = request
  const names = Array.isArray(mayContain) ? mayContain.filter((name) => typeof name === 'string') : []
  const storage = create ? await LocalStorage.create(folder, { mayContain: names }) : await LocalStorage.open(folder)
  const appendOnly = options.appendOnly || (await options.isAppendOnly?.(storage))
  return new GuardedStorage(storage, { ...options, appendOnly })
}

/** The real path of what a client names; where it does not exist, that of the folder it would be in. */
async function resolveRequest(text: string): Promise<string> {
  const home = text === '~' || text.startsWith('~/') ? homeFolder() : undefined
  if (text.startsWith('~') && home === undefined)
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot open ${text}: want the full path in place of ${text.split('/')[0]}`,
    )
  const folder = path.resolve(home === undefined ? text : path.join(home, text.slice(1)))
  try {
    return await realFolder(folder)
  } catch (error) {
    throw toStorageError(error, `open ${text}`, folder)
  }
}

async function realFolder(folder: string): Promise<string> {
  try {
    return await realpath(folder)
  } catch (error) {
    const parent = path.dirname(folder)
    if (errnoOf(error) !== 'ENOENT' || parent === folder) throw error
    return path.join(await realFolder(parent), path.basename(folder))
  }
}

async function isAllowed(folder: string, options: ServeFoldersOptions): Promise<boolean> {
  const { restrictToPaths = [], restrictToRepositories = [] } = options
  if (restrictToPaths.length + restrictToRepositories.length === 0) return true
  for (const allowed of restrictToRepositories) if (folder === (await resolveRequest(allowed))) return true
  for (const allowed of restrictToPaths) {
    const top = await resolveRequest(allowed)
    if (folder === top || folder.startsWith(top === '/' ? '/' : `${top}/`)) return true
  }
  return false
}
