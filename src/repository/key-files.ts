import path from 'node:path'
import { CairnError, errnoOf } from '../base/errors.ts'
import { describeSystemError } from '../platform/files.ts'
import { readTextFile, writePrivateFile } from '../platform/private-file.ts'
import type { KeyFiles } from './unlock.ts'

/** Key files in a folder of the user, named after their repositories. */
export class FolderKeyFiles implements KeyFiles {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  pathOf(repositoryId: string): string {
    return path.join(this.#folder, `${repositoryId}.key`)
  }

  async load(repositoryId: string): Promise<string | undefined> {
    const file = this.pathOf(repositoryId)
    try {
      return readTextFile(file)
    } catch (error) {
      throw new CairnError('WRONG_PASSWORD', `Cannot read the key file ${file}: ${describeSystemError(error)}`, {
        cause: error,
      })
    }
  }

  async save(repositoryId: string, slot: string): Promise<string> {
    const file = this.pathOf(repositoryId)
    try {
      writePrivateFile(file, slot)
    } catch (error) {
      const code = errnoOf(error) === 'ENOSPC' ? 'STORAGE_FULL' : 'STORAGE_DENIED'
      throw new CairnError(
        code,
        `Cannot write the key file ${file}: ${describeSystemError(error)}; set CAIRN_KEYS_DIR to another folder`,
        { cause: error },
      )
    }
    return file
  }
}
