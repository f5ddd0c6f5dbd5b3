import type { Clock } from '../base/clock.ts'
import { parseChunkerParams } from '../chunker/params.ts'
import { FolderKeyFiles } from '../repository/key-files.ts'
import { createRepository } from '../repository/create-repository.ts'
import { type EncryptionMode, type RepositorySettings, TOP_LEVEL_NAMES } from '../repository/repository.ts'
import { type SshOptions, openStorage } from '../storage/location.ts'
import { KnownRepositories } from './known-repositories.ts'

export type { EncryptionMode }

export interface InitOptions extends SshOptions {
  /** Location without `::NAME`. */
  readonly location: string
  /** Where key files of `keyfile` repositories are kept. */
  readonly keyFolder: string
  /** As in `RepositoryAccess`. */
  readonly knownFolder?: string | undefined
  readonly encryption: EncryptionMode
  /** `undefined` for `none`, and for a `keyfile` whose file alone opens the repository. */
  readonly passphrase: string | undefined
  /** Like `fastcdc,256K,1M,4M`; the default when absent. */
  readonly chunkerParams?: string | undefined
  /** Make the folders above it that are missing; on this machine only. */
  readonly makeParents?: boolean | undefined
  /** Those that are not to have their default. */
  readonly settings?: Partial<RepositorySettings> | undefined
  readonly clock?: Clock
}

export interface InitResult {
  readonly repositoryId: string
  readonly location: string
  readonly encryption: EncryptionMode
  /** The key file that was written, for `keyfile`. */
  readonly keyFile: string | undefined
}

/**
 * Makes a new, empty repository.
 *
 * @throws {CairnError} `REPOSITORY_EXISTS`, or what the storage throws; then nothing is left behind
 */
export async function initRepository(options: InitOptions): Promise<InitResult> {
  const { encryption, passphrase, chunkerParams, settings, clock, keyFolder, knownFolder } = options
  const chunker = chunkerParams === undefined ? undefined : parseChunkerParams(chunkerParams)
  const keyFiles = new FolderKeyFiles(keyFolder)
  const storage = await openStorage(options.location, { ...options, create: true, mayContain: TOP_LEVEL_NAMES })
  try {
    const repository = await createRepository(storage, { encryption, passphrase, keyFiles, chunker, settings, clock })
    if (knownFolder !== undefined) new KnownRepositories(knownFolder).forget(options.location)
    const keyFile = encryption === 'keyfile' ? keyFiles.pathOf(repository.id) : undefined
    return { repositoryId: repository.id, location: storage.location, encryption, keyFile }
  } finally {
    await storage.close()
  }
}
