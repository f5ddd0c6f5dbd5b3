import { constants as fsConstants } from 'node:fs'
import { withShortPath } from './long-path.ts'
import { AT_FDCWD, checked, getLibc, toPathBytes } from './native.ts'
import { systemError } from './system-error.ts'

export interface DeviceNumbers {
  readonly major: number
  readonly minor: number
}

export type SpecialFileType = 'fifo' | 'chardev' | 'blockdev'

const TYPE_BITS: Readonly<Record<SpecialFileType, number>> = {
  fifo: fsConstants.S_IFIFO,
  chardev: fsConstants.S_IFCHR,
  blockdev: fsConstants.S_IFBLK,
}

// What the kernel keeps of device numbers (MINORBITS in linux/kdev_t.h).
const MAX_MAJOR = 0xfff
const MAX_MINOR = 0xf_ffff

/**
 * Creates a FIFO or a device, which must not exist. The umask applies to `mode`; a FIFO has no device numbers. Fails with
 * `EINVAL` on numbers the kernel cannot keep, and with `EPERM` when the user may not make devices.
 */
export function makeSpecialFile(path: string, type: SpecialFileType, mode: number, device: DeviceNumbers): void {
  const native = getLibc()
  if (!native) throw systemError('ENOTSUP', 'mknodat', path)
  const { major, minor } = type === 'fifo' ? { major: 0, minor: 0 } : device
  if (!(major >= 0 && major <= MAX_MAJOR && minor >= 0 && minor <= MAX_MINOR)) {
    throw systemError('EINVAL', 'mknodat', path)
  }
  // new_encode_dev in linux/kdev_t.h
  const encoded = ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0
  withShortPath(path, (shortPath) => {
    const pathBytes = toPathBytes(shortPath, 'mknodat', path)
    checked(native, native.mknodat(AT_FDCWD, pathBytes, TYPE_BITS[type] | mode, encoded), 'mknodat', path)
  })
}

/** Major and minor number in a `rdev` or `device` of `FileStat`, as the C library of Linux packs them: makedev(3), gnu_dev_major. */
export function deviceNumbers(rdev: bigint): DeviceNumbers {
  return {
    major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xffff_f000n)),
    minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffff_ff00n)),
  }
}
