import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import path from 'node:path'
import { errnoOf } from '../base/errors.ts'

/** Text of a small file; `undefined` when there is none. */
export function readTextFile(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Writes a new small file that only its owner can read, durably and all or nothing: after a power loss it is there whole or
 * not at all. Folders above it are made, readable by the owner alone. An existing file fails with `EEXIST`.
 */
export function writePrivateFile(file: string, text: string): void {
  const folder = path.dirname(file)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const temporary = `${file}.${process.pid}.tmp`
  try {
    withFile(temporary, 'wx', (fd) => {
      writeSync(fd, text)
      fsyncSync(fd)
    })
    linkSync(temporary, file) // refuses to replace, which rename would not
  } finally {
    rmSync(temporary, { force: true })
  }
  withFile(folder, 'r', fsyncSync)
}

function withFile(file: string, flags: string, use: (fd: number) => void): void {
  const fd = openSync(file, flags, 0o600)
  try {
    use(fd)
  } finally {
    closeSync(fd)
  }
}
