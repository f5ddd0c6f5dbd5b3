/**
 * platform: the operating system. Files, owners, signals, worker threads; nothing here knows what a backup is.
 *
 * The functions of this file are thin, synchronous and throw the system error as Node made it: the caller knows what it was
 * doing and translates once. A path is text as in `base/raw-name.ts`, so names that are not UTF-8 work everywhere, and of any
 * length (`long-path.ts`). Nothing follows a symlink in the last part of a path.
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { type FileType, fileTypeOf } from './file-type.ts'
import { getSystemErrorMessage } from 'node:util'
import { errnoOf } from '../base/errors.ts'
import { fromRawName, sortRawNames, toSystemPath } from '../base/raw-name.ts'
import { withShortPath } from './long-path.ts'
import { setModeByPath } from './native.ts'

/** What the system knows about a file, as a plain record. */
export interface FileStat {
  readonly type: FileType
  /** Permission bits with setuid, setgid and sticky: 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly sizeBytes: number
  /** Nanoseconds since 1970; negative before, and beyond 64 bits from the year 2262 on. */
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  readonly inode: bigint
  readonly device: bigint
  readonly linkCount: number
  /** Of a device: major and minor number as the kernel packs them; 0 otherwise. */
  readonly rdev: bigint
  /** Allocated blocks of 512 bytes; fewer than the size needs means holes or compression. */
  readonly blocks: number
}

const BIGINT = { bigint: true } as const
const BIGINT_IF_PRESENT = { bigint: true, throwIfNoEntry: false } as const

/** What is at `path`; of a symlink, the link itself. Hot path: once for every file of every backup. */
export function statFile(path: string): FileStat {
  return toFileStat(withShortPath(path, (shortPath) => lstatSync(shortPath, BIGINT)))
}

/** Like `statFile`, but `undefined` instead of `ENOENT` when nothing is there. */
export function findFile(path: string): FileStat | undefined {
  try {
    const stats = withShortPath(path, (shortPath) => lstatSync(shortPath, BIGINT_IF_PRESENT))
    return stats && toFileStat(stats)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined // a directory on the way of a long path
    throw error
  }
}

/** What the descriptor is open on; tells whether the file opened is still the one that was listed. */
export function statOpenFile(fd: number): FileStat {
  return toFileStat(fstatSync(fd, BIGINT))
}

function toFileStat(stats: BigIntStats): FileStat {
  const mode = Number(stats.mode)
  return {
    type: fileTypeOf(mode >> 12) ?? 'file',
    mode: mode & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    sizeBytes: Number(stats.size),
    mtimeNs: stats.mtimeNs,
    ctimeNs: stats.ctimeNs,
    inode: stats.ino,
    device: stats.dev,
    linkCount: Number(stats.nlink),
    rdev: stats.rdev,
    blocks: Number(stats.blocks),
  }
}

/** Names in a directory, sorted by their raw bytes, without `.` and `..`. */
export function listDirectory(path: string): string[] {
  return withShortPath(path, (shortPath) => {
    let names = readdirSync(shortPath)
    // U+FFFD stands for bytes that are not UTF-8 (or, rarely, for itself): only then are names worth reading as bytes, which
    // costs three times as much.
    if (names.some(hasReplacement)) names = readdirSync(shortPath, 'buffer').map(fromRawName)
    return sortRawNames(names)
  })
}

/** Target of a symlink, as text that loses nothing. */
export function readLink(path: string): string {
  return withShortPath(path, (shortPath) => {
    const target = readlinkSync(shortPath)
    return hasReplacement(target) ? fromRawName(readlinkSync(shortPath, 'buffer')) : target
  })
}

function hasReplacement(text: string): boolean {
  return text.includes('\ufffd')
}

/**
 * Opens a file for reading; the caller closes it. Never waits for a writer when a FIFO took the file's place, so compare
 * `statOpenFile` with what was listed before reading. Leaves the access time alone where the system permits.
 *
 * @param ownerUid who owns the file, when known: saves a failing try on files of others (4 µs)
 */
export function openForReading(path: string, ownerUid?: number): number {
  const base = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const mayKeepAtime = ownerUid === undefined || ownerUid === process.geteuid?.() || process.geteuid?.() === 0
  // Linux only; undefined, and so 0 in an expression with |, elsewhere.
  const flags = mayKeepAtime ? base | constants.O_NOATIME : base
  return withShortPath(path, (shortPath) => openWithRetry(shortPath, flags))
}

function openWithRetry(path: string | Buffer, flags: number): number {
  try {
    return openSync(path, flags)
  } catch (error) {
    const code = errnoOf(error)
    // Root of a user namespace may own nothing outside it.
    if (code === 'EPERM' && flags & constants.O_NOATIME) return openWithRetry(path, flags & ~constants.O_NOATIME)
    // A file server holds a lease on the file and is being asked to give it up: wait for that, as open(2) usually does.
    if (code === 'EAGAIN' && flags & constants.O_NONBLOCK) return openWithRetry(path, flags & ~constants.O_NONBLOCK)
    throw error
  }
}

/**
 * Reads until `length` bytes are in `buffer` from `offset` on, or the file ends. Waits where a pipe has no data yet.
 *
 * @param position byte of the file to start at; the descriptor's own position when omitted
 * @returns the number of bytes read, less than `length` only at the end of the file
 */
export function readFully(
  fd: number,
  buffer: NodeJS.ArrayBufferView,
  offset: number,
  length: number,
  position?: number,
): number {
  let done = 0
  while (done < length) {
    try {
      const count = readSync(fd, buffer, offset + done, length - done, position === undefined ? null : position + done)
      if (count === 0) break
      done += count
    } catch (error) {
      waitOrThrow(error)
    }
  }
  return done
}

/**
 * Writes `length` bytes of `buffer` from `offset` on.
 *
 * @param position byte of the file to start at; the descriptor's own position when omitted
 */
export function writeFully(
  fd: number,
  buffer: NodeJS.ArrayBufferView,
  offset: number,
  length: number,
  position?: number,
): void {
  let done = 0
  while (done < length) {
    try {
      done += writeSync(fd, buffer, offset + done, length - done, position === undefined ? null : position + done)
    } catch (error) {
      waitOrThrow(error)
    }
  }
}

const sleeper = new Int32Array(new SharedArrayBuffer(4))

/** Gives an interrupted call, or a pipe in non-blocking mode, another try after a moment; throws any other error. */
function waitOrThrow(error: unknown): void {
  const code = errnoOf(error)
  if (code === 'EAGAIN') Atomics.wait(sleeper, 0, 0, 1)
  else if (code !== 'EINTR') throw error
}

export function closeFile(fd: number): void {
  closeSync(fd)
}

/** Creates a file that must not exist and opens it for writing. The umask applies to `mode`. */
export function createFile(path: string, mode: number): number {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  return withShortPath(path, (shortPath) => openSync(shortPath, flags, mode))
}

/** Opens an existing file for writing and keeps its content. Fails with `ENXIO` on a FIFO instead of waiting for a reader. */
export function openForWriting(path: string): number {
  const flags = constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  return withShortPath(path, (shortPath) => openSync(shortPath, flags))
}

/** Cuts the file, or makes it longer with a hole. */
export function truncateFile(fd: number, sizeBytes: number): void {
  ftruncateSync(fd, sizeBytes)
}

/** Creates a directory that must not exist, in one that does. The umask applies to `mode`. */
export function makeDirectory(path: string, mode: number): void {
  withShortPath(path, (shortPath) => mkdirSync(shortPath, mode))
}

export function makeSymlink(target: string, path: string): void {
  withShortPath(path, (shortPath) => symlinkSync(toSystemPath(target), shortPath))
}

/** Gives the file at `existing` (of a symlink, the link itself) the additional name `path`. */
export function makeHardLink(existing: string, path: string): void {
  withShortPath(existing, (shortExisting) => withShortPath(path, (shortPath) => linkSync(shortExisting, shortPath)))
}

/** Removes a name that is not a directory's. */
export function removeFile(path: string): void {
  withShortPath(path, (shortPath) => unlinkSync(shortPath))
}

/** Removes an empty directory. */
export function removeDirectory(path: string): void {
  withShortPath(path, (shortPath) => rmdirSync(shortPath))
}

/**
 * Gives what is at `from` the name `to` in the same file system, in place of the file or empty directory that may be there: at
 * any moment one of them is. Two names of the same file both stay.
 */
export function renameFile(from: string, to: string): void {
  withShortPath(from, (shortFrom) => withShortPath(to, (shortTo) => renameSync(shortFrom, shortTo)))
}

/**
 * Sets permission bits, setuid, setgid and sticky exactly. Of a symlink they cannot be set: a path that is one fails with
 * `ENOTSUP`. Set the owner first: changing it clears setuid and setgid.
 */
export function setMode(target: string | number, mode: number): void {
  if (typeof target === 'number') fchmodSync(target, mode)
  else setModeByPath(target, mode)
}

/** Sets owner and group; of a symlink, those of the link itself. */
export function setOwner(target: string | number, uid: number, gid: number): void {
  if (typeof target === 'number') fchownSync(target, uid, gid)
  else withShortPath(target, (shortPath) => lchownSync(shortPath, uid, gid))
}

// Met when reading and restoring files, and missing in libuv's table. The numbers are Linux's.
const LINUX_MESSAGES: Readonly<Record<number, string>> = {
  116: 'stale file handle',
  117: 'structure needs cleaning',
  121: 'remote I/O error',
  122: 'disk quota exceeded',
  126: 'required key not available',
}

/** What went wrong, for messages: `permission denied`, `no such file or directory`; the error's own message if it is no system error. */
export function describeSystemError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (!('errno' in error) || typeof error.errno !== 'number' || error.errno >= 0) return error.message
  const missing = process.platform === 'linux' ? LINUX_MESSAGES[-error.errno] : undefined
  return missing ?? getSystemErrorMessage(error.errno)
}
