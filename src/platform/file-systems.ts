import { closeSync, constants as fsConstants, lstatSync, openSync, statfsSync } from 'node:fs'
import { posix } from 'node:path'
import { withShortPath } from './long-path.ts'
import { checked, getLibc } from './native.ts'
import { systemError } from './system-error.ts'

/**
 * How far inode numbers and change times of a file system can be trusted, and what a call on it costs:
 * - `local`: both mean what they should; calls are quick
 * - `network`: calls may wait for another machine or program, and what it answers may be made up or change on remounting
 * - `coarse`: inode numbers are made up at every mount, or change times are not kept
 */
export type FileSystemKind = 'local' | 'network' | 'coarse'

/** By the type that statfs(2) gives. Numbers without a remark are of linux/magic.h. */
const KINDS: ReadonlyMap<number, FileSystemKind> = new Map([
  ...kind('network', [
    0x6969, // NFS
    0x517b, // SMB
    0xff534d42, // CIFS
    0xfe534d42, // SMB 2 and later
    0x01021997, // 9P: shared folders of QEMU and WSL
    0x65735546, // FUSE: sshfs, rclone, s3fs …; virtiofs too (fs/fuse/inode.c)
    0x5346414f, // AFS (OpenAFS, and the kernel's own since 4.20)
    0x6b414653, // AFS (the kernel's own, before)
    0x00c36400, // Ceph
    0x73757245, // Coda
    0x564c, // NCP
    0x7461636f, // OCFS2: one disk, several machines
    0x01161970, // GFS2, likewise (linux/gfs2_ondisk.h)
    0x00c0ffee, // hostfs of User-Mode Linux
    0x20030528, // OrangeFS (fs/orangefs/protocol.h)
    0x786f4256, // VirtualBox shared folders (fs/vboxsf/super.c)
    // The following are not in the kernel; numbers as in stat(1) of GNU coreutils (src/stat.c).
    0xbacbacbc, // VMware shared folders (vmhgfs)
    0x7c7c6673, // Parallels shared folders (prl_fs)
    0x0bd00bd0, // Lustre
    0x47504653, // GPFS, now Storage Scale
    0x19830326, // BeeGFS, once FhGFS
    0xaad7aaea, // PanFS
    0xbeefdead, // StorNext (snfs)
    0x013111a8, // IBRIX
    0x61636673, // Oracle ACFS
  ]),
  ...kind('coarse', [
    0x4d44, // FAT: no inode numbers, no change times
    0x2011bab0, // exFAT: likewise
    0x4244, // HFS: the change time is the modification time (man 2 statfs; fs/hfs/inode.c)
    0xadff, // Amiga FFS: likewise (fs/affs/inode.c)
    0xadf5, // Acorn ADFS: likewise (fs/adfs/inode.c)
    0xf995e849, // HPFS: the change time is that of creation (fs/hpfs/inode.c)
  ]),
])

function kind(name: FileSystemKind, types: readonly number[]): [number, FileSystemKind][] {
  return types.map((type) => [type, name])
}

/** The kind of a file system by its statfs(2) type on Linux; one that is not known is `local`. */
export function kindOfType(type: number): FileSystemKind {
  return KINDS.get(type >>> 0) ?? 'local'
}

/** The kind of the file system that holds what is at `path`; `local` on other systems than Linux, which number them in other ways. */
export function fileSystemKind(path: string): FileSystemKind {
  if (process.platform !== 'linux') return 'local'
  return withShortPath(path, (shortPath) => {
    // statfs follows symlinks. A link is in the file system of its folder.
    if (lstatSync(shortPath).isSymbolicLink()) return fileSystemKind(posix.dirname(path))
    return kindOfType(statfsSync(shortPath).type)
  })
}

/**
 * Writes everything that the file system which holds `path` has in memory to its disk, and waits for it: seconds, perhaps, for
 * which this thread does nothing else. Much cheaper than syncing thousands of files one by one. An earlier write that failed is
 * reported from Linux 5.8 on.
 *
 * `path` is a file or directory that may be read. Fails with `ENOTSUP` where there is no syncfs(2).
 */
export function syncFileSystem(path: string): void {
  const native = getLibc()
  if (!native) throw systemError('ENOTSUP', 'syncfs', path)
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fsConstants
  const fd = withShortPath(path, (shortPath) => openSync(shortPath, O_RDONLY | O_NOFOLLOW | O_NONBLOCK))
  try {
    checked(native, native.syncfs(fd), 'syncfs', path)
  } finally {
    closeSync(fd)
  }
}
