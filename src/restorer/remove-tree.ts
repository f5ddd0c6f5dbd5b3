import type { FileType } from '../platform/file-type.ts'
import { findFile, listDirectory, removeDirectory, removeFile, setMode } from '../platform/files.ts'
import type { OpenFolders } from '../platform/open-folder.ts'
import { systemError } from '../platform/system-error.ts'

export interface RemoveOptions {
  /** Only tells what would be removed. */
  readonly dryRun: boolean
  /** Whether a path may go; asked for everything below as well. */
  mayRemove(path: string): boolean
  removed(path: string, type: FileType): void
  failed(path: string, error: unknown): void
}

/**
 * Removes an entry of a directory of the target, and what lies below it: bottom-up, by descriptors, so that no symlink is
 * followed, whenever it is put there, and never across a mount point. What cannot or must not go stays, with the
 * directories above it.
 *
 * @param place of the directory, below the target; `path` is that of the entry in the snapshot's terms
 * @returns whether nothing of it is left
 */
export function removeTree(
  folders: OpenFolders,
  place: string,
  name: string,
  path: string,
  options: RemoveOptions,
): boolean {
  if (!options.mayRemove(path)) return false
  try {
    const here = folders.enter(place)
    const stat = findFile(`${here}/${name}`)
    if (!stat) return true
    if (stat.type === 'dir') {
      const below = place === '' ? name : `${place}/${name}`
      if (!emptyFolder(folders, place, below, path, options)) return false
      folders.forget(below)
      if (!options.dryRun) removeDirectory(`${folders.enter(place)}/${name}`)
    } else if (!options.dryRun) removeFile(`${here}/${name}`)
    options.removed(path, stat.type)
    return true
  } catch (error) {
    options.failed(path, error)
    return false
  }
}

function emptyFolder(
  folders: OpenFolders,
  parent: string,
  place: string,
  path: string,
  options: RemoveOptions,
): boolean {
  const above = folders.enter(parent)
  const mount = folders.mount()
  if (!options.dryRun) makeAccessible(`${above}/${place.slice(place.lastIndexOf('/') + 1)}`)
  const here = folders.enter(place)
  if (folders.mount() !== mount) throw systemError('EBUSY', 'rmdir', path)
  let isEmpty = true
  for (const name of listDirectory(`${here}/.`))
    if (!removeTree(folders, place, name, `${path}/${name}`, options)) isEmpty = false
  return isEmpty
}

/** Lets the owner of a directory, who is not root, into it. Tells the mode it had, if that was changed. */
export function makeAccessible(path: string): number | undefined {
  const euid = process.geteuid?.()
  if (euid === undefined || euid === 0) return undefined
  const stat = findFile(path)
  if (!stat || stat.uid !== euid || (stat.mode & 0o700) === 0o700) return undefined
  setMode(path, stat.mode | 0o700)
  return stat.mode
}
