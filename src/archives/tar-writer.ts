import type { ByteSink } from '../base/byte-stream.ts'
import { CairnError } from '../base/errors.ts'
import { toPrintable, toRawName } from '../base/raw-name.ts'
import { type ArchiveEntry, type ArchiveWriter, Losses } from './archive-entry.ts'
import { flagRecords, xattrRecords } from './tar/attributes.ts'
import { BLOCK_BYTES, MAX_ID, MAX_SIZE, type UstarFields, encodeHeader, splitPath } from './tar/header.ts'
import { encodePax, encodeTime } from './tar/pax.ts'
import { encodeMap, extentsBetween } from './tar/sparse.ts'

const TYPES: Readonly<Record<ArchiveEntry['type'], string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  chardev: '3',
  blockdev: '4',
  dir: '5',
  fifo: '6',
}

/** The archive is as long as a multiple of this, as tar makes it. */
const RECORD_BYTES = 20 * BLOCK_BYTES
const NS_PER_S = 1_000_000_000n
const NOTHING = Buffer.alloc(0)
const ASCII = /^[\x20-\x7e]*$/

/**
 * Writes pax archives: ustar headers, and an extended header before them where something does not fit, or is finer than they can
 * say. Sparse files are in GNU's format 1.0. The bytes depend on the entries alone.
 */
export class TarWriter implements ArchiveWriter {
  readonly keepsHoles = true
  readonly keepsHardLinks = true
  readonly losses = new Losses()
  readonly #sink: ByteSink
  readonly #block = Buffer.alloc(BLOCK_BYTES)
  #written = 0

  constructor(sink: ByteSink) {
    this.#sink = sink
  }

  async add(entry: ArchiveEntry, content?: AsyncIterable<Uint8Array>): Promise<void> {
    const { type, holes = [], sizeBytes } = entry
    const path = toRawName(type === 'dir' ? `${entry.path}/` : entry.path)
    const map = holes.length > 0 ? padded(encodeMap(extentsBetween(holes, sizeBytes))) : NOTHING
    const dataBytes = type === 'file' ? holes.reduce((left, { length }) => left - length, sizeBytes) : 0
    const storedBytes = map.length + dataBytes
    const link = type === 'symlink' || type === 'hardlink' ? toRawName(entry.linkTarget ?? '') : NOTHING
    const fields: UstarFields = {
      path: map.length > 0 ? sparsePath(path) : path,
      mode: entry.mode,
      uid: entry.uid,
      gid: entry.gid,
      sizeBytes: storedBytes,
      mtime: Number(floorSeconds(entry.mtimeNs)),
      type: TYPES[type],
      linkTarget: link,
      user: Buffer.from(entry.user),
      group: Buffer.from(entry.group),
      major: entry.device?.major ?? 0,
      minor: entry.device?.minor ?? 0,
    }
    const records = [...this.#records(entry, path, link, storedBytes, map.length > 0)]
    if (records.length > 0) await this.#writeRecords(records, fields)
    await this.#writeHeader(fields)
    if (map.length > 0) await this.#write(map)
    if (type === 'file') await this.#writeContent(entry.path, dataBytes, content)
  }

  async finish(): Promise<void> {
    const end = RECORD_BYTES - ((this.#written + 2 * BLOCK_BYTES) % RECORD_BYTES)
    await this.#write(Buffer.alloc(2 * BLOCK_BYTES + (end % RECORD_BYTES)))
  }

  /** What the ustar header does not say, or not exactly. */
  *#records(
    entry: ArchiveEntry,
    path: Buffer,
    link: Buffer,
    storedBytes: number,
    isSparse: boolean,
  ): Generator<[key: string, value: Uint8Array]> {
    const { uid, gid, user, group, mtimeNs, atimeNs, xattrs, flags = 0, sizeBytes } = entry
    const texts = [entry.path, entry.linkTarget ?? '', user, group]
    // POSIX for: do not take these for UTF-8.
    if (texts.some((text) => !text.isWellFormed())) yield ['hdrcharset', Buffer.from('BINARY')]
    if (isSparse) {
      yield ['GNU.sparse.major', Buffer.from('1')]
      yield ['GNU.sparse.minor', Buffer.from('0')]
      yield ['GNU.sparse.name', path]
      yield ['GNU.sparse.realsize', decimal(sizeBytes)]
    } else if (!ASCII.test(entry.path) || !splitPath(path)) yield ['path', path]
    if (link.length > 100 || !ASCII.test(entry.linkTarget ?? '')) yield ['linkpath', link]
    if (storedBytes > MAX_SIZE) yield ['size', decimal(storedBytes)]
    if (uid > MAX_ID) yield ['uid', decimal(uid)]
    if (gid > MAX_ID) yield ['gid', decimal(gid)]
    if (user.length > 31 || !ASCII.test(user)) yield ['uname', Buffer.from(user)]
    if (group.length > 31 || !ASCII.test(group)) yield ['gname', Buffer.from(group)]
    if (mtimeNs % NS_PER_S !== 0n || mtimeNs < 0n || mtimeNs / NS_PER_S > BigInt(MAX_SIZE))
      yield ['mtime', Buffer.from(encodeTime(mtimeNs))]
    if (atimeNs !== undefined) yield ['atime', Buffer.from(encodeTime(atimeNs))]
    yield* flagRecords(flags)
    if (xattrs) yield* xattrRecords(xattrs)
  }

  async #writeRecords(records: Iterable<[string, Uint8Array]>, fields: UstarFields): Promise<void> {
    const bytes = encodePax(records)
    // Programs that do not know pax make a file of this name.
    const path = Buffer.concat([Buffer.from('PaxHeaders/'), lastName(fields.path)])
    const none = { linkTarget: NOTHING, major: 0, minor: 0 }
    await this.#writeHeader({ ...fields, ...none, path, mode: 0o644, type: 'x', sizeBytes: bytes.length })
    await this.#write(padded(bytes))
  }

  async #writeHeader(fields: UstarFields): Promise<void> {
    encodeHeader(this.#block, fields)
    await this.#write(this.#block)
  }

  async #writeContent(path: string, dataBytes: number, content: AsyncIterable<Uint8Array> | undefined): Promise<void> {
    let done = 0
    if (dataBytes > 0 && content) {
      for await (const piece of content) {
        done += piece.length
        if (done > dataBytes) break
        await this.#write(piece)
      }
    }
    if (done !== dataBytes) {
      const found = done > dataBytes ? 'more' : `${done} bytes`
      throw new CairnError('DATA_CORRUPT', `Cannot export ${toPrintable(path)}: it has ${found}, not ${dataBytes}`)
    }
    const rest = dataBytes % BLOCK_BYTES
    if (rest > 0) await this.#write(ZEROS.subarray(rest))
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#written += bytes.length
    await this.#sink.write(bytes)
  }
}

const ZEROS = Buffer.alloc(BLOCK_BYTES)

function padded(bytes: Buffer): Buffer {
  const rest = bytes.length % BLOCK_BYTES
  return rest === 0 ? bytes : Buffer.concat([bytes, ZEROS.subarray(rest)])
}

/** What programs that do not know sparse files call them, which have a map in front of their data. */
function sparsePath(path: Buffer): Buffer {
  return Buffer.concat([Buffer.from('GNUSparseFile/'), lastName(path)])
}

function lastName(path: Buffer): Buffer {
  const trimmed = path.at(-1) === 0x2f ? path.subarray(0, -1) : path
  return trimmed.subarray(trimmed.lastIndexOf(0x2f) + 1).subarray(0, 80)
}

function floorSeconds(ns: bigint): bigint {
  return ns / NS_PER_S - (ns % NS_PER_S < 0n ? 1n : 0n)
}

function decimal(value: number): Buffer {
  return Buffer.from(String(value))
}
