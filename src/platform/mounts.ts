import { readFileSync } from 'node:fs'
import { fromRawName } from '../base/raw-name.ts'

/** A mounted file system. */
export interface Mount {
  /** Raw-name text. */
  readonly mountPoint: string
  /** As mount(8) names it: `ext4`, `nfs4`, `fuse.sshfs`. */
  readonly type: string
  /** Options of the mount and of the file system, such as `acregmax=60`. */
  readonly options: readonly string[]
}

/** The mounts of this process, the one mounted last on a path last; none where there is no `/proc`. @throws when another `file` cannot be read */
export function readMounts(file = '/proc/self/mountinfo'): Mount[] {
  try {
    return parseMounts(readFileSync(file))
  } catch (error) {
    if (file === '/proc/self/mountinfo') return []
    throw error
  }
}

/** Lines as of proc_pid_mountinfo(5); passes over what is no such line. */
export function parseMounts(content: Uint8Array): Mount[] {
  const mounts: Mount[] = []
  for (const line of Buffer.from(content).toString('latin1').split('\n')) {
    const [head = '', tail = ''] = line.split(' - ')
    const [, , , , mountPoint, mountOptions] = head.split(' ')
    const [type, , superOptions = ''] = tail.split(' ')
    if (!mountPoint || !mountOptions || !type) continue
    mounts.push({
      mountPoint: fromRawName(Buffer.from(unescape(mountPoint), 'latin1')),
      type,
      options: [...mountOptions.split(','), ...superOptions.split(',')],
    })
  }
  return mounts
}

/** The mount that a path, absolute and without symlinks, lies in. */
export function mountOf(mounts: readonly Mount[], path: string): Mount | undefined {
  let found: Mount | undefined
  for (const mount of mounts) {
    const isAbove = mount.mountPoint === '/' || path === mount.mountPoint || path.startsWith(`${mount.mountPoint}/`)
    if (isAbove && mount.mountPoint.length >= (found?.mountPoint.length ?? 0)) found = mount
  }
  return found
}

/** Spaces and the like are written in octal. */
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}
