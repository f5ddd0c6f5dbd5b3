import { readFileSync } from 'node:fs'
import { toSystemPath } from '../base/raw-name.ts'

/** All bytes of a small file that the user named, be it a symlink or a pipe of the shell. Throws the system error. */
export function readInputFile(path: string): Buffer {
  return readFileSync(toSystemPath(path))
}
