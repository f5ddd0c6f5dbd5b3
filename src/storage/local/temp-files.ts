import { randomBytes } from 'node:crypto'
import { lstat, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { isAlive } from '../../platform/process-scope.ts'

const DAY_MS = 24 * 60 * 60 * 1000

/** A fresh name for a temporary file, `<owner>-<pid>-<random>`, that tells a later run whether its writer still lives. */
export function tempFileName(owner: string): string {
  return `${owner}-${process.pid}-${randomBytes(8).toString('hex')}`
}

/**
 * Removes what killed runs left in `folder`: files of processes that are gone from this host, and files older than a day.
 * Never touches a name that is not ours: `folder` is looked at before anybody knows whether this is a repository.
 * Best effort and never an error: leftovers cost space, nothing else. A writer that slept for a day loses its file and
 * its put fails; it does not lose data.
 */
export async function sweepTempFiles(folder: string, owner: string, nowMs: number): Promise<void> {
  const names = await readdir(folder).catch(() => [])
  for (const name of names) {
    const [, nameOwner, pid] = /^([0-9a-f]{8})-([1-9]\d{0,9})-[0-9a-f]{16}$/.exec(name) ?? []
    if (nameOwner === undefined) continue
    const path = join(folder, name)
    if (nameOwner === owner && !isAlive(Number(pid))) {
      await unlink(path).catch(() => {})
      continue
    }
    const stats = await lstat(path).catch(() => undefined)
    if (stats && nowMs - stats.mtimeMs > DAY_MS) await unlink(path).catch(() => {})
  }
}
