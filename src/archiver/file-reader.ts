import { errnoOf } from '../base/errors.ts'
import { blake3 } from '../codec/hash.ts'
import { closeFile, describeSystemError, openForReading, readFully } from '../platform/files.ts'
import { findHoles } from '../platform/sparse.ts'
import { FILE_TYPE_CODES } from '../platform/file-type.ts'
import { EntryStat } from '../platform/statx.ts'
import type { ChunkWriter } from '../repository/chunk-writer.ts'
import { type HoleTable, toHoleTable } from '../snapshot/hole-table.ts'
import { NO_SAMPLE, sampleBlocks, toSample } from '../snapshot/samples.ts'
import { readSourceXattrs } from '../sources/source-xattrs.ts'
import {
  type ArchiveResult,
  CHANGED,
  FILE_BITS,
  type FileBatch,
  type FileDetails,
  type FileFailure,
  type FileRange,
  RANGE_BYTES,
} from './protocol.ts'
import type { Cutter } from './cutter.ts'
import type { RefList } from './refs.ts'
import { readData } from './read-data.ts'
import { RangeStarts } from './range-starts.ts'

type BatchResult = Omit<ArchiveResult, 'stats'>

/** A file that is written to while it is read is read so often at most. */
const MAX_READS = 3

/** Reads files in a worker thread, straight into the memory where they are cut or compressed. */
export class FileReader {
  readonly #cutter: Cutter
  readonly #writer: ChunkWriter
  /** Files up to this size are one chunk and need no cutting. */
  readonly #smallBytes: number
  readonly #refs: RefList
  readonly #stat = new EntryStat()
  #details: FileDetails[] = []

  constructor(cutter: Cutter) {
    const { writer, refs, minBytes } = cutter
    this.#cutter = cutter
    this.#writer = writer
    this.#refs = refs
    this.#smallBytes = Math.min(minBytes, writer.roomBytes)
  }

  /** Saves the content of every file of a batch, or one range of its only file. A file that cannot be read is a failure of its own. */
  async read(batch: FileBatch): Promise<BatchResult> {
    const files = batch.paths.length
    const counts = new Uint32Array(files)
    const changed = new Uint8Array(files)
    const samples = new BigUint64Array(files)
    const failures: FileFailure[] = []
    for (let index = 0; index < files; index++) {
      const before = this.#refs.count
      try {
        changed[index] = await this.#readFile(batch, index, samples)
      } catch (error) {
        this.#refs.count = before
        failures.push(toFailure(index, error))
        // The thread of the next range must not wait for ever.
        if (batch.range) new RangeStarts(batch.range.starts).set(batch.range.number + 1, undefined)
      }
      counts[index] = this.#refs.count - before
    }
    const details = this.#details
    this.#details = []
    return { refs: this.#refs.take(), counts, changed, samples, details, failures }
  }

  /** Takes samples of the files of a batch and reads nothing else of them. */
  sample(batch: FileBatch): BatchResult {
    const files = batch.paths.length
    const samples = new BigUint64Array(files)
    const failures: FileFailure[] = []
    for (let index = 0; index < files; index++) {
      try {
        const fd = openForReading(batch.paths[index] as string, batch.uids[index])
        try {
          samples[index] = this.#sampleOf(fd, batch.sizes[index] as number)
        } finally {
          closeFile(fd)
        }
      } catch (error) {
        failures.push(toFailure(index, error))
      }
    }
    const none = new Uint8Array(files)
    return { refs: none.subarray(0, 0), counts: new Uint32Array(files), changed: none, samples, details: [], failures }
  }

  /** Returns one of `CHANGED`. */
  async #readFile(batch: FileBatch, index: number, samples: BigUint64Array): Promise<number> {
    const fd = openForReading(batch.paths[index] as string, batch.uids[index])
    try {
      const { range } = batch
      const sizeBytes = batch.sizes[index] as number
      const changed = range
        ? await this.#readRangeOnce(fd, range, batch)
        : await this.#readWhole(fd, index, batch, sizeBytes)
      if (!range || range.number === 0) {
        if ((batch.bits[index] as number) & FILE_BITS.sample) samples[index] = this.#sampleOf(fd, sizeBytes)
        this.#readXattrs(fd, index)
      }
      return changed
    } finally {
      closeFile(fd)
      await this.#writer.ready()
    }
  }

  async #readRangeOnce(fd: number, range: FileRange, batch: FileBatch): Promise<number> {
    this.#statFile(fd)
    await this.#readRange(fd, range)
    this.#statFile(fd)
    return this.#isListed(batch, 0) ? CHANGED.no : CHANGED.meanwhile
  }

  /** Reads the file until it was the same before and after. */
  async #readWhole(fd: number, index: number, batch: FileBatch, listedBytes: number): Promise<number> {
    let sizeBytes = listedBytes
    const firstRef = this.#refs.count
    for (let reads = 1; ; reads++) {
      const holes = (batch.bits[index] as number) & FILE_BITS.sparse ? toHoleTable(findHoles(fd, sizeBytes)) : undefined
      const before = reads === 1 ? undefined : this.#identity()
      if (holes?.length) await this.#readFrom(fd, 0, holes)
      else if (sizeBytes <= this.#smallBytes) this.#readSmall(fd, sizeBytes)
      else {
        this.#statFile(fd)
        await this.#readFrom(fd, 0, undefined)
      }
      this.#statFile(fd)
      const isListed = this.#isListed(batch, index)
      const inPeace = isListed || (before !== undefined && before === this.#identity())
      if (inPeace || reads === MAX_READS) {
        const mtimeNs = isListed ? undefined : this.#stat.mtimeNs
        if (holes?.length || mtimeNs !== undefined)
          this.#details.push({ index, holes: holes?.length ? holes : undefined, mtimeNs })
        return isListed ? CHANGED.no : inPeace ? CHANGED.before : CHANGED.meanwhile
      }
      this.#refs.count = firstRef
      sizeBytes = this.#stat.sizeBytes
    }
  }

  #readXattrs(fd: number, index: number): void {
    try {
      const xattrs = readSourceXattrs(fd)
      if (xattrs) this.#details.push({ index, xattrs })
    } catch (error) {
      const { message, code } = toFailure(index, error)
      this.#details.push({ index, xattrFailure: { message, code } })
    }
  }

  #statFile(fd: number): void {
    this.#stat.readOpen(fd)
    if (this.#stat.typeCode !== FILE_TYPE_CODES.file) throw notAFile()
  }

  /**
   * Whether the file looked at last is what was listed. One that now is somebody else's is not read at all: who may write to a
   * directory above could have put a symlink in its place, and would be given the content of another's file under his own name.
   */
  #isListed(batch: FileBatch, index: number): boolean {
    const stat = this.#stat
    if (stat.uid !== batch.uids[index])
      throw notAFile('it is no longer the file that was listed: its owner is another one')
    return (
      stat.sizeBytes === batch.sizes[index] &&
      BigInt.asIntN(64, stat.ctimeNs) === batch.ctimesNs[index] &&
      BigInt.asIntN(64, stat.mtimeNs) === batch.mtimesNs[index]
    )
  }

  #identity(): string {
    const { sizeBytes, mtimeNs, ctimeNs } = this.#stat
    return `${sizeBytes} ${mtimeNs} ${ctimeNs}`
  }

  #sampleOf(fd: number, sizeBytes: number): bigint {
    const blocks = sampleBlocks(sizeBytes)
    const bytes = Buffer.allocUnsafe(blocks.reduce((sum, { length }) => sum + length, 0))
    let used = 0
    for (const { offset, length } of blocks) used += readFully(fd, bytes, used, length, offset)
    return used === 0 ? NO_SAMPLE : toSample(blake3(bytes.subarray(0, used)))
  }

  /** One chunk, read to where it will be compressed. What is appended meanwhile is not part of it. */
  #readSmall(fd: number, sizeBytes: number): void {
    const room = this.#writer.room(sizeBytes)
    // From byte 0 by position, which a FIFO that took the file's place refuses: nobody shall wait for its writer.
    const bytes = readFully(fd, room, 0, sizeBytes, 0)
    if (bytes > 0) this.#refs.add(this.#writer.saveRoom(bytes), bytes)
  }

  async #readRange(fd: number, { number, count, starts: memory, holes }: FileRange): Promise<void> {
    const starts = new RangeStarts(memory)
    const next = await this.#readStretch(
      fd,
      number * RANGE_BYTES,
      holes,
      () => starts.wait(number),
      (cut) => starts.set(number + 1, cut),
    )
    if (number === count - 1) await this.#readFrom(fd, next, holes) // it has grown since it was listed
  }

  /** Reads from a cut point to the end of the file; nothing when there is no cut point. */
  async #readFrom(fd: number, cut: number | undefined, holes: HoleTable | undefined): Promise<void> {
    for (let at = cut; at !== undefined;) {
      const start = at
      at = await this.#readStretch(fd, start, holes, () => start)
    }
  }

  /**
   * Reads `RANGE_BYTES` of data from `start` on, and the largest chunk more, and saves the chunks from the cut point on that
   * `findFirst` then tells. Returns the first cut point at or after the end of the stretch, `undefined` when the file ends
   * before; `onCut` hears it before the slow work begins.
   */
  async #readStretch(
    fd: number,
    start: number,
    holes: HoleTable | undefined,
    findFirst: () => number | undefined,
    onCut?: (next: number | undefined) => void,
  ): Promise<number | undefined> {
    const { buffer } = this.#cutter
    const bytes = readData(fd, buffer, buffer.length, start, holes)
    const first = findFirst()
    const shifted = (next: number | undefined): number | undefined => (next === undefined ? undefined : start + next)
    const stretch = {
      bytes,
      end: RANGE_BYTES,
      final: bytes < buffer.length,
      first: first === undefined ? undefined : first - start,
    }
    return shifted(await this.#cutter.save(stretch, (next) => onCut?.(shifted(next))))
  }
}

/** What is the matter with one file; anything that is not its fault is thrown on. */
function toFailure(index: number, error: unknown): FileFailure {
  const code = errnoOf(error)
  if (code === undefined) throw error
  return { index, message: describeSystemError(error), code }
}

function notAFile(message = 'it is no longer a regular file'): Error {
  return Object.assign(new Error(message), { code: 'ESTALE' })
}
