import type { Readable, Writable } from 'node:stream'
import { isCairnError } from '../base/errors.ts'
import { saysAppendOnly } from '../repository/config.ts'
import { getConfig } from '../repository/repository.ts'
import { type ServeFoldersOptions, serveFolders } from '../storage/serve-folders.ts'
import type { Storage } from '../storage/storage.ts'

export interface ServeRepositoriesOptions extends ServeFoldersOptions {
  /** From the client, and to it; nothing else may be written there. */
  readonly input: Readable
  readonly output: Writable
}

/**
 * Serves repositories in folders of this machine to one client, until it ends the connection: the far end of `ssh://` locations. It
 * handles objects only: keys and passphrases stay with the client.
 *
 * @throws {CairnError} `STORAGE_UNAVAILABLE` when the connection breaks
 */
export async function serveRepositories(options: ServeRepositoriesOptions): Promise<void> {
  await serveFolders(options, { ...options, isAppendOnly })
}

async function isAppendOnly(storage: Storage): Promise<boolean> {
  try {
    return saysAppendOnly(await getConfig(storage, {}))
  } catch (error) {
    if (isCairnError(error, 'REPOSITORY_NOT_FOUND')) return false
    throw error
  }
}
