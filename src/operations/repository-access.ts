import type { Clock } from '../base/clock.ts'
import { FolderKeyFiles } from '../repository/key-files.ts'
import { type DamageListener, type Repository, openRepository } from '../repository/repository.ts'
import type { PassphraseQuestion } from '../repository/unlock.ts'
import { type SshOptions, openStorage } from '../storage/location.ts'
import type { Storage } from '../storage/storage.ts'
import { KnownRepositories } from './known-repositories.ts'

export type { PassphraseQuestion }

/** Which repository, and how to get at its keys. */
export interface RepositoryAccess extends SshOptions {
  /** Location without `::NAME`. */
  readonly location: string
  /** Where key files of `keyfile` repositories are kept. */
  readonly keyFolder: string
  /** Where what was read of repositories on other machines is kept; without it, nowhere. */
  readonly cacheFolder?: string | undefined
  /** Where it is remembered which repositories are encrypted; without it, nowhere. */
  readonly knownFolder?: string | undefined
  /** Asks for the passphrase; `undefined` gives up, which ends in `WRONG_PASSWORD`. Never asked when none is needed. */
  readonly askPassphrase: (question: PassphraseQuestion) => Promise<string | undefined>
  readonly clock?: Clock
  /** Is told of each damaged index object and commit record, which are then passed over; without it they end the operation. */
  readonly onDamaged?: DamageListener | undefined
  /** In place of the storage that the location names: for tests, whose stores fail when they are told to. */
  readonly openStorage?: ((location: string, options: SshOptions) => Promise<Storage>) | undefined
}

/**
 * Opens the repository for one operation and closes its storage afterwards, whatever happens.
 *
 * @throws {CairnError} what `openStorage` and `openRepository` throw, `REPOSITORY_REPLACED`, and what the operation throws
 */
export async function withRepository<T>(
  access: RepositoryAccess,
  use: (repository: Repository) => Promise<T>,
): Promise<T> {
  const storage = await (access.openStorage ?? openStorage)(access.location, access)
  try {
    const keyFiles = new FolderKeyFiles(access.keyFolder)
    const { location, askPassphrase, cacheFolder, knownFolder, signal } = access
    const repository = await openRepository(storage, { keyFiles, askPassphrase, cacheFolder, signal })
    if (knownFolder !== undefined) new KnownRepositories(knownFolder).check(location, repository.config)
    return await use(repository)
  } finally {
    await storage.close()
  }
}
