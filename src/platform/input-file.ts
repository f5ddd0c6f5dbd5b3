import { createReadStream, readFileSync, statSync } from 'node:fs'
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

/** All of standard input, whatever it is: `/dev/stdin` cannot be opened when it is a socket. Throws the system error. */
export async function readStandardInput(): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync<Buffer>(createReadStream('', { fd: 0, autoClose: false })))
}
