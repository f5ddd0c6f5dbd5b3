import { readFileSync, statSync } from 'node:fs'
import { toSystemPath } from '../base/raw-name.ts'

/** All bytes of a small file that the user named, be it a symlink or a pipe of the shell. Throws the system error. */
export function readInputFile(path: string): Buffer {
  return readFileSync(toSystemPath(path))
}

/** When a file that the user named was last modified, in ms since 1970; `undefined` when it cannot be found. */
export function inputFileTimeMs(path: string): number | undefined {
  try {
    return Math.floor(statSync(toSystemPath(path)).mtimeMs)
  } catch {
    return undefined
  }
}
