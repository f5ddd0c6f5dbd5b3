import { closeSync, constants, existsSync, openSync } from 'node:fs'
import { toRawName, toSystemPath } from '../base/raw-name.ts'
import { isSystemError, systemError } from './system-error.ts'

/** PATH_MAX of Linux: the kernel refuses paths of this many bytes and more, though trees may be as deep as they like. */
export const PATH_BYTES = 4096
/** A UTF-16 unit takes at most three bytes: a shorter path fits for sure. */
const SURELY_SHORT = Math.floor((PATH_BYTES - 1) / 3)
/** How far one step goes; leaves room for `/proc/self/fd/<number>/` in front. */
const STEP_BYTES = 4000
/** linux/fcntl.h; Node does not export it. The number is the same on every architecture that Node runs on. */
export const O_PATH = 0o10000000
const SLASH = 0x2f

let procMounted: boolean | undefined

/**
 * Runs a system call on a path of any length. `action` gets what `node:fs` wants for the path; when the path is too long for the
 * kernel, one that goes through `/proc/self/fd`, valid only during the call, and errors name the real path all the same.
 *
 * Directories opened on the way (one in 4000 bytes) must not be symlinks; other parts of the path may be, as in any path.
 * Where there is no `/proc`, and on other systems than Linux, the kernel's ENAMETOOLONG remains.
 *
 * Hot path: costs 15 ns for a path that is short.
 */
export function withShortPath<T>(path: string, action: (shortPath: string | Buffer) => T): T {
  const systemPath = toSystemPath(path)
  if (path.length <= SURELY_SHORT || Buffer.byteLength(systemPath) < PATH_BYTES || !hasProc()) return action(systemPath)
  return withLongPath(path, action)
}

function withLongPath<T>(path: string, action: (shortPath: Buffer) => T): T {
  let rest = toRawName(path)
  let base = ''
  let fd: number | undefined
  try {
    while (base.length + rest.length >= PATH_BYTES) {
      const end = rest.lastIndexOf(SLASH, STEP_BYTES)
      // A name this long fits nowhere; let the kernel say so.
      if (end <= 0) throw systemError('ENAMETOOLONG', 'open', path)
      const next = openSync(joined(base, rest.subarray(0, end)), O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW)
      if (fd !== undefined) closeSync(fd)
      fd = next
      base = `/proc/self/fd/${fd}/`
      rest = rest.subarray(end + 1)
    }
    return action(joined(base, rest))
  } catch (error) {
    throw withRealPath(error, base, path)
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

function joined(base: string, rest: Buffer): Buffer {
  return Buffer.concat([Buffer.from(base), rest])
}

function withRealPath(error: unknown, base: string, path: string): unknown {
  if (!isSystemError(error)) return error
  const real = (named: string | undefined): string | undefined => (named?.startsWith(base) ? path : named)
  return systemError(-error.errno, error.syscall, real(error.path), real(error.dest))
}

function hasProc(): boolean {
  return (procMounted ??= process.platform === 'linux' && existsSync('/proc/self/fd'))
}
