import { createHash, randomBytes } from 'node:crypto'
import { lstat, readdir, readFile, readlink, unlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { errnoOf } from '../../base/errors.ts'

const DAY_MS = 24 * 60 * 60 * 1000

let owner: Promise<string> | undefined

/**
 * Names the place where our process ids mean something: this boot of this host, and this pid namespace, since containers
 * that share a repository often share a host name. 8 hex digits.
 */
export function tempFileOwner(): Promise<string> {
  owner ??= (async () => {
    const linux = await Promise.all([
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      readlink('/proc/self/ns/pid'),
    ]).catch(() => [])
    return createHash('sha256')
      .update([hostname(), ...linux].join('\n'))
      .digest('hex')
      .slice(0, 8)
  })()
  return owner
}

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

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errnoOf(error) !== 'ESRCH'
  }
}
