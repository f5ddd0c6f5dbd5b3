import path from 'node:path'
import { CairnError, errnoOf } from '../base/errors.ts'
import { describeSystemError } from '../platform/files.ts'
import { toHex } from '../base/ids.ts'
import { randomBytes } from '../codec/random.ts'
import {
  moveUnlessTaken,
  namesIn,
  readTextFile,
  removeFileHolding,
  writePrivateFile,
} from '../platform/private-file.ts'
import type { KeyFile, KeyFiles } from './slot-store.ts'

/** Hex digits of a repository's id. */
const ID_LENGTH = 32

/** Key files in a folder of the user: `<repository id>.key`, and further ones like `<repository id>-3f09c2.key`. */
export class FolderKeyFiles implements KeyFiles {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  pathOf(repositoryId: string): string {
    return path.join(this.#folder, `${repositoryId}.key`)
  }

  async list(repositoryId: string): Promise<KeyFile[]> {
    const isOwn = new RegExp(`^${repositoryId}(?:-[0-9a-f]+)?\\.key$`)
    let file = this.#folder
    try {
      const files: KeyFile[] = []
      for (const name of namesIn(this.#folder).sort()) {
        if (!isOwn.test(name)) continue
        file = path.join(this.#folder, name)
        const text = readTextFile(file)
        if (text !== undefined) files.push({ path: file, text })
      }
      return files
    } catch (error) {
      throw new CairnError('WRONG_PASSWORD', `Cannot read the key file ${file}: ${describeSystemError(error)}`, {
        cause: error,
      })
    }
  }

  async save(repositoryId: string, slot: string): Promise<string> {
    for (const file of [this.pathOf(repositoryId), this.#furtherPath(repositoryId)]) {
      try {
        writePrivateFile(file, slot)
        return file
      } catch (error) {
        if (errnoOf(error) !== 'EEXIST' || file !== this.pathOf(repositoryId)) throw cannotWrite(file, error)
      }
    }
    throw new Error('the second try returns or throws')
  }

  async remove({ path: file, text }: KeyFile): Promise<void> {
    try {
      // Whatever happens meanwhile, what is aside has a name under which it is found.
      removeFileHolding(file, text, this.#furtherPath(path.basename(file).slice(0, ID_LENGTH)))
    } catch (error) {
      const found = describeSystemError(error)
      throw new CairnError('STORAGE_DENIED', `Cannot remove the key file ${file}: ${found}`, { cause: error })
    }
  }

  async moveToFront(repositoryId: string, file: string): Promise<string> {
    const front = this.pathOf(repositoryId)
    try {
      return file !== front && moveUnlessTaken(file, front) ? front : file
    } catch (error) {
      throw cannotWrite(front, error)
    }
  }

  /** A name that was never used before, so that whoever removes a file removes the one that he saw. */
  #furtherPath(repositoryId: string): string {
    return path.join(this.#folder, `${repositoryId}-${toHex(randomBytes(8))}.key`)
  }
}

function cannotWrite(file: string, error: unknown): CairnError {
  const code = errnoOf(error) === 'ENOSPC' ? 'STORAGE_FULL' : 'STORAGE_DENIED'
  return new CairnError(
    code,
    `Cannot write the key file ${file}: ${describeSystemError(error)}; set CAIRN_KEYS_DIR to another folder`,
    { cause: error },
  )
}
