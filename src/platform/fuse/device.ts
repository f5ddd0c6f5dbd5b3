import { spawn } from 'node:child_process'
import { closeSync, constants, openSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { CairnError, errnoOf } from '../../base/errors.ts'
import { toPrintable, toRawName } from '../../base/raw-name.ts'
import { describeSystemError } from '../files.ts'
import { readMounts } from '../mounts.ts'
import { checked, getLibc } from '../native.ts'
import { systemError } from '../system-error.ts'
import { mountLibc } from './libc.ts'
import { MAX_READ_BYTES } from './wire.ts'

/** Mounting and unmounting: by mount(2) as root, by the setuid program `fusermount3` as anybody else. */

/** What mount(8) and df(1) show. */
const SUBTYPE = 'cairn'
const MOUNT_TYPE = `fuse.${SUBTYPE}`

const DEVICE = '/dev/fuse'

export interface DeviceOptions {
  /** Let others than who mounts in. */
  readonly allowOther: boolean
  /** Let the kernel look at owners and modes; otherwise everybody who gets in may read everything. */
  readonly checkPermissions: boolean
}

// sys/mount.h
const MS_RDONLY = 1
const MS_NOSUID = 2
const MS_NODEV = 4
const MNT_DETACH = 2
const UMOUNT_NOFOLLOW = 8

const ADVICE = 'where FUSE cannot be used, --webdav shows the same to programs on this machine'

/**
 * Mounts a file system whose requests can be read from the descriptor returned, which does not block.
 *
 * @param directory absolute and without symlinks; raw-name text
 * @throws {CairnError} `TARGET_FAILED` where FUSE is missing or may not be used
 */
export async function mountDevice(directory: string, options: DeviceOptions): Promise<number> {
  return process.geteuid?.() === 0 ? mountAsRoot(directory, options) : mountAsUser(directory, options)
}

function mountAsRoot(directory: string, { allowOther, checkPermissions }: DeviceOptions): number {
  let fd: number
  try {
    fd = openSync(DEVICE, constants.O_RDWR | constants.O_NONBLOCK)
  } catch (error) {
    throw refused(directory, `${describeSystemError(error)} (${DEVICE})`, error)
  }
  const data = [
    `fd=${fd}`,
    'rootmode=40000',
    'user_id=0',
    'group_id=0',
    `max_read=${MAX_READ_BYTES}`,
    ...(checkPermissions ? ['default_permissions'] : []),
    ...(allowOther ? ['allow_other'] : []),
  ]
  const libc = mountLibc()
  const flags = MS_RDONLY | MS_NOSUID | MS_NODEV
  if (libc.mount(SUBTYPE, pathBytes(directory), MOUNT_TYPE, flags, data.join(',')) === 0) return fd
  const error = systemError(libc.errno(), 'mount', directory)
  closeSync(fd)
  throw refused(directory, describeSystemError(error), error)
}

/** The program opens the device, mounts, and sends the descriptor back over a socket (libfuse's mount protocol). */
async function mountAsUser(directory: string, { allowOther, checkPermissions }: DeviceOptions): Promise<number> {
  if (!directory.isWellFormed())
    throw refused(directory, 'its name is not UTF-8, which only root can mount on; choose another folder')
  const libc = mountLibc()
  const fds = new Int32Array(2)
  if (libc.socketpair(AF_UNIX, SOCK_STREAM, 0, fds) !== 0) throw systemError(libc.errno(), 'socketpair')
  const [ours = -1, theirs = -1] = fds
  const options = [
    'ro',
    'nosuid',
    'nodev',
    `fsname=${SUBTYPE}`,
    `subtype=${SUBTYPE}`,
    `max_read=${MAX_READ_BYTES}`,
    ...(checkPermissions ? ['default_permissions'] : []),
    ...(allowOther ? ['allow_other'] : []),
  ]
  try {
    const failure = await fusermount(['-o', options.join(','), '--', directory], theirs)
    if (failure !== undefined) throw refused(directory, failure)
    return nonBlocking(receiveDescriptor(ours))
  } finally {
    closeSync(ours)
  }
}

/**
 * Takes a file system away. With `lazily`, the name becomes free at once, whoever still uses it.
 *
 * @param directory as for `mountDevice`
 * @throws {CairnError} `TARGET_FAILED` with `details.isBusy` when somebody uses it
 */
export async function unmountDevice(directory: string, { lazily = false } = {}): Promise<void> {
  if (process.geteuid?.() === 0) {
    const libc = mountLibc()
    if (libc.umount2(pathBytes(directory), UMOUNT_NOFOLLOW | (lazily ? MNT_DETACH : 0)) === 0) return
    const error = systemError(libc.errno(), 'umount2', directory)
    throw notUnmounted(directory, describeSystemError(error), error.code === 'EBUSY')
  }
  const failure = await fusermount(['-u', ...(lazily ? ['-z'] : []), '--', directory])
  if (failure !== undefined) throw notUnmounted(directory, failure, /busy/i.test(failure))
}

/** Whether a file system of this program is mounted on a directory, be it that nobody serves it any more. */
export function isMounted(directory: string): boolean {
  const { type } = readMounts().findLast(({ mountPoint }) => mountPoint === directory) ?? {}
  return type === MOUNT_TYPE
}

/** Runs `fusermount3`; what it complained of, or `undefined`. @param socket is its descriptor 3, closed here */
async function fusermount(args: readonly string[], socket?: number): Promise<string | undefined> {
  const env = { ...process.env, LC_ALL: 'C', ...(socket !== undefined && { _FUSE_COMMFD: '3' }) }
  const child = spawn('fusermount3', args, { stdio: ['ignore', 'ignore', 'pipe', socket ?? 'ignore'], env })
  const ended = new Promise<string | undefined>((resolve) => {
    child.once('error', (error) =>
      resolve(errnoOf(error) === 'ENOENT' ? "the program 'fusermount3' is not installed" : error.message),
    )
    child.once('exit', (code, signal) => resolve(code === 0 ? undefined : `fusermount3 ended with ${code ?? signal}`))
  })
  if (socket !== undefined) closeSync(socket)
  const [failure, complaint] = await Promise.all([ended, child.stderr ? text(child.stderr) : ''])
  if (failure === undefined) return undefined
  return complaint.trim().replace(/^fusermount3: /, '') || failure
}

// sys/socket.h
const AF_UNIX = 1
const SOCK_STREAM = 1
const SOL_SOCKET = 1
const SCM_RIGHTS = 1
const MSG_CMSG_CLOEXEC = 0x40000000

/** The descriptor that comes with one byte of a message (unix(7)); structures as on 64-bit systems. */
function receiveDescriptor(socket: number): number {
  const libc = mountLibc()
  const byte = Buffer.alloc(1)
  const control = Buffer.alloc(24) // struct cmsghdr, 16 bytes, and one int, padded
  const vector = Buffer.alloc(16)
  vector.writeBigUInt64LE(libc.addressOf(byte), 0)
  vector.writeBigUInt64LE(BigInt(byte.length), 8)
  const message = Buffer.alloc(56) // struct msghdr
  message.writeBigUInt64LE(libc.addressOf(vector), 16)
  message.writeBigUInt64LE(1n, 24)
  message.writeBigUInt64LE(libc.addressOf(control), 32)
  message.writeBigUInt64LE(BigInt(control.length), 40)
  if (libc.recvmsg(socket, message, MSG_CMSG_CLOEXEC) < 0) throw systemError(libc.errno(), 'recvmsg')
  if (control.readInt32LE(8) !== SOL_SOCKET || control.readInt32LE(12) !== SCM_RIGHTS)
    throw systemError('EPROTO', 'recvmsg')
  return control.readInt32LE(16)
}

/** asm-generic/ioctls.h */
const FIONBIO = 0x5421

function nonBlocking(fd: number): number {
  const libc = getLibc()
  if (libc) checked(libc, libc.ioctl(fd, FIONBIO, Int32Array.of(1)), 'ioctl')
  return fd
}

function pathBytes(directory: string): Buffer {
  return Buffer.concat([toRawName(directory), Buffer.of(0)])
}

function refused(directory: string, reason: string, cause?: unknown): CairnError {
  const separator = reason.includes('; ') ? '' : `; ${ADVICE}`
  return new CairnError('TARGET_FAILED', `Cannot mount on ${toPrintable(directory)}: ${reason}${separator}`, { cause })
}

function notUnmounted(directory: string, reason: string, isBusy: boolean): CairnError {
  const advice = isBusy ? `'fuser -vm ${toPrintable(directory)}' tells which programs use it` : 'check who mounted it'
  return new CairnError('TARGET_FAILED', `Cannot unmount ${toPrintable(directory)}: ${reason}; ${advice}`, {
    details: { isBusy },
  })
}
