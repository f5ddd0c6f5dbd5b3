import { errnoOf } from '../base/errors.ts'
import { findFile, listDirectory, removeDirectory, removeFile, statFile } from '../platform/files.ts'
import type { OpenFolders } from '../platform/open-folder.ts'

/**
 * Removes what a killed restore has left under a temporary name: a file, or a private folder (`Folders.stage`) with what was being
 * made in it. Best effort, and no more than that: somebody may have given such a name to a folder of this user, to have it
 * removed. So a folder goes only if it is this user's own and holds nothing that would be lost: symlinks, FIFOs, devices, and
 * files that have another name.
 *
 * @returns whether it is gone
 */
export function removeLeftover(folders: OpenFolders, place: string, name: string, uid: number): boolean {
  try {
    const at = `${folders.enter(place)}/${name}`
    if (findFile(at)?.type !== 'dir') {
      removeFile(at)
      return true
    }
    const inside = place === '' ? name : `${place}/${name}`
    const here = folders.enter(inside)
    const { uid: owner, mode } = statFile(`${here}/.`)
    if (owner === uid && (mode & 0o77) === 0) {
      for (const entry of listDirectory(`${here}/.`)) {
        const { type, linkCount } = statFile(`${here}/${entry}`)
        if (type !== 'dir' && (type !== 'file' || linkCount > 1)) removeFile(`${here}/${entry}`)
      }
    }
    folders.forget(inside)
    removeDirectory(`${folders.enter(place)}/${name}`)
    return true
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return false
  }
}
