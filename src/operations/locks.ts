import { runCommand } from '../platform/run-command.ts'
import { getConfig } from '../repository/repository.ts'
import { type SshOptions, openStorage } from '../storage/location.ts'

/*
 * What there is for those who look for locks: nothing here takes one (docs/concurrency.md).
 */

/** Which repository, and how it is reached. */
export interface RepositoryPlace extends SshOptions {
  readonly location: string
}

/**
 * Sees to it that there is a repository, without opening it: no passphrase is needed.
 *
 * @throws {CairnError} `REPOSITORY_NOT_FOUND`, and what `openStorage` throws
 */
export async function requireRepository(place: RepositoryPlace): Promise<void> {
  const storage = await openStorage(place.location, place)
  try {
    await getConfig(storage, place)
  } finally {
    await storage.close()
  }
}

/**
 * Runs a program while nothing is locked, and resolves to its exit code; 128 + N when signal N ended it.
 *
 * @throws {CairnError} as `requireRepository`; `INVALID_ARGUMENT` when the program cannot be started
 */
export async function runUnlocked(place: RepositoryPlace, [command = '', ...args]: readonly string[]): Promise<number> {
  await requireRepository(place)
  return runCommand(command, args, place)
}
