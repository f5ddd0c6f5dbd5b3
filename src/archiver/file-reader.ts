import { errnoOf } from '../base/errors.ts'
import type { ChunkId } from '../base/ids.ts'
import type { Chunker } from '../chunker/chunker.ts'
import { closeFile, describeSystemError, openForReading, readFully, statOpenFile } from '../platform/files.ts'
import type { ChunkWriter } from '../repository/chunk-writer.ts'
import type { ArchiveResult, FileBatch, FileFailure, RangeProgress } from './protocol.ts'
import { RANGE_BYTES, REF_BYTES } from './protocol.ts'

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
  async read(batch: FileBatch, onRange: (progress: RangeProgress) => void): Promise<BatchResult> {
    const files = batch.paths.length
    const counts = new Uint32Array(files)
    const changed = new Uint8Array(files)
    const failures: FileFailure[] = []
    for (let index = 0; index < files; index++) {
      const before = this.#refs.count
      try {
        if (await this.#readFile(batch, index, onRange)) changed[index] = 1
      } catch (error) {
        const code = errnoOf(error)
        if (code === undefined) throw error // not the file's fault
        this.#refs.count = before
        failures.push({ index, message: describeSystemError(error), code })
      }
      counts[index] = this.#refs.count - before
    }
    return { refs: this.#refs.take(), counts, changed, failures }
  }

  /** Returns whether the file is not, or no longer, what was listed. */
  async #readFile(batch: FileBatch, index: number, onRange: (progress: RangeProgress) => void): Promise<boolean> {
    const sizeBytes = batch.sizes[index] as number
    const fd = openForReading(batch.paths[index] as string, batch.uids[index])
    try {
      if (batch.rangeOffset !== undefined) {
        if (statOpenFile(fd).type !== 'file') throw notAFile()
        await this.#readRange(fd, batch.rangeOffset, onRange)
      } else if (sizeBytes <= this.#smallBytes) {
        this.#readSmall(fd, sizeBytes)
      } else {
        if (statOpenFile(fd).type !== 'file') throw notAFile()
        await this.#readWhole(fd)
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

  async #readWhole(fd: number): Promise<void> {
    const at: RangeProgress[] = [{ nextOffset: 0, end: false }]
    for (let range = at.pop(); range && !range.end; range = at.pop()) {
      await this.#readRange(fd, range.nextOffset, (progress) => at.push(progress))
    }
  }

  /**
   * Reads from a cut point on and cuts until `RANGE_BYTES` are covered. The cuts are known, and told, before the slow work of
   * compressing begins: so several threads work on one file, and its cuts are those of reading it from the start.
   */
  async #readRange(fd: number, offset: number, onRange: (progress: RangeProgress) => void): Promise<void> {
    const { buffer } = this.#chunker
    const bytes = readFully(fd, buffer, 0, buffer.length, offset)
    const final = bytes < buffer.length
    const ends: number[] = []
    let covered = 0
    while (covered < RANGE_BYTES && covered < bytes) {
      covered = this.#chunker.cut(covered, bytes, final)
      ends.push(covered)
    }
    onRange({ nextOffset: offset + covered, end: final && covered === bytes })
    let start = 0
    for (const end of ends) {
      this.#refs.add(this.#writer.save(buffer.subarray(start, end)), end - start)
      start = end
      await this.#writer.ready()
    }
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
