import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { CairnError } from '../base/errors.ts'
import { describeSystemError } from './files.ts'

/**
 * Writes files by their names into a folder, which is made when it is missing. Those that are there are replaced.
 *
 * @throws {CairnError} `TARGET_FAILED`
 */
export function writeTextFiles(folder: string, files: ReadonlyMap<string, string>): void {
  try {
    mkdirSync(folder, { recursive: true })
    for (const [name, text] of files) writeFileSync(path.join(folder, name), text)
  } catch (error) {
    throw new CairnError('TARGET_FAILED', `Cannot write to ${folder}: ${describeSystemError(error)}`, { cause: error })
  }
}
