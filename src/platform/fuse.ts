/**
 * A file system of this process, mounted by way of FUSE: `mountFuse` mounts it, `fuse/session.ts` answers the kernel until it is
 * unmounted, in whatever way. Everything is done on the calling thread, which must not use the mount itself by blocking calls.
 * Linux only.
 */
import { realpathSync, statSync } from 'node:fs'
import { stat, statfs, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { CairnError, errnoOf, isCairnError } from '../base/errors.ts'
import { fromRawName, toPrintable, toSystemPath } from '../base/raw-name.ts'
import { describeSystemError } from './files.ts'
import { type DeviceOptions, isMounted, mountDevice, unmountDevice } from './fuse/device.ts'
import type { FuseFileSystem, FuseFound, FuseListed, FuseNode } from './fuse/file-system.ts'
import { FuseSession } from './fuse/session.ts'
import type { FuseAttributes } from './fuse/wire.ts'

export type { DeviceOptions, FuseAttributes, FuseFileSystem, FuseFound, FuseListed, FuseNode }

/** A mounted file system. */
export class FuseMount implements AsyncDisposable {
  readonly directory: string
  readonly #session: Pick<FuseSession<FuseNode, unknown, unknown>, 'done' | 'stop'>
  /** Settles when it is not mounted any more; rejects when that was not wanted. */
  readonly done: Promise<void>
  #isOver = false

  /** Use `mountFuse`. */
  constructor(directory: string, session: Pick<FuseSession<FuseNode, unknown, unknown>, 'done' | 'stop'>) {
    this.directory = directory
    this.#session = session
    this.done = session.done.then(
      () => void (this.#isOver = true),
      async (error: unknown) => {
        this.#isOver = true
        await unmountDevice(directory, { lazily: true })
        throw new CairnError(
          'TARGET_FAILED',
          `Cannot go on serving ${toPrintable(directory)}: ${describeSystemError(error)}; mount it again`,
          { cause: error },
        )
      },
    )
    this.done.catch(() => undefined)
  }

  /**
   * Unmounts it, whoever uses it: what they have open fails from then on.
   *
   * @returns whether somebody used it
   * @throws {CairnError} `TARGET_FAILED`
   */
  async unmount(): Promise<boolean> {
    if (this.#isOver) return false
    try {
      await unmountDevice(this.directory)
      await this.done
      return false
    } catch (error) {
      if (!isCairnError(error) || error.details['isBusy'] !== true) throw error
      await this.#session.stop()
      await unmountDevice(this.directory, { lazily: true })
      return true
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unmount()
  }
}

/**
 * Mounts a file system. Resolves when it can be used.
 *
 * @param directory as `findMountPoint` gives it
 * @throws {CairnError} `TARGET_FAILED`; then nothing is mounted
 */
export async function mountFuse<Node extends FuseNode, File, Folder>(
  directory: string,
  fileSystem: FuseFileSystem<Node, File, Folder>,
  options: DeviceOptions,
): Promise<FuseMount> {
  const session = new FuseSession(await mountDevice(directory, options), fileSystem)
  const mount = new FuseMount(directory, session)
  try {
    await session.ready
    await raiseReadAhead(directory)
  } catch (error) {
    await session.stop()
    await mount.done.catch(() => undefined)
    throw new CairnError(
      'TARGET_FAILED',
      `Cannot mount on ${toPrintable(directory)}: this kernel speaks another version of FUSE`,
      { cause: error },
    )
  }
  return mount
}

/** What the kernel asks for ahead of a program that reads in order, in KiB. With its own 128, that takes a fifth longer (docs/decisions.md). */
const READ_AHEAD_KIB = 1024

/** Only root may, and not in every container; then it stays as it is. */
async function raiseReadAhead(directory: string): Promise<void> {
  try {
    const { dev } = await stat(toSystemPath(directory))
    const minor = (dev & 0xff) | ((dev >>> 12) & 0xfff00)
    await writeFile(`/sys/class/bdi/${(dev >>> 8) & 0xfff}:${minor}/read_ahead_kb`, String(READ_AHEAD_KIB))
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
  }
}

/**
 * The directory that a user means to mount on: absolute, without symlinks. Takes away a mount of this program that nobody serves
 * any more, whose process was killed.
 *
 * @throws {CairnError} `TARGET_FAILED` when it is no directory, or something is mounted there
 */
export async function findMountPoint(given: string): Promise<string> {
  const directory = resolve(given, 'mount on')
  try {
    if (!statSync(toSystemPath(directory)).isDirectory()) throw new CairnError('TARGET_FAILED', 'it is no folder')
    if (!isMounted(directory)) return directory
    await statfs(toSystemPath(directory)) // asks who serves it, which stat need not
    throw new CairnError('TARGET_FAILED', 'snapshots are mounted there already')
  } catch (error) {
    if (errnoOf(error) !== 'ENOTCONN' || !isMounted(directory)) throw unusable(given, 'mount on', error)
  }
  await unmountDevice(directory, { lazily: true })
  return directory
}

/** Unmounts what was mounted by this program. @throws {CairnError} `TARGET_FAILED` when it was not, or somebody uses it */
export async function unmountFuse(given: string): Promise<void> {
  const directory = resolve(given, 'unmount')
  if (!isMounted(directory))
    throw new CairnError(
      'TARGET_FAILED',
      `Cannot unmount ${toPrintable(given)}: no snapshots are mounted there; 'mount -t fuse.cairn' lists where some are`,
    )
  await unmountDevice(directory)
}

/** An absolute path without symlinks. The last part is not touched when nobody serves what is mounted there. */
function resolve(given: string, action: string): string {
  const absolute = path.resolve(given)
  try {
    return fromRawName(realpathSync.native(toSystemPath(absolute), 'buffer'))
  } catch (error) {
    if (errnoOf(error) !== 'ENOTCONN') throw unusable(given, action, error)
    const folder = fromRawName(realpathSync.native(toSystemPath(path.dirname(absolute)), 'buffer'))
    return path.join(folder, path.basename(absolute))
  }
}

function unusable(given: string, action: string, error: unknown): CairnError {
  const reason = describeSystemError(error)
  const advice = action === 'unmount' ? '' : '; name an empty folder that is there'
  return new CairnError('TARGET_FAILED', `Cannot ${action} ${toPrintable(given)}: ${reason}${advice}`, { cause: error })
}
