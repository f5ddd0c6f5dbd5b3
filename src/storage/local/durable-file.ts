import { constants } from 'node:fs'
import { type FileHandle, link, open, unlink } from 'node:fs/promises'
import { CairnError, errnoOf } from '../../base/errors.ts'
import { rangeError } from '../key.ts'
import type { ByteRange } from '../storage.ts'

// O_NONBLOCK: opening a FIFO that someone put there must not wait for a writer.
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const CREATE_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

/** Reads `range` of the file `path`, or all of it, into memory of its own; errors name `key`. Never follows a symbolic link. */
export async function readFileRange(path: string, key: string, range: ByteRange | undefined): Promise<Uint8Array> {
  await using file = await open(path, READ_FLAGS)
  return range ? await readRange(file, key, range) : await readWhole(file, key)
}

async function readWhole(file: FileHandle, key: string): Promise<Uint8Array> {
  const stats = await file.stat()
  if (!stats.isFile()) throw new CairnError('NOT_FOUND', `Cannot read ${key}: it is not a file`)
  const bytes = new Uint8Array(stats.size)
  const got = await readFully(file, bytes, 0)
  if (got < bytes.length) throw rangeError(key, bytes.length, got)
  return bytes
}

async function readRange(file: FileHandle, key: string, { offset, length }: ByteRange): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  const got = await readFully(file, bytes, offset)
  if (got < length) throw rangeError(key, length, got, offset)
  return bytes
}

async function readFully(file: FileHandle, target: Uint8Array, position: number): Promise<number> {
  let done = 0
  while (done < target.length) {
    const { bytesRead } = await file.read(target, done, target.length - done, position + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return done
}

/** Creates `path` with `data` and syncs it. One write call for all: `writeFile` would make 40 of a pack. */
export async function writeSynced(path: string, data: Uint8Array): Promise<void> {
  const direct = await writeDirect(path, data)
  await using file = await open(path, direct > 0 ? constants.O_WRONLY | constants.O_NOFOLLOW : CREATE_FLAGS, 0o600)
  await writeFrom(file, data, direct, data.length)
  await file.sync()
}

/** O_DIRECT moves whole blocks between disk and memory that begins at a block; 4096 bytes suit every disk. */
const BLOCK_BYTES = 4096
const MIN_DIRECT_BYTES = 1 << 20

/**
 * Creates `path` with the whole blocks of `data`, past the page cache, where that is possible; returns how many bytes it wrote,
 * 0 if nothing was created. Copying packs into the cache took 4 to 15 % of a backup's processor time, and pushed out of the
 * cache what the user works with, for bytes that nobody is about to read.
 */
async function writeDirect(path: string, data: Uint8Array): Promise<number> {
  // V8 makes resizable memory in whole pages; any other is nearly never aligned, and Node cannot tell an address.
  const aligned = data.byteOffset === 0 && data.buffer instanceof ArrayBuffer && data.buffer.resizable
  if (!aligned || data.length < MIN_DIRECT_BYTES || !constants.O_DIRECT) return 0
  const bytes = data.length - (data.length % BLOCK_BYTES)
  try {
    await using file = await open(path, CREATE_FLAGS | constants.O_DIRECT, 0o600)
    await writeFrom(file, data, 0, bytes)
    return bytes
  } catch (error) {
    if (errnoOf(error) !== 'EINVAL') throw error
    await discard(path) // this file system, or the memory after all, does not do
    return 0
  }
}

async function writeFrom(file: FileHandle, data: Uint8Array, start: number, end: number): Promise<void> {
  for (let done = start; done < end;) {
    const { bytesWritten } = await file.write(data, done, end - done, done)
    done += bytesWritten
  }
}

/** Makes the entries of a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  await folder.sync().catch((error: unknown) => {
    // Some network and FUSE file systems cannot sync a folder and say so; they keep its entries by themselves or not at all.
    if (!['EINVAL', 'ENOTSUP', 'ENOSYS'].includes(errnoOf(error) ?? '')) throw error
  })
}

/** Gives the finished file `temp` its second name `path`, unless that exists; resolves to whether it did not. */
export async function linkUnlessTaken(temp: string, path: string, key: string): Promise<boolean> {
  try {
    await link(temp, path)
    return true
  } catch (error) {
    const errno = errnoOf(error) ?? ''
    if (errno === 'EEXIST') return false
    if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK'].includes(errno)) throw error
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot store ${key}: the file system of ${path} has no hard links (${errno}), which runs at the same time need; ` +
        'put the repository on one that has, such as ext4, XFS, Btrfs, ZFS or NFS',
      { cause: error, details: { errno, path } },
    )
  }
}

/** Removes a temporary file as far as possible; what stays is swept when the repository is next opened. */
export async function discard(temp: string): Promise<void> {
  await unlink(temp).catch(() => {})
}
