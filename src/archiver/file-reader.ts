import { errnoOf } from '../base/errors.ts'
import type { ChunkId } from '../base/ids.ts'
import type { Chunker } from '../chunker/chunker.ts'
import { closeFile, describeSystemError, openForReading, readFully, statOpenFile } from '../platform/files.ts'
import type { ChunkWriter } from '../repository/chunk-writer.ts'
import {
  type ArchiveResult,
  type FileBatch,
  type FileFailure,
  type FileRange,
  RANGE_BYTES,
  REF_BYTES,
} from './protocol.ts'
import { RangeStarts } from './range-starts.ts'

type BatchResult = Omit<ArchiveResult, 'stats'>

/** Reads files in a worker thread, straight into the memory where they are cut or compressed. */
export class FileReader {
  readonly #chunker: Chunker
  readonly #writer: ChunkWriter
  /** Files up to this size are one chunk and need no cutting. */
  readonly #smallBytes: number
  readonly #refs = new RefList()

  /** @param chunker with a buffer of at least `RANGE_BYTES` plus its largest chunk */
  constructor(chunker: Chunker, writer: ChunkWriter) {
    this.#chunker = chunker
    this.#writer = writer
    this.#smallBytes = Math.min(chunker.minBytes, writer.roomBytes)
  }

  /** Saves the content of every file of a batch, or one range of its only file. A file that cannot be read is a failure of its own. */
  async read(batch: FileBatch): Promise<BatchResult> {
    const files = batch.paths.length
    const counts = new Uint32Array(files)
    const changed = new Uint8Array(files)
    const failures: FileFailure[] = []
    for (let index = 0; index < files; index++) {
      const before = this.#refs.count
      try {
        if (await this.#readFile(batch, index)) changed[index] = 1
      } catch (error) {
        const code = errnoOf(error)
        if (code === undefined) throw error // not the file's fault
        this.#refs.count = before
        failures.push({ index, message: describeSystemError(error), code })
        // The thread of the next range must not wait for ever.
        if (batch.range) new RangeStarts(batch.range.starts).set(batch.range.number + 1, undefined)
      }
      counts[index] = this.#refs.count - before
    }
    return { refs: this.#refs.take(), counts, changed, failures }
  }

  /** Returns whether the file is not, or no longer, what was listed. */
  async #readFile(batch: FileBatch, index: number): Promise<boolean> {
    const sizeBytes = batch.sizes[index] as number
    const fd = openForReading(batch.paths[index] as string, batch.uids[index])
    try {
      if (batch.range) {
        if (statOpenFile(fd).type !== 'file') throw notAFile()
        await this.#readRange(fd, batch.range)
      } else if (sizeBytes <= this.#smallBytes) {
        this.#readSmall(fd, sizeBytes)
      } else {
        if (statOpenFile(fd).type !== 'file') throw notAFile()
        await this.#readFrom(fd, 0)
      }
      const after = statOpenFile(fd)
      if (after.type !== 'file') throw notAFile()
      return (
        after.sizeBytes !== sizeBytes ||
        BigInt.asIntN(64, after.mtimeNs) !== batch.mtimesNs[index] ||
        BigInt.asIntN(64, after.ctimeNs) !== batch.ctimesNs[index]
      )
    } finally {
      closeFile(fd)
      await this.#writer.ready()
    }
  }

  /** One chunk, read to where it will be compressed. What is appended meanwhile is not part of it. */
  #readSmall(fd: number, sizeBytes: number): void {
    const room = this.#writer.room(sizeBytes)
    // From byte 0 by position, which a FIFO that took the file's place refuses: nobody shall wait for its writer.
    const bytes = readFully(fd, room, 0, sizeBytes, 0)
    if (bytes > 0) this.#refs.add(this.#writer.saveRoom(bytes), bytes)
  }

  async #readRange(fd: number, { number, count, starts: memory }: FileRange): Promise<void> {
    const starts = new RangeStarts(memory)
    const next = await this.#readStretch(
      fd,
      number * RANGE_BYTES,
      () => starts.wait(number),
      (cut) => starts.set(number + 1, cut),
    )
    if (number === count - 1) await this.#readFrom(fd, next) // it has grown since it was listed
  }

  /** Reads from a cut point to the end of the file; nothing when there is no cut point. */
  async #readFrom(fd: number, cut: number | undefined): Promise<void> {
    for (let at = cut; at !== undefined;) {
      const start = at
      at = await this.#readStretch(fd, start, () => start)
    }
  }

  /**
   * Reads `RANGE_BYTES` from `start` on, and the largest chunk more, cuts from the cut point that `findFirst` then tells, and
   * saves the chunks. Returns the first cut point at or after the end of the stretch, `undefined` when the file ends before;
   * `onCut` hears it before the slow work begins.
   */
  async #readStretch(
    fd: number,
    start: number,
    findFirst: () => number | undefined,
    onCut?: (next: number | undefined) => void,
  ): Promise<number | undefined> {
    const { buffer } = this.#chunker
    const bytes = readFully(fd, buffer, 0, buffer.length, start)
    const final = bytes < buffer.length
    const first = findFirst()
    const cuts: number[] = first === undefined ? [] : [first - start]
    for (let at = cuts[0] ?? bytes; at < RANGE_BYTES && at < bytes; cuts.push(at))
      at = this.#chunker.cut(at, bytes, final)
    const last = cuts.at(-1)
    const next = last === undefined || (final && last >= bytes) ? undefined : start + last
    onCut?.(next)
    for (const [i, end] of cuts.entries()) {
      const begin = cuts[i - 1]
      if (begin === undefined) continue
      this.#refs.add(this.#writer.save(buffer.subarray(begin, end)), end - begin)
      await this.#writer.ready()
    }
    return next
  }
}

function notAFile(): Error {
  return Object.assign(new Error('it is no longer a regular file'), { code: 'ESTALE' })
}

/** Chunk references in the form in which they go to the main thread. */
class RefList {
  #bytes = Buffer.allocUnsafeSlow(256 * REF_BYTES)
  count = 0

  add(id: ChunkId, bytes: number): void {
    const offset = this.count * REF_BYTES
    if (offset + REF_BYTES > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(this.#bytes.length * 2)
      this.#bytes.copy(grown)
      this.#bytes = grown
    }
    this.#bytes.set(id, offset)
    this.#bytes.writeUInt32LE(bytes, offset + 32)
    this.count++
  }

  /** A copy of what is there, and a fresh start. */
  take(): Uint8Array {
    const refs = new Uint8Array(this.#bytes.subarray(0, this.count * REF_BYTES))
    this.count = 0
    return refs
  }
}
