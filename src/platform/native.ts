import { chmodSync, futimesSync, lstatSync, lutimesSync } from 'node:fs'
import { createRequire } from 'node:module'
import { getSystemErrorMessage, getSystemErrorName } from 'node:util'
import { toRawName, toSystemPath } from '../base/raw-name.ts'

/**
 * System calls that Node does not have, made through koffi. koffi is loaded by the first call that needs it (10 ms), in each
 * thread by itself. Where it cannot be loaded, times keep microseconds instead of nanoseconds; `nativeProblem` says so.
 */

interface Libc {
  utimensat(directory: number, path: Buffer, times: BigInt64Array, flags: number): number
  futimens(fd: number, times: BigInt64Array): number
  fchmodat(directory: number, path: Buffer, mode: number, flags: number): number
  errno(): number
}

// linux/fcntl.h; the same on every architecture.
const AT_FDCWD = -100
const AT_SYMLINK_NOFOLLOW = 0x100
/** PATH_MAX of Linux with its closing NUL: the kernel refuses anything longer. */
const PATH_BYTES = 4096

const pathBuffer = Buffer.alloc(PATH_BYTES)
/** Two `struct timespec`: seconds and nanoseconds of the access time, then of the modification time. */
const timespecs = new BigInt64Array(4)

let libc: Libc | undefined
let problem: string | undefined

/** Whether system calls can be made natively here: then file times are exact to the nanosecond. */
export function nativeTimes(): boolean {
  return findLibc() !== undefined
}

/** Why system calls cannot be made natively, for one warning in the result of a run; `undefined` when they can. */
export function nativeProblem(): string | undefined {
  findLibc()
  return problem
}

/**
 * Sets access and modification time of what is at `path`; of a symlink, those of the link itself. Nanoseconds since 1970,
 * negative before; a file system that cannot keep a time stores the nearest one it can.
 */
export function setTimes(path: string, atimeNs: bigint, mtimeNs: bigint): void {
  const native = findLibc()
  if (!native) return lutimesSync(toSystemPath(path), toSeconds(atimeNs), toSeconds(mtimeNs))
  const pathBytes = toPathBytes(path, 'utimensat')
  fillTimespecs(atimeNs, mtimeNs)
  if (native.utimensat(AT_FDCWD, pathBytes, timespecs, AT_SYMLINK_NOFOLLOW) !== 0) {
    throw systemError(native.errno(), 'utimensat', path)
  }
}

/** Like `setTimes`, for a file that is open. */
export function setOpenFileTimes(fd: number, atimeNs: bigint, mtimeNs: bigint): void {
  const native = findLibc()
  if (!native) return futimesSync(fd, toSeconds(atimeNs), toSeconds(mtimeNs))
  fillTimespecs(atimeNs, mtimeNs)
  if (native.futimens(fd, timespecs) !== 0) throw systemError(native.errno(), 'futimens')
}

/**
 * chmod(2) that fails with `ENOTSUP` on a symlink: in a directory that others may write to, a name can become a symlink
 * to any file at any time, and chmod would follow it.
 */
export function setModeByPath(path: string, mode: number): void {
  const native = findLibc()
  if (native) {
    // The C library does it with O_PATH and /proc where the kernel is older than 6.6.
    const result = native.fchmodat(AT_FDCWD, toPathBytes(path, 'fchmodat'), mode, AT_SYMLINK_NOFOLLOW)
    if (result !== 0) throw systemError(native.errno(), 'fchmodat', path)
    return
  }
  const systemPath = toSystemPath(path)
  if (lstatSync(systemPath).isSymbolicLink()) throw systemError(95, 'fchmodat', path)
  chmodSync(systemPath, mode)
}

function findLibc(): Libc | undefined {
  if (libc || problem) return libc
  try {
    libc = loadLibc()
  } catch (error) {
    problem = `Native system calls are not available: ${error instanceof Error ? error.message : String(error)}`
  }
  return libc
}

function loadLibc(): Libc {
  // The layout of struct timespec and the constants above hold for these; elsewhere nothing of it was tried.
  if (process.platform !== 'linux' || !['x64', 'arm64', 'riscv64', 'loong64'].includes(process.arch)) {
    throw new Error(`${process.platform} on ${process.arch} is not supported`)
  }
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi').default
  const library = koffi.load(null) // the running program, which has the C library in it, be it glibc or musl
  return {
    utimensat: library.func('int utimensat(int, void *, void *, int)'),
    futimens: library.func('int futimens(int, void *)'),
    fchmodat: library.func('int fchmodat(int, void *, uint, int)'),
    errno: () => koffi.errno(),
  }
}

/** The path with its closing NUL, in a buffer that the next call reuses. */
function toPathBytes(path: string, syscall: string): Buffer {
  if (path.includes('\0')) throw systemError(22, syscall, path) // a shorter path would be another file
  const bytes = path.isWellFormed() ? undefined : toRawName(path)
  if ((bytes?.length ?? Buffer.byteLength(path)) >= PATH_BYTES) throw systemError(36, syscall, path)
  const length = bytes ? bytes.copy(pathBuffer) : pathBuffer.write(path)
  pathBuffer[length] = 0
  return pathBuffer
}

function fillTimespecs(atimeNs: bigint, mtimeNs: bigint): void {
  fillTimespec(0, atimeNs)
  fillTimespec(2, mtimeNs)
}

function fillTimespec(index: number, ns: bigint): void {
  const rest = ns % 1_000_000_000n
  // The nanoseconds of a timespec count forward from its second, also before 1970.
  const nanoseconds = rest < 0n ? rest + 1_000_000_000n : rest
  timespecs[index] = (ns - nanoseconds) / 1_000_000_000n
  timespecs[index + 1] = nanoseconds
}

/** Seconds as Node's own calls take them: a double, good to about a microsecond; as text, for a negative number means now. */
function toSeconds(ns: bigint): string {
  return String(Number(ns / 1000n) / 1e6)
}

/** An error as Node makes it for its own system calls. */
function systemError(errno: number, syscall: string, path?: string): Error {
  const code = getSystemErrorName(-errno)
  const message = `${code}: ${getSystemErrorMessage(-errno)}, ${syscall}${path === undefined ? '' : ` '${path}'`}`
  return Object.assign(new Error(message), { errno: -errno, code, syscall, ...(path !== undefined && { path }) })
}
