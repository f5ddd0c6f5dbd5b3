import path from 'node:path'
import { CairnError } from '../base/errors.ts'
import { Sha256 } from '../codec/sha256.ts'
import { readTextFile, removeFile, writePrivateFile } from '../platform/private-file.ts'
import type { RepositoryConfig } from '../repository/repository.ts'
import { parseRemoteLocation } from '../storage/remote-location.ts'

/**
 * Remembers which locations have encrypted repositories, as Borg does: whoever may write to a store could put a repository without
 * encryption in the place of one, and would then be given in plain what is saved. (One with another key does not open.) Where
 * nothing can be remembered, nothing is noticed, and all else works.
 */
export class KnownRepositories {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Looks at a repository that was opened. @throws {CairnError} `REPOSITORY_REPLACED` */
  check(location: string, { id, encryption }: Pick<RepositoryConfig, 'id' | 'encryption'>): void {
    const file = this.#fileOf(location)
    const isKnown = ifPossible(() => readTextFile(file)) !== undefined
    if (encryption === 'none' && isKnown)
      throw new CairnError(
        'REPOSITORY_REPLACED',
        `Cannot open ${location}: what is there now is not encrypted, and the repository that was there before was; whoever put it there could read all that is saved; if that was you, remove ${file} and run it again`,
      )
    if (encryption !== 'none' && !isKnown)
      ifPossible(() => writePrivateFile(file, `${JSON.stringify({ location, id, encryption })}\n`))
  }

  /** A repository was made here by somebody who has a say in it. */
  forget(location: string): void {
    ifPossible(() => removeFile(this.#fileOf(location)))
  }

  #fileOf(location: string): string {
    const place = parseRemoteLocation(location) ? location : path.resolve(location)
    const hash = new Sha256()
    hash.update(Buffer.from(place))
    return path.join(this.#folder, hash.hex().slice(0, 32))
  }
}

function ifPossible<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}
