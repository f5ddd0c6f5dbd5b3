import { type Entry, type ZipFile, fromRandomAccessReaderPromise } from 'yauzl'
import { type ByteSource, type RandomSource, sourceOf } from '../../base/byte-stream.ts'
import { CairnError, errnoOf } from '../../base/errors.ts'
import { toPrintable } from '../../base/raw-name.ts'
import { ReadableSource } from '../../base/readable-source.ts'
import { crc32 } from '../../codec/crc32.ts'
import { inflate, inflated } from '../../codec/deflate.ts'
import { damagedArchive } from '../archive-error.ts'
import { CachedReader, CachedSource } from './cached-source.ts'
import { METHODS } from './records.ts'

/** Contents up to this size are read and inflated at once. */
const SMALL_BYTES = 1 << 20
const LOCAL_HEADER_BYTES = 30

/** A zip file as yauzl reads its directory; contents are read here, with their checksums, which yauzl leaves alone. */
export class OpenZip {
  readonly #source: CachedSource
  readonly #zip: ZipFile

  private constructor(source: CachedSource, zip: ZipFile) {
    this.#source = source
    this.#zip = zip
  }

  /** @throws {CairnError} `ARCHIVE_CORRUPT` when it is no zip, or cut off */
  static async open(source: RandomSource): Promise<OpenZip> {
    const cached = new CachedSource(source)
    const options = { decodeStrings: false, autoClose: false } as const
    const zip = await translated(fromRandomAccessReaderPromise(new CachedReader(cached), source.sizeBytes, options))
    return new OpenZip(cached, zip)
  }

  /** What the directory lists, in its order; once. */
  async *entries(): AsyncGenerator<Entry> {
    const entries = this.#zip.eachEntry()
    for (;;) {
      const next = await translated(entries.next())
      if (next.done) return
      yield next.value
    }
  }

  /**
   * The content of a member, checked against its size and checksum while it is read.
   *
   * @throws {CairnError} `ARCHIVE_CORRUPT` when the header before it says something else than the directory
   */
  async content(entry: Entry, path: string): Promise<ByteSource> {
    const header = await translated(this.#zip.readLocalFileHeaderPromise(entry))
    const differs =
      !header.fileName.equals(entry.fileNameRaw) ||
      header.compressionMethod !== entry.compressionMethod ||
      (header.generalPurposeBitFlag & ENCRYPTED) !== (entry.generalPurposeBitFlag & ENCRYPTED)
    if (differs) throw damagedArchive(`${toPrintable(path)} is called something else where its content is`)
    const { compressionMethod, compressedSize, uncompressedSize } = entry
    if (compressionMethod === METHODS.stored && compressedSize !== uncompressedSize)
      throw damagedArchive(`${toPrintable(path)} has two sizes`)
    const range = { start: header.fileDataStart, end: header.fileDataStart + compressedSize }
    const isSmall = Math.max(compressedSize, uncompressedSize) <= SMALL_BYTES
    const content = isSmall ? await this.#small(entry, range, path) : this.#large(entry, range)
    const checked = new CheckedSource(content, { crc: entry.crc32, sizeBytes: uncompressedSize, path })
    // Nobody reads what has no bytes.
    if (uncompressedSize === 0) await checked.read(new Uint8Array(0))
    return checked
  }

  async #small(entry: Entry, { start, end }: Range, path: string): Promise<ByteSource> {
    const stored = Buffer.allocUnsafe(end - start)
    if ((await this.#source.readAt(stored, start)) < stored.length) throw damagedArchive('it was cut off')
    if (entry.compressionMethod === METHODS.stored) return sourceOf(stored)
    try {
      return sourceOf(inflate(stored, entry.uncompressedSize))
    } catch (error) {
      throw damagedArchive(`${toPrintable(path)} cannot be decompressed`, error)
    }
  }

  #large(entry: Entry, range: Range): ByteSource {
    const pieces = this.#source.pieces(range)
    return entry.compressionMethod === METHODS.stored ? new ReadableSource(pieces) : inflated(pieces)
  }
}

/** Least of what a member takes of a file, by its directory entry: nothing else may lie there. */
export function extentOf({ relativeOffsetOfLocalHeader: start, fileNameLength, compressedSize }: Entry): Range {
  return { start, end: start + LOCAL_HEADER_BYTES + fileNameLength + compressedSize }
}

export interface Range {
  readonly start: number
  readonly end: number
}

export const ENCRYPTED = 1

/** Yauzl's errors are about the archive, but for those of the system. */
async function translated<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise
  } catch (error) {
    if (error instanceof CairnError || errnoOf(error) !== undefined) throw error
    throw damagedArchive(error instanceof Error ? error.message : String(error), error)
  }
}

/** Checks content while it goes by; what is wrong with it is noticed with its last byte, at the latest. */
class CheckedSource implements ByteSource {
  readonly #content: ByteSource
  readonly #want: { readonly crc: number; readonly sizeBytes: number; readonly path: string }
  #crc = 0
  #done = 0
  #isChecked = false

  constructor(content: ByteSource, want: { readonly crc: number; readonly sizeBytes: number; readonly path: string }) {
    this.#content = content
    this.#want = want
  }

  async read(target: Uint8Array): Promise<number> {
    const { sizeBytes, path } = this.#want
    const wanted = Math.min(target.length, sizeBytes - this.#done)
    const count = await this.#readOn(target.subarray(0, wanted))
    this.#crc = crc32(target.subarray(0, count), this.#crc)
    this.#done += count
    if (count < wanted) throw damagedArchive(`${toPrintable(path)} has ${this.#done} bytes, not ${sizeBytes}`)
    if (this.#done === sizeBytes && !this.#isChecked) await this.#finish()
    return count
  }

  /** One more byte would be too many. */
  async #finish(): Promise<void> {
    const { crc, sizeBytes, path } = this.#want
    this.#isChecked = true
    if ((await this.#readOn(new Uint8Array(1))) > 0)
      throw damagedArchive(`${toPrintable(path)} has more than ${sizeBytes} bytes`)
    if (this.#crc !== crc) throw damagedArchive(`the content of ${toPrintable(path)} does not fit its checksum`)
  }

  async #readOn(target: Uint8Array): Promise<number> {
    try {
      return await this.#content.read(target)
    } catch (error) {
      if (error instanceof CairnError || errnoOf(error) !== undefined) throw error
      throw damagedArchive(`${toPrintable(this.#want.path)} cannot be decompressed`, error)
    }
  }
}
