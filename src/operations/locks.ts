import { runCommand } from '../platform/run-command.ts'
import { getConfig } from '../repository/repository.ts'
import { openStorage } from '../storage/location.ts'
import type { RepositoryAccess } from './repository-access.ts'

/*
 * What there is for those who look for locks: nothing here takes one (docs/concurrency.md).
 */

/**
 * Sees to it that there is a repository, without opening it: no passphrase is needed.
 *
 * @throws {CairnError} `REPOSITORY_NOT_FOUND`, and what `openStorage` throws
 */
export async function requireRepository(access: Pick<RepositoryAccess, 'location' | 'signal'>): Promise<void> {
  const storage = await openStorage(access.location)
  try {
    await getConfig(storage, access)
  } finally {
    await storage.close()
  }
}

/**
 * Runs a program while nothing is locked, and resolves to its exit code; 128 + N when signal N ended it.
 *
 * @throws {CairnError} as `requireRepository`; `INVALID_ARGUMENT` when the program cannot be started
 */
export async function runUnlocked(
  access: Pick<RepositoryAccess, 'location' | 'signal'>,
  [command = '', ...args]: readonly string[],
): Promise<number> {
  await requireRepository(access)
  return runCommand(command, args, access)
}
