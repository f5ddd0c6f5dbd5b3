import { damagedArchive } from '../archive-error.ts'

/*
 * The 512 bytes before each member (pax(1) of POSIX, "ustar Interchange Format"; GNU tar's tar.h for its own). Numbers are octal
 * text; GNU tar and star write those that do not fit as binary with the first bit set.
 */

export const BLOCK_BYTES = 512

/** The fields of a header that are there, whatever made it. */
export interface TarHeader {
  /** Raw bytes, with the prefix of ustar. */
  readonly path: Buffer
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Bytes that follow in the archive, without padding. */
  readonly sizeBytes: number
  /** Seconds since 1970. */
  readonly mtime: number
  /** One character; NUL of old archives is given as `0`. */
  readonly type: string
  readonly linkTarget: Buffer
  readonly user: Buffer
  readonly group: Buffer
  readonly major: number
  readonly minor: number
  /** `old` has neither owners' names nor devices; `gnu` has no prefix, and its own fields there. */
  readonly dialect: 'old' | 'ustar' | 'gnu'
}

const MAGIC = 257
const CHECKSUM = 148

/** Whether a block is a header: its checksum is right. */
export function isHeader(block: Buffer): boolean {
  const stored = textField(block, CHECKSUM, 8).toString('latin1').trim()
  if (!/^[0-7]+$/.test(stored)) return false
  const sum = Number.parseInt(stored, 8)
  // Some old programs summed up signed bytes.
  return sum === checksum(block, false) || sum === checksum(block, true)
}

/** What something is refused with that does not begin as an archive does. */
export function noArchive(): Error {
  return damagedArchive('it is neither a tar nor a zip archive')
}

/** @throws {CairnError} `ARCHIVE_CORRUPT` when the block is no header */
export function decodeHeader(block: Buffer, position: number): TarHeader {
  const where = `the header at byte ${position}`
  if (!isHeader(block)) throw position === 0 ? noArchive() : damagedArchive(`${where} has a wrong checksum`)
  const magic = block.toString('latin1', MAGIC, MAGIC + 8)
  const dialect = magic === 'ustar  \0' ? 'gnu' : magic.startsWith('ustar') ? 'ustar' : 'old'
  const hasOwners = dialect !== 'old'
  const number = (at: number, length: number): number => decodeNumber(block, at, length, where)
  const name = textField(block, 0, 100)
  const prefix = dialect === 'ustar' ? textField(block, 345, 155) : Buffer.alloc(0)
  return {
    path: prefix.length > 0 ? Buffer.concat([prefix, Buffer.from('/'), name]) : Buffer.from(name),
    mode: number(100, 8) & 0o7777,
    uid: number(108, 8),
    gid: number(116, 8),
    sizeBytes: requireSize(number(124, 12), where),
    mtime: number(136, 12),
    type: block[156] === 0 ? '0' : block.toString('latin1', 156, 157),
    linkTarget: Buffer.from(textField(block, 157, 100)),
    user: hasOwners ? Buffer.from(textField(block, 265, 32)) : Buffer.alloc(0),
    group: hasOwners ? Buffer.from(textField(block, 297, 32)) : Buffer.alloc(0),
    major: hasOwners ? number(329, 8) : 0,
    minor: hasOwners ? number(337, 8) : 0,
    dialect,
  }
}

/** A number of a header or of GNU's sparse map. @throws {CairnError} `ARCHIVE_CORRUPT` */
export function decodeNumber(block: Buffer, at: number, length: number, where: string): number {
  const first = block[at] as number
  if (first & 0x80) {
    // Base 256, two's complement; 0x80 and 0xff are what is written in front.
    let value = first & 0x40 ? (first & 0x7f) - 0x80 : first & 0x7f
    for (let i = 1; i < length; i++) value = value * 256 + (block[at + i] as number)
    if (Number.isSafeInteger(value)) return value
    throw damagedArchive(`${where} has a number that is too large`)
  }
  const text = block.toString('latin1', at, at + length).replace(/^[ \0]*/, '')
  const [digits = ''] = /^[0-7]*/.exec(text) ?? []
  if (digits.length < text.length && text[digits.length] !== ' ' && text[digits.length] !== '\0')
    throw damagedArchive(`${where} has a number that is none`)
  return digits === '' ? 0 : Number.parseInt(digits, 8)
}

function requireSize(size: number, where: string): number {
  if (size < 0) throw damagedArchive(`${where} has a negative size`)
  return size
}

function textField(block: Buffer, at: number, length: number): Buffer {
  const bytes = block.subarray(at, at + length)
  const end = bytes.indexOf(0)
  return end < 0 ? bytes : bytes.subarray(0, end)
}

function checksum(block: Buffer, signed: boolean): number {
  let sum = 8 * 0x20 // the checksum itself counts as blanks
  for (let at = 0; at < BLOCK_BYTES; at++) {
    if (at >= CHECKSUM && at < CHECKSUM + 8) continue
    const byte = block[at] as number
    sum += signed && byte > 127 ? byte - 256 : byte
  }
  return sum
}

/** What a header written by us says. Whatever does not fit is cut, for pax records say it. */
export interface UstarFields {
  readonly path: Buffer
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly sizeBytes: number
  readonly mtime: number
  readonly type: string
  readonly linkTarget: Buffer
  readonly user: Buffer
  readonly group: Buffer
  readonly major: number
  readonly minor: number
}

/** Largest numbers that stand in a header. */
export const MAX_ID = 0o7777777
export const MAX_SIZE = 0o77777777777

/** Writes a ustar header to the beginning of `block`, and which fields did not fit. */
export function encodeHeader(block: Buffer, fields: UstarFields): void {
  block.fill(0, 0, BLOCK_BYTES)
  const { name, prefix } = splitPath(fields.path) ?? { name: fields.path.subarray(0, 100), prefix: undefined }
  name.copy(block, 0)
  prefix?.copy(block, 345, 0, 155)
  octal(block, 100, 8, fields.mode)
  octal(block, 108, 8, fields.uid)
  octal(block, 116, 8, fields.gid)
  octal(block, 124, 12, fields.sizeBytes)
  octal(block, 136, 12, fields.mtime)
  block.write(fields.type, 156, 'latin1')
  fields.linkTarget.copy(block, 157, 0, 100)
  block.write('ustar\x0000', MAGIC, 'latin1')
  fields.user.copy(block, 265, 0, 31)
  fields.group.copy(block, 297, 0, 31)
  octal(block, 329, 8, fields.major)
  octal(block, 337, 8, fields.minor)
  block.write(`${checksum(block, false).toString(8).padStart(6, '0')}\0 `, CHECKSUM, 'latin1')
}

/** How ustar holds a path: as a name of 100 bytes, or one and a prefix of 155 that a `/` parts; `undefined` when it cannot. */
export function splitPath(path: Buffer): { name: Buffer; prefix: Buffer | undefined } | undefined {
  if (path.length <= 100) return { name: path, prefix: undefined }
  if (path.length > 256) return undefined
  // The first slash that leaves a name which fits; one at the end belongs to the name.
  const slash = path.indexOf(0x2f, path.length - 101)
  if (slash <= 0 || slash > 155 || slash >= path.length - 1) return undefined
  return { name: path.subarray(slash + 1), prefix: path.subarray(0, slash) }
}

/** Out of range becomes 0: the pax record counts. */
function octal(block: Buffer, at: number, length: number, value: number): void {
  const text =
    value >= 0 && value < 8 ** (length - 1) ? value.toString(8).padStart(length - 1, '0') : '0'.repeat(length - 1)
  block.write(text, at, 'latin1')
}
