import { toRawName } from '../../base/raw-name.ts'

/**
 * The messages of the FUSE protocol (linux/fuse.h, fuse(4)), as far as a file system that is only read needs them. Integers are
 * little-endian, as on every architecture that `native.ts` knows; offsets stand beside the fields they are of.
 */

export const OPCODES = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  READLINK: 5,
  OPEN: 14,
  READ: 15,
  STATFS: 17,
  RELEASE: 18,
  GETXATTR: 22,
  LISTXATTR: 23,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  INTERRUPT: 36,
  DESTROY: 38,
  IOCTL: 39,
  BATCH_FORGET: 42,
  READDIRPLUS: 44,
  LSEEK: 46,
} as const

/** Those that would change something. A mount that is read-only asks none of them, the kernel refuses. */
export const WRITING_OPCODES: ReadonlySet<number> = new Set([
  4, // SETATTR
  6, // SYMLINK
  8, // MKNOD
  9, // MKDIR
  10, // UNLINK
  11, // RMDIR
  12, // RENAME
  13, // LINK
  16, // WRITE
  21, // SETXATTR
  24, // REMOVEXATTR
  35, // CREATE
  43, // FALLOCATE
  45, // RENAME2
  47, // COPY_FILE_RANGE
])

/** The protocol version spoken; the kernel adapts to an older minor. Before 7.23 (Linux 3.15), INIT was shorter. */
const MAJOR = 7
const MINOR = 38
const OLDEST_MINOR = 23

/** Most that is asked for at once: 256 pages. */
export const MAX_READ_BYTES = 1 << 20
/** What reading the device takes at least: the kernel wants room for its smallest write, though none ever comes. */
export const REQUEST_BUFFER_BYTES = 64 << 10
const MAX_WRITE_BYTES = 4096

/** Not ASYNC_DIO: who reads with O_DIRECT then waits where no signal reaches him. */
const INIT_FLAGS = {
  ASYNC_READ: 1 << 0,
  IOCTL_DIR: 1 << 11,
  DO_READDIRPLUS: 1 << 13,
  READDIRPLUS_AUTO: 1 << 14,
  PARALLEL_DIROPS: 1 << 18,
  POSIX_ACL: 1 << 20,
  /** Reading the device tells a connection that was cut from one that was unmounted. */
  ABORT_ERROR: 1 << 21,
  MAX_PAGES: 1 << 22,
  CACHE_SYMLINKS: 1 << 23,
} as const

/** Of a file: what the kernel has read of it is good for the next one who opens it. */
export const KEEP_CACHE = 1 << 1
/** Of a file: closing it needs no request. */
export const NO_FLUSH = 1 << 5
/** Of a directory: its listing may be kept too. */
export const CACHE_DIR = 1 << 3

/** `FS_IOC_GETFLAGS` of linux/fs.h: what chattr(1) sets. */
export const GET_FLAGS = 0x80086601

const HEADER_BYTES = 40
const REPLY_HEADER_BYTES = 16
const ATTRIBUTES_BYTES = 88

/** A request; `body` is a view of the buffer that it was read into. */
export interface FuseRequest {
  readonly opcode: number
  /** What the reply says it is an answer to. */
  readonly unique: bigint
  readonly node: bigint
  /** Number of the thread that waits for it; 0 where that cannot be seen from here. */
  readonly thread: number
  readonly body: Buffer
}

/** What stat(2) tells. */
export interface FuseAttributes {
  readonly inode: bigint
  /** Type and permission bits. */
  readonly mode: number
  readonly linkCount: number
  readonly uid: number
  readonly gid: number
  readonly sizeBytes: number
  /** Of 512 bytes. */
  readonly blocks: number
  /** Nanoseconds since 1970. */
  readonly atimeNs: bigint
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  /** Of a device. */
  readonly device: { readonly major: number; readonly minor: number } | undefined
}

/** A node as LOOKUP and READDIRPLUS tell of it. */
export interface FuseEntry {
  /** 0 for a name that is not there. */
  readonly node: bigint
  readonly attributes: FuseAttributes | undefined
  /** For how many seconds the attributes count, and that the name means this node. */
  readonly validS: number
  readonly nameValidS: number
}

/** Reads a request; `undefined` when it is cut off. */
export function decodeRequest(bytes: Buffer): FuseRequest | undefined {
  if (bytes.length < HEADER_BYTES || bytes.readUInt32LE(0) !== bytes.length) return undefined
  return {
    opcode: bytes.readUInt32LE(4),
    unique: bytes.readBigUInt64LE(8),
    node: bytes.readBigUInt64LE(16),
    thread: bytes.readUInt32LE(32),
    body: bytes.subarray(HEADER_BYTES),
  }
}

/** What stands before the body of a reply. @param errno positive; 0 for success */
export function encodeReplyHeader(unique: bigint, errno: number, bodyBytes: number): Buffer {
  const header = Buffer.allocUnsafe(REPLY_HEADER_BYTES)
  header.writeUInt32LE(REPLY_HEADER_BYTES + bodyBytes, 0)
  header.writeInt32LE(-errno, 4)
  header.writeBigUInt64LE(unique, 8)
  return header
}

/**
 * The answer to INIT; `undefined` when the kernel speaks a protocol that this side does not.
 *
 * @param acls whether the kernel is to apply POSIX ACLs
 */
export function encodeInit(body: Buffer, acls: boolean): Buffer | undefined {
  const major = body.readUInt32LE(0)
  const minor = body.readUInt32LE(4)
  const reply = Buffer.alloc(64)
  reply.writeUInt32LE(MAJOR, 0)
  reply.writeUInt32LE(Math.min(minor, MINOR), 4)
  if (major > MAJOR) return reply // it asks again, in our version
  if (major < MAJOR || minor < OLDEST_MINOR) return undefined
  const { POSIX_ACL, ...others } = INIT_FLAGS
  const wanted = Object.values(others).reduce((all, flag) => all | flag, acls ? POSIX_ACL : 0)
  reply.writeUInt32LE(body.readUInt32LE(8), 8) // max_readahead
  reply.writeUInt32LE((body.readUInt32LE(12) & wanted) >>> 0, 12)
  reply.writeUInt16LE(64, 16) // max_background: reads ahead that may be under way
  reply.writeUInt16LE(48, 18) // congestion_threshold
  reply.writeUInt32LE(MAX_WRITE_BYTES, 20)
  reply.writeUInt32LE(1, 24) // time_gran, in ns
  reply.writeUInt16LE(MAX_READ_BYTES / 4096, 28) // max_pages
  return reply
}

/** The answer to LOOKUP. */
export function encodeEntry(entry: FuseEntry): Buffer {
  const reply = Buffer.alloc(ENTRY_BYTES)
  writeEntry(reply, 0, entry)
  return reply
}

const ENTRY_BYTES = 40 + ATTRIBUTES_BYTES

function writeEntry(target: Buffer, offset: number, { node, attributes, validS, nameValidS }: FuseEntry): void {
  target.writeBigUInt64LE(node, offset) // at 8, the generation: 0
  target.writeBigUInt64LE(BigInt(nameValidS), offset + 16)
  target.writeBigUInt64LE(BigInt(validS), offset + 24)
  if (attributes) writeAttributes(target, offset + 40, attributes)
}

/** The answer to GETATTR. */
export function encodeAttributes(attributes: FuseAttributes, validS: number): Buffer {
  const reply = Buffer.alloc(16 + ATTRIBUTES_BYTES)
  reply.writeBigUInt64LE(BigInt(validS), 0)
  writeAttributes(reply, 16, attributes)
  return reply
}

function writeAttributes(target: Buffer, offset: number, attributes: FuseAttributes): void {
  const { atimeNs, mtimeNs, ctimeNs, device } = attributes
  target.writeBigUInt64LE(attributes.inode, offset)
  target.writeBigUInt64LE(BigInt(attributes.sizeBytes), offset + 8)
  target.writeBigUInt64LE(BigInt(attributes.blocks), offset + 16)
  for (const [i, time] of [atimeNs, mtimeNs, ctimeNs].entries()) {
    // Nanoseconds count forward from their second, also before 1970.
    const nanoseconds = ((time % NS_PER_S) + NS_PER_S) % NS_PER_S
    target.writeBigInt64LE((time - nanoseconds) / NS_PER_S, offset + 24 + i * 8)
    target.writeUInt32LE(Number(nanoseconds), offset + 48 + i * 4)
  }
  target.writeUInt32LE(attributes.mode, offset + 60)
  target.writeUInt32LE(attributes.linkCount, offset + 64)
  target.writeUInt32LE(attributes.uid, offset + 68)
  target.writeUInt32LE(attributes.gid, offset + 72)
  target.writeUInt32LE(device ? packDevice(device) : 0, offset + 76)
  target.writeUInt32LE(4096, offset + 80) // blksize
}

const NS_PER_S = 1_000_000_000n

/** As the kernel's `new_encode_dev`: 12 bits of major and 20 of minor. */
function packDevice({ major, minor }: { major: number; minor: number }): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xfff00) << 12)) >>> 0
}

/** The answer to OPEN and OPENDIR. */
export function encodeOpen(handle: number, flags: number): Buffer {
  const reply = Buffer.alloc(16)
  reply.writeBigUInt64LE(BigInt(handle), 0)
  reply.writeUInt32LE(flags, 8)
  return reply
}

/** The answer to LSEEK. */
export function encodeSeek(offset: number): Buffer {
  const reply = Buffer.alloc(8)
  reply.writeBigUInt64LE(BigInt(offset), 0)
  return reply
}

/** The answer to an IOCTL that asks for 32 bits. */
export function encodeIoctl(value: number): Buffer {
  const reply = Buffer.alloc(20)
  reply.writeUInt32LE(value, 16)
  return reply
}

/** The answer to GETXATTR and LISTXATTR that only asked how long theirs would be. */
export function encodeXattrSize(bytes: number): Buffer {
  const reply = Buffer.alloc(8)
  reply.writeUInt32LE(bytes, 0)
  return reply
}

/** The answer to STATFS: nothing is free, and names have up to 255 bytes. */
export function encodeStatfs(): Buffer {
  const reply = Buffer.alloc(80)
  reply.writeUInt32LE(4096, 40) // bsize
  reply.writeUInt32LE(255, 44) // namelen
  reply.writeUInt32LE(4096, 48) // frsize
  return reply
}

/** One name of a listing. */
export interface FuseDirent {
  readonly name: string
  readonly inode: bigint
  /** Type bits of the mode suffice. */
  readonly mode: number
  /** Where a listing goes on behind it. */
  readonly next: number
}

/** Collects names for READDIR and READDIRPLUS up to the size that was asked for. */
export class DirentWriter {
  readonly #target: Buffer
  #bytes = 0

  constructor(maxBytes: number) {
    this.#target = Buffer.alloc(Math.min(maxBytes, MAX_READ_BYTES))
  }

  /** Adds a name, for READDIRPLUS with its entry; `false` when there is no room, and nothing was added. */
  add({ name, inode, mode, next }: FuseDirent, entry?: FuseEntry): boolean {
    const raw = toRawName(name)
    const start = this.#bytes + (entry ? ENTRY_BYTES : 0)
    const end = start + ((24 + raw.length + 7) & ~7)
    if (end > this.#target.length) return false
    if (entry) writeEntry(this.#target, this.#bytes, entry)
    this.#target.writeBigUInt64LE(inode, start)
    this.#target.writeBigUInt64LE(BigInt(next), start + 8)
    this.#target.writeUInt32LE(raw.length, start + 16)
    this.#target.writeUInt32LE(mode >>> 12, start + 20)
    raw.copy(this.#target, start + 24)
    this.#bytes = end
    return true
  }

  get bytes(): Buffer {
    return this.#target.subarray(0, this.#bytes)
  }
}
