import type { ByteSink } from '../base/byte-stream.ts'
import { CairnError } from '../base/errors.ts'
import { toPrintable, toRawName } from '../base/raw-name.ts'
import { crc32 } from '../codec/crc32.ts'
import { deflate, deflated } from '../codec/deflate.ts'
import { type ArchiveEntry, type ArchiveWriter, Losses } from './archive-entry.ts'
import {
  CentralDirectory,
  METHODS,
  MODE_TYPES,
  type ZipMember,
  encodeDescriptor,
  encodeLocalHeader,
} from './zip/records.ts'

/** Contents up to this size are compressed before their header is written, which then says everything. */
const SMALL_BYTES = 4 << 20
const MAX_NAME_BYTES = 0xffff

/**
 * Writes zip archives as Info-ZIP does: names in UTF-8, modes, symlinks, owners by number and times to the second; zip64 where
 * something is large. Contents are deflated where that makes them smaller. `losses` tells what else there was. The directory of
 * the archive is kept in memory: about 100 bytes an entry, and its path.
 */
export class ZipWriter implements ArchiveWriter {
  readonly keepsHoles = false
  readonly keepsHardLinks = false
  readonly losses = new Losses()
  readonly #sink: ByteSink
  readonly #directory = new CentralDirectory()
  #position = 0

  constructor(sink: ByteSink) {
    this.#sink = sink
  }

  async add(entry: ArchiveEntry, content?: AsyncIterable<Uint8Array>): Promise<void> {
    const { type, path } = entry
    if (path === '.') return // the top has no name in a zip
    if (type !== 'file' && type !== 'dir' && type !== 'symlink') return this.losses.add('FIFOs and devices', path)
    const name = toRawName(type === 'dir' ? `${path}/` : path)
    if (name.length > MAX_NAME_BYTES) return this.losses.add('paths of more than 65535 bytes', path)
    this.#noteLosses(entry)
    const member: ZipMember = {
      name,
      isUtf8: path.isWellFormed(),
      mode: MODE_TYPES[type] | entry.mode,
      isFolder: type === 'dir',
      uid: entry.uid,
      gid: entry.gid,
      mtimeNs: entry.mtimeNs,
      offset: this.#position,
      method: METHODS.stored,
      crc: 0,
      storedBytes: 0,
      sizeBytes: type === 'file' ? entry.sizeBytes : 0,
      isStreamed: false,
    }
    if (type === 'symlink') await this.#addSmall(member, toRawName(entry.linkTarget ?? ''))
    else if (type === 'dir' || !content) await this.#addSmall(member, Buffer.alloc(0))
    else if (entry.sizeBytes <= SMALL_BYTES) await this.#addSmall(member, await gather(content, entry))
    else await this.#addStreamed(member, content, entry)
  }

  async finish(): Promise<void> {
    for (const bytes of this.#directory.encode(this.#position)) await this.#write(bytes)
  }

  async #addSmall(member: ZipMember, bytes: Uint8Array): Promise<void> {
    const smaller = bytes.length > 0 ? deflate(bytes) : bytes
    const isDeflated = smaller.length < bytes.length
    const stored = isDeflated ? smaller : bytes
    const known: ZipMember = {
      ...member,
      method: isDeflated ? METHODS.deflated : METHODS.stored,
      crc: crc32(bytes),
      storedBytes: stored.length,
      sizeBytes: bytes.length,
    }
    await this.#write(encodeLocalHeader(known))
    await this.#write(stored)
    this.#directory.add(known)
  }

  async #addStreamed(member: ZipMember, content: AsyncIterable<Uint8Array>, entry: ArchiveEntry): Promise<void> {
    const meter = new Meter(content)
    const header: ZipMember = { ...member, method: METHODS.deflated, isStreamed: true }
    await this.#write(encodeLocalHeader(header))
    const start = this.#position
    for await (const piece of deflated(meter.pieces())) await this.#write(piece)
    requireSize(entry, meter.bytes)
    const known = { ...header, crc: meter.crc, storedBytes: this.#position - start }
    await this.#write(encodeDescriptor(known))
    this.#directory.add(known)
  }

  #noteLosses({ path, xattrs, flags, holes, user, group, mtimeNs, atimeNs }: ArchiveEntry): void {
    if (xattrs?.length) this.losses.add('extended attributes and ACLs', path)
    if (flags) this.losses.add('file flags', path)
    if (holes?.length) this.losses.add('holes, written as zeros', path)
    if (user !== '' || group !== '') this.losses.add('names of owners, only their numbers', path)
    if (!path.isWellFormed()) this.losses.add('names that are not UTF-8, which others will read differently', path)
    if (mtimeNs % 100n !== 0n) this.losses.add('times finer than 100 ns', path)
    if (mtimeNs < MIN_TIME_NS || mtimeNs > MAX_TIME_NS) this.losses.add('times before 1901 or after 2038', path)
    if (atimeNs !== undefined) this.losses.add('access times', path)
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await this.#sink.write(bytes)
    this.#position += bytes.length
  }
}

const MIN_TIME_NS = -(2n ** 31n) * 1_000_000_000n
const MAX_TIME_NS = 2n ** 31n * 1_000_000_000n - 1n

async function gather(content: AsyncIterable<Uint8Array>, entry: ArchiveEntry): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(entry.sizeBytes)
  let done = 0
  for await (const piece of content) {
    if (done + piece.length <= bytes.length) bytes.set(piece, done)
    done += piece.length
  }
  requireSize(entry, done)
  return bytes
}

function requireSize({ path, sizeBytes }: ArchiveEntry, found: number): void {
  if (found === sizeBytes) return
  throw new CairnError('DATA_CORRUPT', `Cannot export ${toPrintable(path)}: it has ${found} bytes, not ${sizeBytes}`)
}

/** Counts pieces and sums them up as they go by. */
class Meter {
  readonly #content: AsyncIterable<Uint8Array>
  bytes = 0
  crc = 0

  constructor(content: AsyncIterable<Uint8Array>) {
    this.#content = content
  }

  async *pieces(): AsyncGenerator<Uint8Array> {
    for await (const piece of this.#content) {
      this.bytes += piece.length
      this.crc = crc32(piece, this.crc)
      yield piece
    }
  }
}
