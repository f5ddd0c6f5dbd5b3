import { constants } from 'node:os'
import { compareRawNames, fromRawName, toRawName } from '../base/raw-name.ts'
import { withShortPath } from './long-path.ts'
import { type Libc, checked, getLibc, toPathBytes } from './native.ts'
import { systemError } from './system-error.ts'

/** An extended attribute: ACLs, capabilities, security labels and what users attach to files. */
export interface Xattr {
  /** With its namespace, as `user.comment`; text as in `base/raw-name.ts`. */
  readonly name: string
  /** The bytes as the system keeps them, with numeric ids in ACLs. */
  readonly value: Buffer
}

const { ENODATA, ENOSYS, ENOTSUP, ERANGE } = constants.errno

const ACLS = new Set(['system.posix_acl_access', 'system.posix_acl_default', 'system.nfs4_acl', 'system.richacl'])

/** Whether the extended attribute of this name is an access control list. */
export function isAcl(name: string): boolean {
  return ACLS.has(name)
}

/** linux/limits.h: XATTR_LIST_MAX and XATTR_SIZE_MAX. The kernel never gives more, so nothing can need more room than this. */
const MAX_BYTES = 65_536
/** Tried first: the kernel allocates as much as it is offered, which costs 0.2 µs to list and 1.7 µs to read for 64 KiB. */
const USUAL_BYTES = 4096

const list = Buffer.alloc(MAX_BYTES)
const value = Buffer.alloc(MAX_BYTES)

/**
 * Reads all attributes that this user may see, sorted by name; none where the file system has none. Of a symlink, those of the
 * link itself. The caller owns the values. Hot path: once for every new or changed file of every backup (0.9 µs for none).
 */
export function readXattrs(target: string | number): Xattr[] {
  const native = getLibc()
  if (!native) return []
  if (typeof target === 'string') return withShortPath(target, (shortPath) => readByPath(native, shortPath, target))

  const listBytes = listed(native, 'flistxattr', undefined, (size) => native.flistxattr(target, list, size))
  if (listBytes === 0) return []
  return readListed(listBytes, (name) =>
    got(native, 'fgetxattr', undefined, (size) => native.fgetxattr(target, name, value, size)),
  )
}

function readByPath(native: Libc, shortPath: string | Buffer, path: string): Xattr[] {
  const pathBytes = toPathBytes(shortPath, 'llistxattr', path)
  const listBytes = listed(native, 'llistxattr', path, (size) => native.llistxattr(pathBytes, list, size))
  if (listBytes === 0) return []
  return readListed(listBytes, (name) =>
    got(native, 'lgetxattr', path, (size) => native.lgetxattr(pathBytes, name, value, size)),
  )
}

/** Fills `list` and returns its length: 0 where there are no attributes. */
function listed(native: Libc, syscall: string, path: string | undefined, call: (size: number) => number): number {
  const length = withEnoughRoom(native, call)
  if (length >= 0) return length
  const errno = native.errno()
  if (errno === ENOTSUP || errno === ENOSYS) return 0
  throw systemError(errno, syscall, path)
}

/** Fills `value` and returns its length; `undefined` when the attribute is gone, or is one that is listed but cannot be read. */
function got(
  native: Libc,
  syscall: string,
  path: string | undefined,
  call: (size: number) => number,
): number | undefined {
  const length = withEnoughRoom(native, call)
  if (length >= 0) return length
  const errno = native.errno()
  if (errno === ENODATA || errno === ENOTSUP) return undefined
  throw systemError(errno, syscall, path)
}

function withEnoughRoom(native: Libc, call: (size: number) => number): number {
  const length = call(USUAL_BYTES)
  return length < 0 && native.errno() === ERANGE ? call(MAX_BYTES) : length
}

/** Reads the value of each name in `list`; `read` gets the name in bytes up to its NUL and more. */
function readListed(listBytes: number, read: (name: Buffer) => number | undefined): Xattr[] {
  const xattrs: Xattr[] = []
  for (let start = 0; start < listBytes;) {
    const end = list.indexOf(0, start)
    const length = read(list.subarray(start))
    if (length !== undefined) {
      xattrs.push({ name: fromRawName(list.subarray(start, end)), value: Buffer.from(value.subarray(0, length)) })
    }
    start = end + 1
  }
  return xattrs.length > 1 ? xattrs.sort((a, b) => compareRawNames(a.name, b.name)) : xattrs
}

/**
 * Sets an attribute, whether there is one of this name or not; of a symlink, on the link itself. Changing the owner of a
 * file removes `security.capability`: set it after that.
 */
export function setXattr(target: string | number, name: string, newValue: Uint8Array): void {
  const size = newValue.length
  change('setxattr', target, name, {
    byPath: (native, path, nameBytes) => native.lsetxattr(path, nameBytes, newValue, size, 0),
    byDescriptor: (native, fd, nameBytes) => native.fsetxattr(fd, nameBytes, newValue, size, 0),
  })
}

/** Removes an attribute, which must be there (`ENODATA`); of a symlink, from the link itself. */
export function removeXattr(target: string | number, name: string): void {
  change('removexattr', target, name, {
    byPath: (native, path, nameBytes) => native.lremovexattr(path, nameBytes),
    byDescriptor: (native, fd, nameBytes) => native.fremovexattr(fd, nameBytes),
  })
}

interface Change {
  byPath(native: Libc, path: Buffer, name: Buffer): number
  byDescriptor(native: Libc, fd: number, name: Buffer): number
}

function change(what: string, target: string | number, name: string, calls: Change): void {
  const syscall = typeof target === 'string' ? `l${what}` : `f${what}`
  const path = typeof target === 'string' ? target : undefined
  const native = getLibc()
  if (!native) throw systemError('ENOTSUP', syscall, path)
  if (name.includes('\0')) throw systemError('EINVAL', syscall, path)
  const nameBytes = toRawName(`${name}\0`)
  if (typeof target === 'number') return void checked(native, calls.byDescriptor(native, target, nameBytes), syscall)
  withShortPath(target, (shortPath) => {
    const pathBytes = toPathBytes(shortPath, syscall, target)
    checked(native, calls.byPath(native, pathBytes, nameBytes), syscall, target)
  })
}
