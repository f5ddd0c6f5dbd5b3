import { systemClock } from '../base/clock.ts'
import { errnoOf } from '../base/errors.ts'
import { readFileFlags, setFileFlags } from '../platform/file-flags.ts'
import { type FileStat, setMode, setOwner } from '../platform/files.ts'
import { setOpenFileTimes, setTimes } from '../platform/native.ts'
import { isAcl, readXattrs, removeXattr, setXattr } from '../platform/xattrs.ts'
import type { NodeXattr } from '../snapshot/attachment.ts'
import type { LossKind } from './losses.ts'

/** What a restored entry has besides its content. Sent to workers for every file: what is rare is absent where it says nothing. */
export interface Metadata {
  /** Absent for symlinks, which have none. */
  readonly mode?: number | undefined
  readonly uid: number
  readonly gid: number
  readonly mtimeNs: bigint
  /** Left as the system sets it when absent. */
  readonly atimeNs?: bigint | undefined
  readonly flags?: number | undefined
  readonly xattrs?: readonly NodeXattr[] | undefined
  /** It may have attributes and flags of its own, or of the directory it was made in: they go unless they are in the snapshot. */
  readonly clean?: boolean | undefined
}

/** What this process may do, and what the user wants restored; the same for every entry and thread. */
export interface Rights {
  readonly isRoot: boolean
  readonly uid: number
  readonly gid: number
  readonly umask: number
  /** Groups that files may be given to without being root. */
  readonly groups: readonly number[]
  readonly xattrs: boolean
  readonly acls: boolean
  readonly flags: boolean
}

/** Takes note of what cannot be set; throws what must end the run. */
export type Lose = (kind: LossKind, error: unknown) => void

export function currentRights(wanted: Pick<Rights, 'xattrs' | 'acls' | 'flags'>): Rights {
  const { xattrs, acls, flags } = wanted
  const uid = process.geteuid?.() ?? -1
  const gid = process.getegid?.() ?? -1
  const groups = [gid, ...(process.getgroups?.() ?? [])]
  return { isRoot: uid === 0, uid, gid, umask: process.umask(), groups, xattrs, acls, flags }
}

const SETUID_AND_SETGID = 0o6000

/** What an entry was made or found with. */
export type Current = Pick<FileStat, 'uid' | 'gid' | 'mode'> & { readonly mtimeNs?: bigint }

/**
 * The mode to make a file with: its own, where that is what the file then has, and nobody else can get at it before it is complete;
 * so it need not be set. 0600 otherwise: nobody reads half a file, or one that will not be theirs.
 */
export function creationMode({ mode = 0o600 }: Metadata, isPrivate: boolean, { umask }: Rights): number {
  return isPrivate && mode <= 0o777 && (mode & umask) === 0 ? mode : 0o600
}

/**
 * Sets everything but flags, which come last of all (`setFlags`): owner before mode, since changing it clears setuid and setgid;
 * mode before attributes, since an ACL's mask is the group's bits, and a change of owner removes capabilities; then times.
 *
 * What cannot be set is told to `lose`, and the rest is set all the same. Setuid and setgid are left out where the owner
 * could not be set: they were meant for that owner, and would give away the rights of whoever restores.
 *
 * @param current what the entry has been made or found with, if that is known: what is equal is not set again
 */
export function setMetadata(
  target: string | number,
  metadata: Metadata,
  rights: Rights,
  lose: Lose,
  current?: Current,
): void {
  const { mode, mtimeNs, atimeNs } = metadata
  const isOwner = setOwners(target, metadata, rights, lose, current)
  if (mode !== undefined) {
    const allowed = isOwner ? mode & 0o7777 : mode & 0o1777
    if (!isOwner && mode & SETUID_AND_SETGID) lose('setid', NOT_THEIRS)
    // The change of owner has cleared setuid and setgid.
    if (current?.mode !== allowed || current.uid !== metadata.uid || current.gid !== metadata.gid)
      attempt('mode', lose, () => setMode(target, allowed))
  }
  if (metadata.xattrs || metadata.clean) setXattrs(target, metadata, rights, lose)
  if (current && current.mtimeNs === mtimeNs && atimeNs === undefined) return
  attempt('times', lose, () => setBothTimes(target, atimeNs ?? BigInt(systemClock.now()) * 1_000_000n, mtimeNs))
}

/** Why setuid and setgid go: a reason without an errno of its own. */
const NOT_THEIRS = Object.assign(new Error(''), { code: 'EPERM' })

/** Sets flags exactly; the last thing to do, since nothing of an immutable file can be set. */
export function setFlags(target: string | number, metadata: Metadata, rights: Rights, lose: Lose): void {
  const { flags = 0, clean } = metadata
  if (!rights.flags || (flags === 0 && !clean)) return
  attempt('flags', lose, () => {
    if (clean && readFileFlags(target) === flags) return
    setFileFlags(target, flags)
  })
}

function setOwners(
  target: string | number,
  { uid, gid }: Metadata,
  { isRoot, uid: ownUid, groups }: Rights,
  lose: Lose,
  current: Current | undefined,
): boolean {
  if (current?.uid === uid && current.gid === gid) return true
  try {
    if (isRoot) {
      setOwner(target, uid, gid)
      return true
    }
    const mayGroup = groups.includes(gid)
    if (mayGroup) setOwner(target, -1, gid)
    if (mayGroup && uid === ownUid) return true
    lose('owner', NOT_PERMITTED)
  } catch (error) {
    lose('owner', error)
  }
  return false
}

const NOT_PERMITTED = Object.assign(new Error('operation not permitted'), { code: 'EPERM' })

/** Labels that the system gives by itself: that a snapshot has none says nothing about this system. */
const LABELS = new Set(['security.selinux', 'security.SMACK64', 'security.apparmor', 'security.ima', 'security.evm'])

function kindOf(name: string): LossKind {
  return isAcl(name) ? 'acl' : 'xattr'
}

function setXattrs(target: string | number, metadata: Metadata, rights: Rights, lose: Lose): void {
  const isWanted = (name: string): boolean => (isAcl(name) ? rights.acls : rights.xattrs)
  const wanted = metadata.xattrs?.filter(({ name }) => isWanted(name)) ?? []
  const found = metadata.clean ? readXattrs(target) : []
  for (const { name } of found) {
    if (!isWanted(name) || LABELS.has(name) || wanted.some((xattr) => xattr.name === name)) continue
    attempt(kindOf(name), lose, () => removeXattr(target, name))
  }
  for (const { name, value } of wanted) {
    if (found.some((xattr) => xattr.name === name && xattr.value.equals(value))) continue
    attempt(kindOf(name), lose, () => setXattr(target, name, value))
  }
}

function setBothTimes(target: string | number, atimeNs: bigint, mtimeNs: bigint): void {
  if (typeof target === 'number') setOpenFileTimes(target, atimeNs, mtimeNs)
  else setTimes(target, atimeNs, mtimeNs)
}

function attempt(kind: LossKind, lose: Lose, action: () => void): void {
  try {
    action()
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    lose(kind, error)
  }
}
