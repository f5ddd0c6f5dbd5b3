import { type Entry, getFileNameLowLevel } from 'yauzl'
import type { RandomSource } from '../base/byte-stream.ts'
import { CairnError } from '../base/errors.ts'
import { fromRawName, toPrintable } from '../base/raw-name.ts'
import { type ArchiveEntry, type ArchiveReader, Losses, type ReadEntry } from './archive-entry.ts'
import { damagedArchive } from './archive-error.ts'
import { EXTRA, METHODS, MODE_TYPES, NTFS_EPOCH_TICKS } from './zip/records.ts'
import { ENCRYPTED, OpenZip, extentOf } from './zip/zip-file.ts'

/** Symlinks point no further. */
const MAX_LINK_BYTES = 64 << 10
const TYPE_BITS = 0o170_000
/** Who made an archive, by APPNOTE 4.4.2: those whose attributes hold a mode. */
const UNIX_HOSTS = new Set([3, 19])
const UTF8_NAMES = 0x0800

/** Reads zip archives by their directory, which lies at the end: so of a file, not of a stream. */
export class ZipReader implements ArchiveReader {
  readonly losses = new Losses()
  readonly #source: RandomSource

  constructor(source: RandomSource) {
    this.#source = source
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ReadEntry> {
    await this.#refuseOverlaps()
    const zip = await OpenZip.open(this.#source)
    for await (const found of zip.entries()) {
      const path = nameOf(found)
      const type = typeOf(found, path)
      if (type === undefined) {
        this.losses.add('devices, which a zip does not describe', path)
        continue
      }
      refuseUnreadable(found, path)
      const entry = toEntry(found, path, type)
      const content = await zip.content(found, path)
      if (type === 'file') {
        yield { entry, content, contentBytes: found.uncompressedSize }
        continue
      }
      const maxBytes = type === 'symlink' ? MAX_LINK_BYTES : 0
      if (found.uncompressedSize > maxBytes)
        throw damagedArchive(`${toPrintable(path)} has ${found.uncompressedSize} bytes and is no file`)
      const target = Buffer.alloc(found.uncompressedSize)
      await content.read(target)
      if (target.includes(0)) throw damagedArchive(`${toPrintable(path)} points to a name with a NUL in it`)
      yield { entry: type === 'symlink' ? { ...entry, linkTarget: fromRawName(target) } : entry, contentBytes: 0 }
    }
  }

  /** Members that share bytes are how a small archive becomes a large one. */
  async #refuseOverlaps(): Promise<void> {
    const zip = await OpenZip.open(this.#source)
    const extents: { readonly start: number; readonly end: number }[] = []
    for await (const entry of zip.entries()) extents.push(extentOf(entry))
    extents.sort((a, b) => a.start - b.start)
    let end = 0
    for (const extent of extents) {
      if (extent.start < end) throw damagedArchive(`two members lie at byte ${extent.start}`)
      end = extent.end
    }
    if (end > this.#source.sizeBytes) throw damagedArchive('a member lies behind its end')
  }
}

function refuseUnreadable({ generalPurposeBitFlag, compressionMethod }: Entry, path: string): void {
  const found =
    generalPurposeBitFlag & ENCRYPTED
      ? 'is encrypted'
      : compressionMethod === METHODS.stored || compressionMethod === METHODS.deflated
        ? undefined
        : `is compressed by method ${compressionMethod}`
  if (found === undefined) return
  throw new CairnError('FORMAT_UNSUPPORTED', `Cannot read the archive: ${toPrintable(path)} ${found}; unpack it first`)
}

/** Raw names as Unix makes them; code page 437, and `\` between names, from elsewhere. */
function nameOf(entry: Entry): string {
  const { fileNameRaw, generalPurposeBitFlag, extraFields } = entry
  const isUnicode = (generalPurposeBitFlag & UTF8_NAMES) !== 0 || extraFields.some(({ id }) => id === UNICODE_PATH)
  const isRaw = !isUnicode && isFromUnix(entry)
  const isRawUnicode = isUnicode && !extraFields.some(({ id }) => id === UNICODE_PATH)
  const name =
    isRaw || isRawUnicode
      ? fromRawName(fileNameRaw)
      : getFileNameLowLevel(generalPurposeBitFlag, fileNameRaw, extraFields, isFromUnix(entry))
  if (name === '' || name.includes('\0')) throw damagedArchive('a member has no name, or one with a NUL in it')
  return isFromUnix(entry) ? name : name.replaceAll('\\', '/')
}

const UNICODE_PATH = 0x7075

function isFromUnix({ versionMadeBy }: Entry): boolean {
  return UNIX_HOSTS.has(versionMadeBy >>> 8)
}

/** `undefined` for what cannot be made from what is known of it. */
function typeOf(entry: Entry, path: string): ArchiveEntry['type'] | undefined {
  const bits = isFromUnix(entry) ? (entry.externalFileAttributes >>> 16) & TYPE_BITS : 0
  if (path.endsWith('/')) return 'dir'
  if (bits === MODE_TYPES.symlink) return 'symlink'
  if (bits === MODE_TYPES.dir) return 'dir'
  if (bits === FIFO) return entry.uncompressedSize > 0 ? 'file' : 'fifo' // Info-ZIP's, of what came through a pipe
  return bits === 0 || bits === MODE_TYPES.file ? 'file' : undefined
}

const FIFO = 0o010_000

function toEntry(found: Entry, path: string, type: ArchiveEntry['type']): ArchiveEntry {
  const attributes = isFromUnix(found) ? found.externalFileAttributes >>> 16 : 0
  return {
    path,
    type,
    mode: attributes !== 0 ? attributes & 0o7777 : type === 'dir' ? 0o755 : type === 'symlink' ? 0o777 : 0o644,
    ...ownerOf(found),
    user: '',
    group: '',
    sizeBytes: type === 'file' ? found.uncompressedSize : 0,
    mtimeNs: timeOf(found),
  }
}

/** Who runs this, where the archive does not say. */
function ownerOf({ extraFields }: Entry): { uid: number; gid: number } {
  const data = extraFields.find(({ id }) => id === EXTRA.unixOwner)?.data
  if (data?.[0] !== 1) return myself()
  const uidBytes = data[1] ?? 0
  const gidBytes = data[2 + uidBytes] ?? 0
  if (uidBytes < 1 || uidBytes > 6 || gidBytes < 1 || gidBytes > 6 || data.length < 3 + uidBytes + gidBytes)
    return myself()
  const uid = data.readUIntLE(2, uidBytes)
  const gid = data.readUIntLE(3 + uidBytes, gidBytes)
  return uid < NO_ID && gid < NO_ID ? { uid, gid } : myself()
}

function myself(): { uid: number; gid: number } {
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
}

const NO_ID = 0xffff_ffff

/** The finest of the times that stand there. */
function timeOf(entry: Entry): bigint {
  const ntfs = entry.extraFields.find(({ id }) => id === EXTRA.ntfs)?.data
  if (ntfs && ntfs.length >= 16 && ntfs.readUInt32LE(4) === 0x0018_0001)
    return (ntfs.readBigInt64LE(8) - NTFS_EPOCH_TICKS) * 100n
  return BigInt(entry.getLastModDate().getTime()) * 1_000_000n
}
