import { chmodSync, futimesSync, lstatSync, lutimesSync } from 'node:fs'
import { createRequire } from 'node:module'
import { PATH_BYTES, withShortPath } from './long-path.ts'
import { systemError } from './system-error.ts'
import { withoutTermination } from './termination-guard.ts'

/**
 * System calls that Node does not have, made through koffi, and times and modes, which Node cannot set as exactly. koffi is
 * loaded by the first call that needs it (10 ms), in each thread by itself. Where it cannot be loaded, and on other systems
 * than Linux, times keep microseconds instead of nanoseconds, nothing is read of attributes, flags and holes, and setting
 * them fails with `ENOTSUP`; `nativeProblem` says why.
 */

/**
 * The C library's functions, as the manual pages of section 2 have them: -1 means an error, which `errno()` tells if asked
 * at once. Buffers with a path or a name end in NUL. For the files of this folder only.
 */
export interface Libc {
  utimensat(directory: number, path: Buffer, times: BigInt64Array, flags: number): number
  futimens(fd: number, times: BigInt64Array): number
  fchmodat(directory: number, path: Buffer, mode: number, flags: number): number
  llistxattr(path: Buffer, list: Buffer, size: number): number
  flistxattr(fd: number, list: Buffer, size: number): number
  lgetxattr(path: Buffer, name: Buffer, value: Buffer, size: number): number
  fgetxattr(fd: number, name: Buffer, value: Buffer, size: number): number
  lsetxattr(path: Buffer, name: Buffer, value: Uint8Array, size: number, flags: number): number
  fsetxattr(fd: number, name: Buffer, value: Uint8Array, size: number, flags: number): number
  lremovexattr(path: Buffer, name: Buffer): number
  fremovexattr(fd: number, name: Buffer): number
  statx(directory: number, path: Buffer, flags: number, mask: number, result: Buffer): number
  ioctl(fd: number, request: number, argument: Int32Array): number
  lseek(fd: number, offset: number, whence: number): number
  syncfs(fd: number): number
  linkat(fromDirectory: number, from: Buffer, toDirectory: number, to: Buffer, flags: number): number
  mknodat(directory: number, path: Buffer, mode: number, device: number): number
  pipe2(fds: Int32Array, flags: number): number
  errno(): number
}

// linux/fcntl.h; the same on every architecture.
export const AT_FDCWD = -100
export const AT_SYMLINK_NOFOLLOW = 0x100

// With room for one character beyond what fits, which tells that it does not.
const pathBuffer = Buffer.alloc(PATH_BYTES + 4)
/** Two `struct timespec`: seconds and nanoseconds of the access time, then of the modification time. */
const timespecs = new BigInt64Array(4)

let libc: Libc | undefined
let problem: string | undefined

/** Whether system calls can be made natively here: then file times are exact to the nanosecond. */
export function nativeTimes(): boolean {
  return getLibc() !== undefined
}

/** Why system calls cannot be made natively, for one warning in the result of a run; `undefined` when they can. */
export function nativeProblem(): string | undefined {
  getLibc()
  return problem
}

/**
 * Sets access and modification time of what is at `path`; of a symlink, those of the link itself. Nanoseconds since 1970,
 * negative before; a file system that cannot keep a time stores the nearest one it can.
 */
export function setTimes(path: string, atimeNs: bigint, mtimeNs: bigint): void {
  const native = getLibc()
  withShortPath(path, (shortPath) => {
    if (!native) return lutimesSync(shortPath, toSeconds(atimeNs), toSeconds(mtimeNs))
    const pathBytes = toPathBytes(shortPath, 'utimensat', path)
    fillTimespecs(atimeNs, mtimeNs)
    checked(native, native.utimensat(AT_FDCWD, pathBytes, timespecs, AT_SYMLINK_NOFOLLOW), 'utimensat', path)
  })
}

/** Like `setTimes`, for a file that is open. */
export function setOpenFileTimes(fd: number, atimeNs: bigint, mtimeNs: bigint): void {
  const native = getLibc()
  if (!native) return futimesSync(fd, toSeconds(atimeNs), toSeconds(mtimeNs))
  fillTimespecs(atimeNs, mtimeNs)
  checked(native, native.futimens(fd, timespecs), 'futimens')
}

/**
 * chmod(2) that fails with `ENOTSUP` on a symlink: in a directory that others may write to, a name can become a symlink
 * to any file at any time, and chmod would follow it.
 */
export function setModeByPath(path: string, mode: number): void {
  const native = getLibc()
  withShortPath(path, (shortPath) => {
    if (!native) {
      if (lstatSync(shortPath).isSymbolicLink()) throw systemError('ENOTSUP', 'fchmodat', path)
      return chmodSync(shortPath, mode)
    }
    // The C library does it with O_PATH and /proc where the kernel is older than 6.6.
    const pathBytes = toPathBytes(shortPath, 'fchmodat', path)
    checked(native, native.fchmodat(AT_FDCWD, pathBytes, mode, AT_SYMLINK_NOFOLLOW), 'fchmodat', path)
  })
}

/** The C library; `undefined` where it cannot be called, for the reason that `nativeProblem` gives. */
export function getLibc(): Libc | undefined {
  if (libc || problem) return libc
  try {
    libc = withoutTermination(loadLibc)
  } catch (error) {
    problem = `Native system calls are not available: ${error instanceof Error ? error.message : String(error)}`
  }
  return libc
}

// asm/unistd.h
const SYS_MKNODAT: Readonly<Record<string, number>> = { x64: 259, arm64: 33, riscv64: 33, loong64: 33 }

function loadLibc(): Libc {
  const mknodat = SYS_MKNODAT[process.arch]
  // Struct layouts and constants hold for these; elsewhere nothing of it was tried.
  if (process.platform !== 'linux' || mknodat === undefined) {
    throw new Error(`${process.platform} on ${process.arch} is not supported`)
  }
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi').default
  const library = koffi.load(null) // the running program, which has the C library in it, be it glibc or musl
  // glibc before 2.33 has mknodat only as a macro.
  const syscall = library.func('long syscall(long, int, void *, uint, uint)')
  const lseek = library.func('int64_t lseek(int, int64_t, int)')
  return {
    utimensat: library.func('int utimensat(int, void *, void *, int)'),
    futimens: library.func('int futimens(int, void *)'),
    fchmodat: library.func('int fchmodat(int, void *, uint, int)'),
    llistxattr: library.func('int64_t llistxattr(void *, void *, size_t)'),
    flistxattr: library.func('int64_t flistxattr(int, void *, size_t)'),
    lgetxattr: library.func('int64_t lgetxattr(void *, void *, void *, size_t)'),
    fgetxattr: library.func('int64_t fgetxattr(int, void *, void *, size_t)'),
    lsetxattr: library.func('int lsetxattr(void *, void *, void *, size_t, int)'),
    fsetxattr: library.func('int fsetxattr(int, void *, void *, size_t, int)'),
    lremovexattr: library.func('int lremovexattr(void *, void *)'),
    fremovexattr: library.func('int fremovexattr(int, void *)'),
    statx: library.func('int statx(int, void *, int, uint, void *)'),
    ioctl: library.func('int ioctl(int, ulong, void *)'),
    lseek: (fd, offset, whence) => Number(lseek(fd, offset, whence)), // a bigint beyond 2^53
    syncfs: library.func('int syncfs(int)'),
    linkat: library.func('int linkat(int, void *, int, void *, int)'),
    mknodat: (directory, path, mode, device) => syscall(mknodat, directory, path, mode, device) as number,
    pipe2: library.func('int pipe2(void *, int)'),
    errno: () => koffi.errno(),
  }
}

/**
 * A path as `withShortPath` gives it, with its closing NUL, in a buffer that the next call reuses. Fails with `EINVAL` on a NUL
 * inside, for a shorter path would be another file.
 *
 * @param path the real path, which an error names
 */
export function toPathBytes(shortPath: string | Buffer, syscall: string, path: string): Buffer {
  if (shortPath.includes('\0')) throw systemError('EINVAL', syscall, path)
  const length = typeof shortPath === 'string' ? pathBuffer.write(shortPath) : shortPath.copy(pathBuffer)
  if (length >= PATH_BYTES) throw systemError('ENAMETOOLONG', syscall, path)
  pathBuffer[length] = 0
  return pathBuffer
}

/** Throws the error of the call made last, when `result` says that it failed; otherwise returns `result`. */
export function checked(native: Libc, result: number, syscall: string, path?: string): number {
  if (result < 0) throw systemError(native.errno(), syscall, path)
  return result
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
