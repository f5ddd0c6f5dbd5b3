import { closeSync, constants, openSync, statSync } from 'node:fs'
import { withShortPath } from './long-path.ts'

/**
 * Directories held open while what is in them is looked at: names in an open directory cannot be led elsewhere by somebody who
 * swaps a directory above for a symlink, and a path to it has no length limit. Linux only; elsewhere paths have to do.
 */

/** Opens a directory, and nothing else, for reading; the caller closes it. */
export function openDirectory(path: string): number {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
  return withShortPath(path, (shortPath) => openSync(shortPath, flags))
}

/**
 * Opens the directory at `path`, which is `root` or lies below it, step by step: only on the way to `root` symlinks are followed.
 * The caller closes it.
 */
export function openDirectoryBelow(root: string, path: string): number {
  let fd = openDirectory(root)
  let at = root
  for (const name of path.slice(root.length).split('/')) {
    if (name === '') continue
    at = `${at}/${name}`
    const above = fd
    try {
      fd = openDirectory(pathIn(above, name, at))
    } finally {
      closeSync(above)
    }
  }
  return fd
}

/** A path to what a descriptor is open on, valid as long as it is; `path` where the system has no such thing. */
export function handlePath(fd: number, path: string): string {
  hasHandles ??= statSync(`/proc/self/fd/${fd}`, { throwIfNoEntry: false }) !== undefined
  return hasHandles ? `/proc/self/fd/${fd}` : path
}

/** A path to `name` in the directory that a descriptor is open on; `path`, where it usually is, if the system has no such thing. */
export function pathIn(fd: number, name: string, path: string): string {
  const handle = handlePath(fd, '')
  return handle === '' ? path : `${handle}/${name}`
}

let hasHandles: boolean | undefined
