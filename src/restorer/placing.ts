import { errnoOf } from '../base/errors.ts'
import { findFile, makeHardLink, removeFile, renameFile } from '../platform/files.ts'
import { systemError } from '../platform/system-error.ts'
import type { Placement } from './protocol.ts'

/**
 * Gives what is complete at `temp` its own name: at any moment there is the old entry or the new one, and never a part. A directory is
 * never replaced (`EISDIR`), a symlink never followed; `exclusive` replaces nothing at all (`EEXIST`).
 *
 * A temporary name and `rename` cost 4 µs a file; a file without a name (O_TMPFILE) and its `linkat` as much, and they leave
 * nothing to clean up, but cannot replace.
 */
export function place(temp: string, path: string, placement: Placement): void {
  if (placement === 'replace') return renameFile(temp, path)
  try {
    makeHardLink(temp, path)
  } catch (error) {
    if (!NO_HARD_LINKS.has(errnoOf(error) ?? '')) throw error
    // The best that file systems without hard links (FAT) can do.
    if (findFile(path)) throw systemError('EEXIST', 'rename', path)
    return renameFile(temp, path)
  }
  removeFile(temp)
}

const NO_HARD_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'])

/** Removes a temporary file that is of no use any more; that it cannot be removed is not worth an error of its own. */
export function discard(path: string): void {
  try {
    removeFile(path)
  } catch {
    // whatever made it useless has been reported
  }
}
