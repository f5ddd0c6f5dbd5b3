import { groupId, userId } from '../../platform/owners.ts'

/*
 * POSIX ACLs: text of acl(5), as tar has them, and the bytes of the extended attribute as Linux has them
 * (linux/posix_acl_xattr.h): a version, then tag, permissions and id of each entry, little-endian, sorted by tag and id.
 */

const VERSION = 2
const TAGS = { USER_OBJ: 1, USER: 2, GROUP_OBJ: 4, GROUP: 8, MASK: 0x10, OTHER: 0x20 } as const
const NO_ID = 0xffff_ffff

interface AclEntry {
  readonly tag: number
  readonly permissions: number
  readonly id: number
}

/**
 * The bytes of an ACL given as text. `'minimal'` when it says no more than the mode does; `undefined` when it makes no sense here,
 * or names somebody whom nobody knows here.
 */
export function aclFromText(text: string): Buffer | 'minimal' | undefined {
  const entries: AclEntry[] = []
  for (const line of text.split(/[\n,]/)) {
    const words = line.replace(/#.*/, '').trim()
    if (words === '') continue
    const entry = parseEntry(words)
    if (!entry) return undefined
    entries.push(entry)
  }
  if (entries.length === 0) return undefined
  if (entries.every(({ tag }) => tag === TAGS.USER_OBJ || tag === TAGS.GROUP_OBJ || tag === TAGS.OTHER))
    return 'minimal'
  entries.sort((a, b) => a.tag - b.tag || a.id - b.id)
  const bytes = Buffer.alloc(4 + entries.length * 8)
  bytes.writeUInt32LE(VERSION)
  for (const [i, { tag, permissions, id }] of entries.entries()) {
    bytes.writeUInt16LE(tag, 4 + i * 8)
    bytes.writeUInt16LE(permissions, 6 + i * 8)
    bytes.writeUInt32LE(id, 8 + i * 8)
  }
  return bytes
}

/** `user::rwx`, `group:NAME:r-x`; star and libarchive put the number behind, for machines that do not know the name. */
function parseEntry(words: string): AclEntry | undefined {
  const [, kind = '', name = '', letters = '', number] =
    /^(u(?:ser)?|g(?:roup)?|m(?:ask)?|o(?:ther)?):(?:([^:]*):)?([rwxX-]{1,4})(?::(\d{1,10}))?\s*$/.exec(words) ?? []
  const permissions = (letters.includes('r') ? 4 : 0) | (letters.includes('w') ? 2 : 0) | (/x/i.test(letters) ? 1 : 0)
  if (letters === '') return undefined
  const type = kind[0]
  if (type === 'm') return { tag: TAGS.MASK, permissions, id: NO_ID }
  if (type === 'o') return { tag: TAGS.OTHER, permissions, id: NO_ID }
  const [own, named, find] = type === 'u' ? [TAGS.USER_OBJ, TAGS.USER, userId] : [TAGS.GROUP_OBJ, TAGS.GROUP, groupId]
  if (name === '') return { tag: own, permissions, id: NO_ID }
  const id = /^\d{1,10}$/.test(name)
    ? Number(name)
    : (find(name) ?? (number === undefined ? undefined : Number(number)))
  return id !== undefined && id < NO_ID ? { tag: named, permissions, id } : undefined
}

const WORDS: Readonly<Record<number, string>> = {
  [TAGS.USER_OBJ]: 'user:',
  [TAGS.USER]: 'user:',
  [TAGS.GROUP_OBJ]: 'group:',
  [TAGS.GROUP]: 'group:',
  [TAGS.MASK]: 'mask:',
  [TAGS.OTHER]: 'other:',
}

/** The text of an ACL, with numbers for names; `undefined` for bytes that are none. */
export function aclToText(bytes: Uint8Array): string | undefined {
  const lines = entriesOf(bytes)?.map(({ tag, permissions, id }) => {
    const name = tag === TAGS.USER || tag === TAGS.GROUP ? String(id) : ''
    const letters = `${permissions & 4 ? 'r' : '-'}${permissions & 2 ? 'w' : '-'}${permissions & 1 ? 'x' : '-'}`
    return `${WORDS[tag]}${name}:${letters}\n`
  })
  return lines?.join('')
}

/** The permission bits of a mode that this ACL stands for: the group's are those of the mask. `undefined` for bytes that are none. */
export function aclToMode(bytes: Uint8Array): number | undefined {
  const entries = entriesOf(bytes)
  const find = (wanted: number): number | undefined => entries?.find(({ tag }) => tag === wanted)?.permissions
  const [user, group, other] = [find(TAGS.USER_OBJ), find(TAGS.MASK) ?? find(TAGS.GROUP_OBJ), find(TAGS.OTHER)]
  if (user === undefined || group === undefined || other === undefined) return undefined
  return (user << 6) | (group << 3) | other
}

function entriesOf(bytes: Uint8Array): AclEntry[] | undefined {
  const acl = Buffer.from(bytes)
  if (acl.length < 12 || (acl.length - 4) % 8 !== 0 || acl.readUInt32LE() !== VERSION) return undefined
  const entries: AclEntry[] = []
  for (let at = 4; at < acl.length; at += 8) {
    const [tag, permissions, id] = [acl.readUInt16LE(at), acl.readUInt16LE(at + 2), acl.readUInt32LE(at + 4)]
    if (WORDS[tag] === undefined || permissions > 7) return undefined
    entries.push({ tag, permissions, id })
  }
  return entries
}
