import type { ByteSource } from '../base/byte-stream.ts'
import { fromRawName, toPrintable } from '../base/raw-name.ts'
import { type ArchiveEntry, type ArchiveReader, Losses, type ReadEntry } from './archive-entry.ts'
import { damagedArchive } from './archive-error.ts'
import { SourceReader } from './source-reader.ts'
import { flagsOf, modeOf, xattrsOf } from './tar/attributes.ts'
import { BLOCK_BYTES, type TarHeader, decodeHeader, noArchive } from './tar/header.ts'
import { MAX_PAX_BYTES, type PaxRecords, decodeCount, decodePax, decodeTime } from './tar/pax.ts'
import { type SparseMap, holesBetween, mapOfRecords, readMap, readOldMap } from './tar/sparse.ts'

export interface TarReaderOptions {
  /** Goes on behind an end mark, as `tar --ignore-zeros` does: for archives that were put one behind the other. */
  readonly ignoreZeros?: boolean | undefined
}

const TYPES: Readonly<Record<string, ArchiveEntry['type']>> = {
  '0': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'chardev',
  '4': 'blockdev',
  '5': 'dir',
  '6': 'fifo',
  '7': 'file', // contiguous, long ago
  D: 'dir', // of GNU's incremental archives, with a list of names for content
  S: 'file', // GNU's own sparse file
}

/** Names of any length: more than any system takes, and not so many that they would fill the memory. */
const MAX_NAME_BYTES = 1 << 20

/** Who owns what belongs to nobody, on most systems. */
const NOBODY = 65_534

/** What came before an entry and says more about it. */
interface Extensions {
  records: PaxRecords
  /** Offsets and lengths of GNU's sparse format 0.0, in which the same keys come again and again. */
  mapParts: Buffer[]
  longPath: Buffer | undefined
  longLink: Buffer | undefined
}

/**
 * Reads tar archives of all dialects: v7, ustar, pax, GNU, with sparse files in all of GNU's four formats. An archive without its
 * end mark is refused: it was cut off.
 */
export class TarReader implements ArchiveReader {
  readonly losses = new Losses()
  readonly #reader: SourceReader
  readonly #options: TarReaderOptions
  readonly #global: PaxRecords = new Map()
  #next: Extensions = newExtensions()
  /** Of the entry given last: bytes of content not read yet, and padding behind them. */
  #left = 0
  #padding = 0
  #path = ''

  constructor(source: ByteSource, options: TarReaderOptions = {}) {
    this.#reader = new SourceReader(source)
    this.#options = options
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ReadEntry> {
    let hasEnded = false
    for (;;) {
      if (this.#left + this.#padding > 0) await this.#skipRest()
      const position = this.#reader.position
      const taken = this.#reader.take(BLOCK_BYTES)
      const block = taken instanceof Buffer ? taken : await taken
      if (block.length === 0 && hasEnded) return
      if (block.length === 0 && position === 0) throw damagedArchive('it is empty')
      if (block.length < BLOCK_BYTES) throw position === 0 ? noArchive() : this.#cutOff(position + block.length)
      if (isZero(block)) {
        if (this.#hasExtensions) throw damagedArchive(`it ends at byte ${position}, where an entry should begin`)
        if (!this.#options.ignoreZeros) break
        hasEnded = true
        continue
      }
      hasEnded = false
      const header = decodeHeader(block, position)
      const extending = this.#extend(header, position)
      if (extending) await extending
      else {
        const entry = this.#take(header, block, position)
        yield entry instanceof Promise ? await entry : entry
      }
    }
    await this.#drain()
  }

  get #hasExtensions(): boolean {
    const { records, longPath, longLink } = this.#next
    return records.size > 0 || longPath !== undefined || longLink !== undefined
  }

  /** Reads what only says more about what follows; `undefined` when the header is an entry's. */
  #extend(header: TarHeader, position: number): Promise<void> | undefined {
    const { type, sizeBytes } = header
    if (type === 'x' || type === 'X' || type === 'g') {
      return this.#takeBytes(sizeBytes, MAX_PAX_BYTES, position).then((bytes) => {
        const { records, mapParts } = this.#next
        decodePax(bytes, position, type === 'g' ? this.#global : records, (part) => mapParts.push(part))
        if (this.#global.has('GNU.volume.filename')) throw otherVolume(position)
      })
    }
    if (type === 'L' || type === 'K') {
      return this.#takeBytes(sizeBytes, MAX_NAME_BYTES, position).then((bytes) => {
        const end = bytes.indexOf(0)
        this.#next[type === 'L' ? 'longPath' : 'longLink'] = end < 0 ? bytes : bytes.subarray(0, end)
      })
    }
    // A label of the whole archive.
    return type === 'V' ? this.#takeBytes(sizeBytes, MAX_PAX_BYTES, position).then(() => undefined) : undefined
  }

  #take(header: TarHeader, block: Buffer, position: number): ReadEntry | Promise<ReadEntry> {
    const extensions = this.#next
    this.#next = newExtensions()
    const record = (key: string): Buffer | undefined => extensions.records.get(key) ?? this.#global.get(key)
    const path = this.#name(record('GNU.sparse.name') ?? record('path') ?? extensions.longPath ?? header.path, position)
    this.#path = toPrintable(path)
    const number = (key: string): number | undefined => {
      const value = record(key)
      const count = value && decodeCount(value)
      if (value && count === undefined) throw this.#senseless(key, position)
      return count
    }
    const time = (key: string): bigint | undefined => {
      const value = record(key)
      const ns = value && decodeTime(value.toString('latin1'))
      if (value && ns === undefined) throw this.#senseless(key, position)
      return ns
    }
    const type = this.#typeOf(header.type, path, position)
    const storedBytes = type === 'hardlink' ? 0 : (number('size') ?? header.sizeBytes)
    if (type !== 'file' && header.type !== 'D' && storedBytes > 0)
      throw damagedArchive(`${this.#path}, at byte ${position}, has content and is no file`)
    this.#left = storedBytes
    this.#padding = (BLOCK_BYTES - (storedBytes % BLOCK_BYTES)) % BLOCK_BYTES
    const link = record('linkpath') ?? extensions.longLink ?? header.linkTarget
    const records = this.#global.size > 0 ? new Map([...this.#global, ...extensions.records]) : extensions.records
    const xattrs = records.size > 0 ? xattrsOf(records, (kind) => this.losses.add(kind, path)) : undefined
    const entry: ArchiveEntry = {
      path,
      type,
      mode: modeOf(header.mode, xattrs),
      uid: this.#id(number('uid') ?? header.uid, path),
      gid: this.#id(number('gid') ?? header.gid, path),
      user: (record('uname') ?? header.user).toString('utf8'),
      group: (record('gname') ?? header.group).toString('utf8'),
      sizeBytes: type === 'file' ? storedBytes : 0,
      mtimeNs: time('mtime') ?? BigInt(header.mtime) * 1_000_000_000n,
      atimeNs: time('atime'),
      linkTarget: type === 'symlink' || type === 'hardlink' ? this.#name(link, position) : undefined,
      device: type === 'chardev' || type === 'blockdev' ? this.#device(header, position) : undefined,
      xattrs,
      flags: records.size > 0 ? flagsOf(records) : 0,
    }
    if (type !== 'file') return { entry, contentBytes: 0 }
    const map = this.#sparseMap(header, block, records, extensions.mapParts)
    return map ? map.then((known) => this.#sparseFile(entry, known)) : this.#file(entry)
  }

  #sparseMap(
    header: TarHeader,
    block: Buffer,
    records: PaxRecords,
    mapParts: readonly Buffer[],
  ): Promise<SparseMap> | undefined {
    if (header.type === 'S' && header.dialect !== 'gnu')
      throw damagedArchive(`the sparse file ${this.#path} is of a format that is not known`)
    if (header.type === 'S') return readOldMap(block, () => this.#takeBlock(), this.#path)
    if (records.has('GNU.sparse.major')) return readMap(records, () => this.#takeOfContent(), this.#path)
    if (!records.has('GNU.sparse.size')) return undefined
    return Promise.resolve(mapOfRecords(records, mapParts, this.#path))
  }

  #sparseFile(entry: ArchiveEntry, { extents, sizeBytes }: SparseMap): ReadEntry {
    const holes = holesBetween(extents, sizeBytes, this.#left, this.#path)
    return this.#file(holes.length > 0 ? { ...entry, sizeBytes, holes } : { ...entry, sizeBytes })
  }

  #file(entry: ArchiveEntry): ReadEntry {
    return { entry, content: { read: (target) => this.#readContent(target) }, contentBytes: this.#left }
  }

  async #readContent(target: Uint8Array): Promise<number> {
    const wanted = Math.min(target.length, this.#left)
    const count = await this.#reader.read(target.subarray(0, wanted))
    if (count < wanted) throw this.#cutOff(this.#reader.position)
    this.#left -= count
    return count
  }

  /** A block of what counts as content and is a map; shorter where that ends. */
  async #takeOfContent(): Promise<Buffer> {
    const wanted = Math.min(BLOCK_BYTES, this.#left)
    const taken = await this.#reader.take(wanted)
    if (taken.length < wanted) throw this.#cutOff(this.#reader.position)
    this.#left -= wanted
    return taken
  }

  /** A block between header and content. */
  async #takeBlock(): Promise<Buffer> {
    const block = await this.#reader.take(BLOCK_BYTES)
    if (block.length < BLOCK_BYTES) throw this.#cutOff(this.#reader.position)
    return block
  }

  /** What a header says that it has, with its padding; memory of its own. */
  async #takeBytes(sizeBytes: number, maxBytes: number, position: number): Promise<Buffer> {
    if (sizeBytes > maxBytes)
      throw damagedArchive(
        `the header at byte ${position} has ${sizeBytes} bytes of extensions, more than anything needs`,
      )
    const bytes = Buffer.alloc(Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES)
    if ((await this.#reader.read(bytes)) < bytes.length) throw this.#cutOff(this.#reader.position)
    return bytes.subarray(0, sizeBytes)
  }

  async #skipRest(): Promise<void> {
    const bytes = this.#left + this.#padding
    this.#left = 0
    this.#padding = 0
    if ((await this.#reader.skip(bytes)) < bytes) throw this.#cutOff(this.#reader.position)
  }

  /** Reads what lies behind the end, so that whoever writes can end well, and what is checked at the end is. */
  async #drain(): Promise<void> {
    let isNoted = false
    for (;;) {
      const piece = await this.#reader.take(DRAIN_BYTES)
      if (!isNoted && !isZero(piece)) {
        this.losses.add('more behind its end mark, where nothing is read without --ignore-zeros', this.#path)
        isNoted = true
      }
      if (piece.length < DRAIN_BYTES) return
    }
  }

  #typeOf(type: string, path: string, position: number): ArchiveEntry['type'] {
    if (type === 'M') throw otherVolume(position)
    const known = TYPES[type]
    if (known === 'file' && path.endsWith('/')) return 'dir' // as old programs wrote them
    if (known) return known
    this.losses.add(`entries of type '${toPrintable(type)}', read as files`, path)
    return 'file'
  }

  #name(bytes: Buffer, position: number): string {
    if (bytes.includes(0)) throw damagedArchive(`the entry at byte ${position} has a name with a NUL in it`)
    return fromRawName(bytes)
  }

  #id(id: number, path: string): number {
    if (id >= 0 && id < 0xffff_ffff) return id
    this.losses.add('owners with numbers that no system has, taken for nobody', path)
    return NOBODY
  }

  #device({ major, minor }: TarHeader, position: number): { readonly major: number; readonly minor: number } {
    if ([major, minor].every((number) => number >= 0 && number <= 0xffff_ffff)) return { major, minor }
    throw damagedArchive(`${this.#path}, at byte ${position}, is a device ${major}:${minor}, which no system has`)
  }

  #senseless(key: string, position: number): Error {
    return damagedArchive(
      `the extended header of ${this.#path}, at byte ${position}, has a senseless value of '${key}'`,
    )
  }

  #cutOff(position: number): Error {
    const inside = this.#path === '' ? '' : `, in or behind ${this.#path}`
    return damagedArchive(`it was cut off: it ends at byte ${position}${inside}, without its end mark`)
  }
}

const DRAIN_BYTES = 1 << 20
const ZEROS = Buffer.alloc(DRAIN_BYTES)

function isZero(bytes: Buffer): boolean {
  return bytes.equals(ZEROS.subarray(0, bytes.length))
}

function otherVolume(position: number): Error {
  return damagedArchive(
    `it goes on with a file from another volume at byte ${position}; extract all volumes with tar, and back up the folder`,
  )
}

function newExtensions(): Extensions {
  return { records: new Map(), mapParts: [], longPath: undefined, longLink: undefined }
}
