import { constants as osConstants } from 'node:os'
import { getSystemErrorMessage } from 'node:util'
import { CairnError, errnoOf } from '../../base/errors.ts'

/**
 * The one place where errors of the file system become ours. `action` completes "Cannot …"; `path` is what it was done to.
 * A missing file is `STORAGE_UNAVAILABLE` here: whoever knows that it may be missing looks at the errno first.
 */
export function toStorageError(error: unknown, action: string, path: string): CairnError {
  if (error instanceof CairnError) return error
  const errno = nameOf(error)
  if (errno === undefined) return new CairnError('INTERNAL', `Cannot ${action}: ${String(error)}`, { cause: error })
  const options = { cause: error, details: { errno, path } }
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT': {
      const found = errno === 'ENOSPC' ? 'the disk has no space left' : 'the disk quota is used up'
      const next =
        'free some space or move the repository to a larger disk, then run again; nothing saved before is lost'
      return new CairnError('STORAGE_FULL', `Cannot ${action}: ${found} for ${path}; ${next}`, options)
    }
    case 'EFBIG':
      return new CairnError(
        'STORAGE_FULL',
        `Cannot ${action}: ${path} would be larger than its file system or 'ulimit -f' allows; ` +
          'lift the limit, then run again; nothing saved before is lost',
        options,
      )
    case 'EROFS':
      return new CairnError(
        'STORAGE_DENIED',
        `Cannot ${action}: ${path} is on a file system that is mounted read-only; mount it writable, then run again`,
        options,
      )
    case 'EACCES':
    case 'EPERM':
      return new CairnError(
        'STORAGE_DENIED',
        `Cannot ${action}: permission denied for ${path}; run as the owner of the repository, or give this user access to it`,
        options,
      )
    case 'ELOOP':
      return symlinkError(action, path, error)
    case 'ENOENT':
      return new CairnError(
        'STORAGE_UNAVAILABLE',
        `Cannot ${action}: ${path} or its folder has gone; see that the disk is mounted, then run again`,
        options,
      )
    default:
      return new CairnError(
        'STORAGE_UNAVAILABLE',
        `Cannot ${action}: ${path}: ${reasonOf(error, errno)}; see that the disk is well, then run again`,
        options,
      )
  }
}

/** The error for a symbolic link inside a repository: following it could read, overwrite or hide what is elsewhere. */
export function symlinkError(action: string, path: string, cause?: unknown): CairnError {
  return new CairnError(
    'STORAGE_DENIED',
    `Cannot ${action}: ${path} is a symbolic link, want the real file or folder; put what it points to in its place`,
    { cause, details: { path } },
  )
}

// libuv has no name for some errors, EDQUOT and ESTALE among them: Node calls them "Unknown system error -122".
function nameOf(error: unknown): string | undefined {
  const known = errnoOf(error)
  const number = numberOf(error)
  if (known !== undefined || number === undefined) return known
  return Object.entries(osConstants.errno).find(([, value]) => value === -number)?.[0] ?? `errno ${-number}`
}

function numberOf(error: unknown): number | undefined {
  return error instanceof Error && 'errno' in error && typeof error.errno === 'number' ? error.errno : undefined
}

function reasonOf(error: unknown, errno: string): string {
  const number = numberOf(error)
  return number === undefined || errnoOf(error) === undefined ? errno : `${getSystemErrorMessage(number)} (${errno})`
}
