import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
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
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 })
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
  withFile(path.dirname(file), 'r', fsyncSync)
}

/** Removes a small file; one that is not there is no error. */
export function removeFile(file: string): void {
  rmSync(file, { force: true })
}

/**
 * Removes a small file durably, unless it holds another text by now; one that is not there is no error. `aside` is a free name in the
 * same folder, under which it is for a moment: so nobody can change it between the look and the removal.
 */
export function removeFileHolding(file: string, text: string, aside: string): void {
  try {
    renameSync(file, aside)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw error
  }
  if (readTextFile(aside) === text) rmSync(aside, { force: true })
  else moveUnlessTaken(aside, file)
  withFile(path.dirname(file), 'r', fsyncSync)
}

/** Moves a file durably within its folder; `false` when something has that name already, or there is no file. */
export function moveUnlessTaken(from: string, to: string): boolean {
  try {
    linkSync(from, to)
  } catch (error) {
    if (errnoOf(error) === 'EEXIST' || errnoOf(error) === 'ENOENT') return false
    throw error
  }
  withFile(path.dirname(to), 'r', fsyncSync)
  rmSync(from)
  return true
}

/** Names of what is in a folder; none when there is no folder. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}

function withFile(file: string, flags: string, use: (fd: number) => void): void {
  const fd = openSync(file, flags, 0o600)
  try {
    use(fd)
  } finally {
    closeSync(fd)
  }
}
