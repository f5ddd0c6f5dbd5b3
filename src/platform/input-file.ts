import { createReadStream, readFileSync } from 'node:fs'
import { toSystemPath } from '../base/raw-name.ts'

/** All bytes of a small file that the user named, be it a symlink or a pipe of the shell. Throws the system error. */
export function readInputFile(path: string): Buffer {
  return readFileSync(toSystemPath(path))
}

/** All of standard input, whatever it is: `/dev/stdin` cannot be opened when it is a socket. Throws the system error. */
export async function readStandardInput(): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync<Buffer>(createReadStream('', { fd: 0, autoClose: false })))
}
