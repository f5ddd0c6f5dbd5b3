import { mkdirSync } from 'node:fs'
import { CairnError } from '../base/errors.ts'
import { describeSystemError } from './files.ts'

/**
 * Makes a folder of the user's own data, and those above it, readable by the user alone where they are new, as the XDG Base
 * Directory Specification wants. An existing folder stays as it is.
 *
 * @throws {CairnError} `STORAGE_DENIED`
 */
export function makePrivateFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw new CairnError('STORAGE_DENIED', `Cannot make the folder ${folder}: ${describeSystemError(error)}`, {
      cause: error,
    })
  }
}
