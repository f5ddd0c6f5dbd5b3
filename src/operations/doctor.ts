import path from 'node:path'
import { CairnError } from '../base/errors.ts'
import { describeSystemError, findFile, listDirectory } from '../platform/files.ts'
import { type Mount, mountOf, readMounts } from '../platform/mounts.ts'
import { nativeProblem } from '../platform/native.ts'

/** One thing that was looked at. */
export interface Finding {
  readonly status: 'ok' | 'warning'
  /** What was looked at: a path, or a word. */
  readonly subject: string
  readonly message: string
  /** What to do about it. */
  readonly advice?: string | undefined
}

export interface DoctorOptions {
  /** Folders that are or will be backed up; raw-name text. All mounts when empty. */
  readonly paths: readonly string[]
  /** Folder of a repository on this machine. */
  readonly repository?: string | undefined
  /** Instead of this system's own list of mounts. */
  readonly mountInfoFile?: string | undefined
}

/** How many entries of a folder are looked at to learn how its file system answers. */
const SAMPLE_ENTRIES = 200

/**
 * Looks for what makes backups of this machine miss changes or lose attributes: missing system calls, file servers that cache
 * attributes, file systems with coarse times.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` when the list of mounts or a path cannot be read
 */
export function examine({ paths, repository, mountInfoFile }: DoctorOptions): Finding[] {
  const mounts = mountsOf(mountInfoFile)
  const findings: Finding[] = [programFinding()]
  const folders = paths.map((given) => path.resolve(given))
  const isBelow = (mount: Mount): boolean =>
    folders.length === 0 ||
    folders.some((folder) => mount.mountPoint === folder || mount.mountPoint.startsWith(`${folder}/`))
  const looked = new Set([...folders.map((folder) => mountOf(mounts, folder)), ...mounts.filter(isBelow)])
  for (const mount of looked) if (mount) findings.push(...mountFindings(mount, folders.length > 0))
  for (const folder of folders) findings.push(...folderFindings(folder))
  const home = repository && mountOf(mounts, path.resolve(repository))
  if (home) findings.push(...repositoryFindings(home, path.resolve(repository)))
  return findings
}

function mountsOf(file: string | undefined): Mount[] {
  try {
    return readMounts(file)
  } catch (error) {
    throw new CairnError('INVALID_ARGUMENT', `Cannot read the mounts in ${file}: ${describeSystemError(error)}`, {
      cause: error,
    })
  }
}

function programFinding(): Finding {
  const problem = nativeProblem()
  if (!problem) return ok('system calls', 'all of them can be made: nothing that a file has is left out')
  return warning('system calls', problem, 'extended attributes, ACLs, flags and holes of files are not kept here')
}

function mountFindings(mount: Mount, all: boolean): Finding[] {
  const { mountPoint, type } = mount
  if (/^nfs\d?$/.test(type)) return [attributeCache(mount, 'acregmax', 60, ['noac'])]
  if (/^(cifs|smb3)$/.test(type)) return [attributeCache(mount, 'actimeo', 1, ['cache=none'])]
  if (/^(v?fat|msdos|exfat)$/.test(type)) {
    const advice = 'blocks of content are compared besides; give --detect full-hash now and then'
    return [warning(mountPoint, `${type}: times of two seconds, inode numbers made up, no owners`, advice)]
  }
  if (/^(9p|ceph|lustre|beegfs|vboxsf|virtiofs)$|^fuse(blk)?(\.|$)/.test(type)) {
    const advice = 'blocks of content are compared besides; give --detect full-hash now and then'
    return [ok(mountPoint, `${type}: inode numbers and times may be made up; ${advice}`)]
  }
  return all ? [ok(mountPoint, `${type}: changes are noticed by ctime and inode number`)] : []
}

/** A client that keeps what a server said of a file notices changes made elsewhere only when it asks again. */
function attributeCache(
  { mountPoint, type, options }: Mount,
  name: string,
  standardS: number,
  off: readonly string[],
): Finding {
  const given = options.findLast((option) => option.startsWith(`${name}=`) || option.startsWith('actimeo='))
  const seconds = Number(given?.split('=')[1] ?? standardS)
  if (seconds === 0 || options.some((option) => off.includes(option)))
    return ok(mountPoint, `${type}: attributes are not cached, so changes made elsewhere are seen at once`)
  return warning(
    mountPoint,
    `${type}: attributes are cached for up to ${seconds} s, so a change made on another machine may be seen late`,
    `mount it with actimeo=0 or ${off[0]}, or wait for it with 'cairn create --settle ${seconds}s'`,
  )
}

/** How the file system of a folder answers. */
function folderFindings(folder: string): Finding[] {
  let names: string[]
  try {
    names = listDirectory(folder).slice(0, SAMPLE_ENTRIES)
  } catch (error) {
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot look at ${folder}: ${describeSystemError(error)}; check the path`,
      {
        cause: error,
      },
    )
  }
  const findings: Finding[] = []
  const first = names.map((name) => findFile(path.join(folder, name)))
  const second = names.map((name) => findFile(path.join(folder, name)))
  if (first.some((stat, i) => stat && second[i] && stat.inode !== second[i].inode)) {
    const advice =
      "changes cannot be told by ctime and inode here; give '--detect partial-hash' or '--detect full-hash'"
    findings.push(warning(folder, 'inode numbers differ from one look to the next', advice))
  }
  const times = first.flatMap((stat) => (stat ? [stat.mtimeNs] : []))
  if (times.length >= 8 && times.every((time) => time % 1_000_000_000n === 0n)) {
    findings.push(
      ok(folder, 'times are whole seconds; files changed within two seconds before a run are read again by the next'),
    )
  }
  return findings
}

function repositoryFindings({ type, options }: Mount, folder: string): Finding[] {
  if (/^nfs\d?$/.test(type) && (type === 'nfs' || options.some((option) => /^(nfs)?vers=[23]/.test(option)))) {
    const advice = 'use NFS 4, or let the server itself run the repository'
    return [warning(folder, 'repository on NFS 3: a repeated request can make a rename or a link look failed', advice)]
  }
  if (/^(v?fat|msdos|exfat)$/.test(type)) {
    const advice = 'a power cut can lose what was just written; take a file system with a journal'
    return [
      warning(folder, `repository on ${type}: it keeps no owners, and renaming is not safe against power cuts`, advice),
    ]
  }
  return [ok(folder, `repository on ${type}`)]
}

function ok(subject: string, message: string): Finding {
  return { status: 'ok', subject, message }
}

function warning(subject: string, message: string, advice: string): Finding {
  return { status: 'warning', subject, message, advice }
}
