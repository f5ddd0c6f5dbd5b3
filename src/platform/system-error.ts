import { constants } from 'node:os'
import { getSystemErrorMessage, getSystemErrorName } from 'node:util'

/** An error as Node makes it for its own system calls: `errno` negative, `code`, `syscall`, and `path` and `dest` where there are any. */
export interface SystemError extends Error {
  readonly errno: number
  readonly code: string
  readonly syscall: string
  readonly path?: string
  readonly dest?: string
}

/**
 * Makes the error of a system call that was not made by Node.
 *
 * @param error its name, or its positive number as in errno.h
 * @param path and `dest` are raw-name text
 */
export function systemError(
  error: keyof typeof constants.errno | number,
  syscall: string,
  path?: string,
  dest?: string,
): SystemError {
  const errno = typeof error === 'number' ? error : constants.errno[error]
  const code = getSystemErrorName(-errno)
  const paths = `${path === undefined ? '' : ` '${path}'`}${dest === undefined ? '' : ` -> '${dest}'`}`
  return Object.assign(new Error(`${code}: ${getSystemErrorMessage(-errno)}, ${syscall}${paths}`), {
    errno: -errno,
    code,
    syscall,
    ...(path !== undefined && { path }),
    ...(dest !== undefined && { dest }),
  })
}

export function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && 'errno' in error && 'code' in error && 'syscall' in error
}
