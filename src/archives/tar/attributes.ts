import { fromRawName, toRawName } from '../../base/raw-name.ts'
import { FILE_FLAGS } from '../../platform/file-flags.ts'
import type { ArchiveXattr } from '../archive-entry.ts'
import { aclFromText, aclToMode, aclToText } from './acl-text.ts'
import type { PaxRecords } from './pax.ts'

/*
 * Attributes of a file as pax records. Standards there are none: SCHILY.* are those of star, which GNU tar and libarchive write and
 * read, RHT.* of Red Hat's tar.
 */

const XATTR = 'SCHILY.xattr.'
const SELINUX = { record: 'RHT.security.selinux', xattr: 'security.selinux' } as const
const ACCESS_ACL = 'system.posix_acl_access'
const ACLS = [
  ['SCHILY.acl.access', ACCESS_ACL],
  ['SCHILY.acl.default', 'system.posix_acl_default'],
] as const
const FLAGS = [
  ['nodump', FILE_FLAGS.NODUMP],
  ['schg', FILE_FLAGS.IMMUTABLE],
  ['sappnd', FILE_FLAGS.APPEND],
] as const
/** Other programs' words for them. */
const FLAG_WORDS = new Map<string, number>([
  ...FLAGS,
  ['simmutable', FILE_FLAGS.IMMUTABLE],
  ['schange', FILE_FLAGS.IMMUTABLE],
  ['uchg', FILE_FLAGS.IMMUTABLE],
  ['sappend', FILE_FLAGS.APPEND],
  ['uappnd', FILE_FLAGS.APPEND],
])

/**
 * The extended attributes that records tell of. Bytes count more than text that says the same.
 *
 * @param onLoss told of what cannot be understood here
 */
export function xattrsOf(records: PaxRecords, onLoss: (kind: string) => void): ArchiveXattr[] | undefined {
  let xattrs: Map<string, Buffer> | undefined
  const add = (name: string, value: Buffer): void => void (xattrs ??= new Map()).set(name, value)
  for (const [key, value] of records) {
    if (!key.startsWith(XATTR)) continue
    const name = decodeName(key.slice(XATTR.length))
    if (name === '' || name.includes('\0')) onLoss('extended attributes without a proper name')
    else add(name, value)
  }
  if (records.has('SCHILY.acl.ace')) onLoss('NFSv4 ACLs')
  for (const [key, name] of ACLS) {
    const text = records.get(key)
    if (!text || xattrs?.has(name)) continue
    const acl = aclFromText(text.toString('utf8'))
    if (acl === undefined) onLoss('ACLs that name somebody unknown here')
    else if (acl !== 'minimal') add(name, acl)
  }
  const label = records.get(SELINUX.record)
  if (label && !xattrs?.has(SELINUX.xattr)) add(SELINUX.xattr, Buffer.concat([label, Buffer.of(0)]))
  return xattrs && [...xattrs].map(([name, value]) => ({ name, value }))
}

/** The mode of an entry: what an ACL says of it counts, since some programs put the bits of the group where those of the mask belong. */
export function modeOf(mode: number, xattrs: readonly ArchiveXattr[] | undefined): number {
  const acl = xattrs?.find(({ name }) => name === ACCESS_ACL)
  const permissions = acl && aclToMode(acl.value)
  return permissions === undefined ? mode : (mode & 0o7000) | permissions
}

/** The records that tell of extended attributes. */
export function* xattrRecords(xattrs: readonly ArchiveXattr[]): Generator<[key: string, value: Uint8Array]> {
  for (const { name, value } of xattrs) {
    yield [`${XATTR}${encodeName(name)}`, value]
    const acl = ACLS.find(([, xattr]) => xattr === name)
    const text = acl && aclToText(value)
    if (acl && text !== undefined) yield [acl[0], Buffer.from(text)]
    if (name === SELINUX.xattr && value.indexOf(0) === value.length - 1)
      yield [SELINUX.record, value.subarray(0, value.length - 1)]
  }
}

/** `FILE_FLAGS` of the record that tells of them. */
export function flagsOf(records: PaxRecords): number {
  const words = records.get('SCHILY.fflags')?.toString('latin1').split(',') ?? []
  return words.reduce((flags, word) => flags | (FLAG_WORDS.get(word) ?? 0), 0)
}

export function* flagRecords(flags: number): Generator<[key: string, value: Uint8Array]> {
  const words = FLAGS.filter(([, flag]) => flags & flag).map(([word]) => word)
  if (words.length > 0) yield ['SCHILY.fflags', Buffer.from(words.join(','))]
}

/** In a key `=` would end the name; GNU tar writes it, and `%`, as a URL does. Keys are latin1 text of bytes. */
function encodeName(name: string): string {
  return toRawName(name).toString('latin1').replaceAll('%', '%25').replaceAll('=', '%3D')
}

function decodeName(key: string): string {
  return fromRawName(Buffer.from(key.replaceAll('%3D', '=').replaceAll('%25', '%'), 'latin1'))
}
