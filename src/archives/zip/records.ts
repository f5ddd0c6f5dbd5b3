/*
 * The records of a zip archive (PKWARE's APPNOTE), as far as they are written: local headers, the central directory, zip64; and of
 * extra fields those for times and owners that Info-ZIP made.
 */

/** One member, as its headers tell of it. */
export interface ZipMember {
  readonly name: Buffer
  readonly isUtf8: boolean
  /** With the type, as in `st_mode`. */
  readonly mode: number
  readonly isFolder: boolean
  readonly uid: number
  readonly gid: number
  readonly mtimeNs: bigint
  /** Where its local header begins. */
  readonly offset: number
  readonly method: number
  readonly crc: number
  readonly storedBytes: number
  readonly sizeBytes: number
  /** Checksum and sizes stand behind the content. */
  readonly isStreamed: boolean
}

export const METHODS = { stored: 0, deflated: 8 } as const
/** Of `st_mode`. */
export const MODE_TYPES = { file: 0o100_000, dir: 0o040_000, symlink: 0o120_000 } as const

export const EXTRA = { zip64: 0x0001, ntfs: 0x000a, unixTime: 0x5455, unixOwner: 0x7875 } as const

const MAX_32 = 0xffff_ffff
/** Deflate makes content longer by five bytes in 16 KiB at most. */
const NEARLY_MAX_32 = MAX_32 - (1 << 24)
const FLAG_STREAMED = 0x0008
const FLAG_UTF8 = 0x0800
const VERSION = { plain: 20, zip64: 45 } as const
/** Made on Unix, so that the upper half of the attributes is a mode. */
const MADE_BY = (3 << 8) | 45

/** Whether sizes need 64 bits; of a streamed member, whether they may, which has to be said before it is stored. */
function isLarge({ sizeBytes, storedBytes, isStreamed }: ZipMember): boolean {
  return isStreamed ? sizeBytes >= NEARLY_MAX_32 : Math.max(sizeBytes, storedBytes) >= MAX_32
}

export function encodeLocalHeader(member: ZipMember): Buffer {
  const { name, isStreamed } = member
  const isZip64 = isLarge(member)
  const sizes = isStreamed ? { crc: 0, storedBytes: 0, sizeBytes: 0 } : member
  const extra = Buffer.concat([
    timeField(member, true),
    ownerField(member),
    ...(isZip64 ? [field(EXTRA.zip64, [sizes.sizeBytes, sizes.storedBytes].map(u64))] : []),
  ])
  const header = Buffer.alloc(30)
  header.writeUInt32LE(0x0403_4b50, 0)
  header.writeUInt16LE(isZip64 ? VERSION.zip64 : VERSION.plain, 4)
  writeCommon(header, 6, member)
  header.writeUInt32LE(sizes.crc, 14)
  header.writeUInt32LE(isZip64 ? MAX_32 : sizes.storedBytes, 18)
  header.writeUInt32LE(isZip64 ? MAX_32 : sizes.sizeBytes, 22)
  header.writeUInt16LE(name.length, 26)
  header.writeUInt16LE(extra.length, 28)
  return Buffer.concat([header, name, extra])
}

/** What follows the content of a streamed member. */
export function encodeDescriptor(member: ZipMember): Buffer {
  const { crc, storedBytes, sizeBytes } = member
  const head = Buffer.alloc(8)
  head.writeUInt32LE(0x0807_4b50, 0)
  head.writeUInt32LE(crc, 4)
  const number = isLarge(member) ? u64 : u32
  return Buffer.concat([head, number(storedBytes), number(sizeBytes)])
}

const BLOCK_BYTES = 1 << 20

/** Gathers what comes at the end of an archive, in few large pieces of memory. */
export class CentralDirectory {
  readonly #full: Buffer[] = []
  #block = Buffer.alloc(0)
  #used = 0
  #bytes = 0
  #entries = 0

  add(member: ZipMember): void {
    const record = encodeDirectoryRecord(member)
    if (this.#used + record.length > this.#block.length) {
      this.#full.push(this.#block.subarray(0, this.#used))
      this.#block = Buffer.allocUnsafeSlow(BLOCK_BYTES)
      this.#used = 0
    }
    this.#used += record.copy(this.#block, this.#used)
    this.#bytes += record.length
    this.#entries++
  }

  /** @param start where in the archive it is going to be */
  *encode(start: number): Generator<Buffer> {
    yield* this.#full
    yield this.#block.subarray(0, this.#used)
    const isZip64 = this.#entries >= 0xffff || this.#bytes >= MAX_32 || start >= MAX_32
    if (isZip64) yield this.#encodeZip64(start)
    const end = Buffer.alloc(22)
    end.writeUInt32LE(0x0605_4b50, 0)
    end.writeUInt16LE(Math.min(this.#entries, 0xffff), 8)
    end.writeUInt16LE(Math.min(this.#entries, 0xffff), 10)
    end.writeUInt32LE(Math.min(this.#bytes, MAX_32), 12)
    end.writeUInt32LE(Math.min(start, MAX_32), 16)
    yield end
  }

  #encodeZip64(start: number): Buffer {
    const end = Buffer.alloc(56 + 20)
    end.writeUInt32LE(0x0606_4b50, 0)
    u64(56 - 12).copy(end, 4)
    end.writeUInt16LE(MADE_BY, 12)
    end.writeUInt16LE(VERSION.zip64, 14)
    u64(this.#entries).copy(end, 24)
    u64(this.#entries).copy(end, 32)
    u64(this.#bytes).copy(end, 40)
    u64(start).copy(end, 48)
    end.writeUInt32LE(0x0706_4b50, 56)
    u64(start + this.#bytes).copy(end, 64)
    end.writeUInt32LE(1, 72)
    return end
  }
}

function encodeDirectoryRecord(member: ZipMember): Buffer {
  const { name, mode, isFolder, crc, storedBytes, sizeBytes, offset } = member
  const large = [sizeBytes, storedBytes, offset].filter((value) => value >= MAX_32)
  const extra = Buffer.concat([
    timeField(member, false),
    ownerField(member),
    ...(large.length > 0 ? [field(EXTRA.zip64, large.map(u64))] : []),
  ])
  const record = Buffer.alloc(46)
  record.writeUInt32LE(0x0201_4b50, 0)
  record.writeUInt16LE(MADE_BY, 4)
  record.writeUInt16LE(large.length > 0 || isLarge(member) ? VERSION.zip64 : VERSION.plain, 6)
  writeCommon(record, 8, member)
  record.writeUInt32LE(crc, 16)
  record.writeUInt32LE(Math.min(storedBytes, MAX_32), 20)
  record.writeUInt32LE(Math.min(sizeBytes, MAX_32), 24)
  record.writeUInt16LE(name.length, 28)
  record.writeUInt16LE(extra.length, 30)
  record.writeUInt32LE(((mode << 16) | (isFolder ? 0x10 : 0)) >>> 0, 38)
  record.writeUInt32LE(Math.min(offset, MAX_32), 42)
  return Buffer.concat([record, name, extra])
}

/** Flags, method, time and date, which both headers have in this order. */
function writeCommon(header: Buffer, at: number, { isUtf8, isStreamed, method, mtimeNs }: ZipMember): void {
  header.writeUInt16LE((isUtf8 ? FLAG_UTF8 : 0) | (isStreamed ? FLAG_STREAMED : 0), at)
  header.writeUInt16LE(method, at + 2)
  const { time, date } = dosTime(mtimeNs)
  header.writeUInt16LE(time, at + 4)
  header.writeUInt16LE(date, at + 6)
}

/** Local time in steps of two seconds, from 1980 to 2107: for programs that know nothing better. */
function dosTime(ns: bigint): { time: number; date: number } {
  const ms = Number(ns / 1_000_000n)
  const earliest = new Date(1980, 0, 1).getTime()
  const latest = new Date(2107, 11, 31, 23, 59, 58).getTime()
  const at = new Date(Math.min(Math.max(ms, earliest), latest))
  return {
    time: (at.getHours() << 11) | (at.getMinutes() << 5) | (at.getSeconds() >> 1),
    date: ((at.getFullYear() - 1980) << 9) | ((at.getMonth() + 1) << 5) | at.getDate(),
  }
}

/** Seconds for Info-ZIP, where 32 bits hold them, and hundreds of nanoseconds since 1601 as Windows has them. */
function timeField({ mtimeNs }: ZipMember, isLocal: boolean): Buffer {
  const seconds = mtimeNs / 1_000_000_000n - (mtimeNs % 1_000_000_000n < 0n ? 1n : 0n)
  const parts: Buffer[] = []
  if (seconds >= -(2n ** 31n) && seconds < 2n ** 31n) {
    const bytes = Buffer.alloc(5)
    bytes.writeUInt8(1)
    bytes.writeInt32LE(Number(seconds), 1)
    parts.push(field(EXTRA.unixTime, [bytes]))
  }
  const ticks = mtimeNs / 100n + NTFS_EPOCH_TICKS
  // Only where it says more, and once is enough.
  if (!isLocal && mtimeNs % 1_000_000_000n !== 0n && ticks >= 0n && ticks < 2n ** 63n) {
    const time = Buffer.alloc(8)
    time.writeBigInt64LE(ticks)
    parts.push(field(EXTRA.ntfs, [Buffer.from('0000000001001800', 'hex'), time, time, time]))
  }
  return Buffer.concat(parts)
}

/** From 1601 to 1970, in hundreds of nanoseconds. */
export const NTFS_EPOCH_TICKS = 116_444_736_000_000_000n

function ownerField({ uid, gid }: ZipMember): Buffer {
  return field(EXTRA.unixOwner, [Buffer.of(1, 4), u32(uid), Buffer.of(4), u32(gid)])
}

function field(id: number, parts: readonly Buffer[]): Buffer {
  const data = Buffer.concat(parts)
  const head = Buffer.alloc(4)
  head.writeUInt16LE(id, 0)
  head.writeUInt16LE(data.length, 2)
  return Buffer.concat([head, data])
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}
