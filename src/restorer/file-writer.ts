import { errnoOf, isCairnError } from '../base/errors.ts'
import { CHUNK_ID_BYTES } from '../base/ids.ts'
import { release } from '../codec/release.ts'
import {
  closeFile,
  createFile,
  describeSystemError,
  openForWriting,
  removeFile,
  setMode,
  setOwner,
  writeFully,
} from '../platform/files.ts'
import { setOpenFileTimes, setTimes } from '../platform/native.ts'
import { type SegmentReader, chunkAt } from '../repository/segment-reader.ts'
import type { FileToWrite, RestoreJob, RestoreResult, SegmentToWrite, WriteFailure } from './protocol.ts'

/** Does restore jobs in a worker thread: opens segments, verifies chunks, writes files. */
export class FileWriter {
  readonly #reader: SegmentReader
  readonly #mayChown: boolean

  constructor(reader: SegmentReader) {
    this.#reader = reader
    this.#mayChown = process.geteuid?.() === 0
  }

  run(job: RestoreJob): RestoreResult {
    const batch = new OpenBatch(job, this.#mayChown)
    for (const file of job.files.keys()) if (job.segments.length === 0) batch.touch(file)
    for (const segment of job.segments) this.#writeSegment(job, segment, batch)
    release(job.bytes)
    return batch.finish()
  }

  #writeSegment(job: RestoreJob, wanted: SegmentToWrite, batch: OpenBatch): void {
    try {
      const start = wanted.offset - job.offset
      const bytes = job.bytes.subarray(start, start + wanted.bytes)
      const segment = this.#reader.read({ pack: job.pack, header: job.header, offset: wanted.offset, bytes })
      for (let i = 0; i < wanted.positions.length; i++) {
        const id = wanted.ids.subarray(i * CHUNK_ID_BYTES, (i + 1) * CHUNK_ID_BYTES)
        const chunk = this.#reader.verify(chunkAt(segment, wanted.positions[i] as number), id, job.pack)
        batch.write(wanted.files[i] as number, chunk, wanted.fileOffsets[i] as number)
      }
      release(segment.bytes)
    } catch (error) {
      if (!isCairnError(error)) throw error
      // A damaged segment costs the files that need it, and no others.
      for (const file of wanted.files) batch.fail(file, error.message, error.code)
    }
  }
}

/** The files of one job; one is open at a time, since chunks of a file mostly follow each other. */
class OpenBatch {
  readonly #files: readonly FileToWrite[]
  readonly #mayChown: boolean
  readonly #state: ('new' | 'made' | 'done' | 'failed')[]
  readonly #writesLeft: number[]
  readonly #failures: WriteFailure[] = []
  #open: { file: number; fd: number } | undefined
  #bytes = 0

  constructor(job: RestoreJob, mayChown: boolean) {
    this.#files = job.files
    this.#mayChown = mayChown
    this.#state = job.files.map((file) => (file.failed ? 'failed' : file.whole ? 'new' : 'made'))
    this.#writesLeft = job.files.map(() => 0)
    for (const segment of job.segments)
      for (const file of segment.files) this.#writesLeft[file] = (this.#writesLeft[file] ?? 0) + 1
  }

  write(file: number, chunk: Uint8Array, offset: number): void {
    this.#attempt(file, (fd) => {
      writeFully(fd, chunk, 0, chunk.length, offset)
      this.#bytes += chunk.length
      this.#writesLeft[file] = (this.#writesLeft[file] ?? 0) - 1
      if (this.#writesLeft[file] === 0) this.#complete(file, fd)
    })
  }

  /** Makes a file without content. */
  touch(file: number): void {
    this.#attempt(file, (fd) => this.#complete(file, fd))
  }

  fail(file: number, message: string, code: string): void {
    if (this.#state[file] === 'failed' || this.#state[file] === 'done') return
    this.#close()
    // Half a file must not pass for a file. One that other jobs write to as well is removed when they are done.
    if (this.#state[file] !== 'new' && this.#files[file]?.whole) removeFile(this.#files[file].systemPath)
    this.#state[file] = 'failed'
    this.#failures.push({ file, message, code })
  }

  finish(): RestoreResult {
    this.#close()
    return { failures: this.#failures, bytes: this.#bytes }
  }

  #attempt(file: number, action: (fd: number) => void): void {
    if (this.#state[file] === 'failed') return
    try {
      action(this.#fdOf(file))
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
      this.fail(file, describeSystemError(error), errnoOf(error) as string)
    }
  }

  #fdOf(file: number): number {
    if (this.#open?.file === file) return this.#open.fd
    this.#close()
    const { systemPath } = this.#files[file] as FileToWrite
    // 0600 until the content is there: nobody reads half a file, or one that will not be theirs.
    const fd = this.#state[file] === 'new' ? createFile(systemPath, 0o600) : openForWriting(systemPath)
    this.#open = { file, fd }
    if (this.#state[file] === 'new') this.#state[file] = 'made'
    return fd
  }

  #complete(file: number, fd: number): void {
    const target = this.#files[file] as FileToWrite
    this.#state[file] = 'done'
    if (!target.whole) return
    try {
      setMetadata(fd, target, this.#mayChown)
    } catch (error) {
      // The content is all there: better a file with a wrong owner than none.
      if (errnoOf(error) === undefined) throw error
      this.#failures.push({ file, message: describeSystemError(error), code: errnoOf(error) as string })
    }
  }

  #close(): void {
    if (this.#open) closeFile(this.#open.fd)
    this.#open = undefined
  }
}

export interface Metadata {
  /** Absent for symlinks, which have none. */
  readonly mode?: number
  readonly uid: number
  readonly gid: number
  readonly mtimeNs: bigint
}

const SETUID_AND_SETGID = 0o6000

/**
 * Sets what a restored file, directory or symlink has besides its content. Owner before mode, since changing the owner clears
 * setuid and setgid; times last, since everything else changes them.
 *
 * Where the owner cannot be set (FAT, a user namespace), all the rest is set and the error comes after it. Setuid and setgid are
 * left out then: they were meant for that owner, and would give away the rights of whoever restores.
 */
export function setMetadata(target: string | number, { mode, uid, gid, mtimeNs }: Metadata, mayChown: boolean): void {
  let failure: unknown
  try {
    if (mayChown) setOwner(target, uid, gid)
  } catch (error) {
    failure = error
  }
  if (mode !== undefined) setMode(target, failure === undefined ? mode : mode & ~SETUID_AND_SETGID)
  if (typeof target === 'number') setOpenFileTimes(target, mtimeNs, mtimeNs)
  else setTimes(target, mtimeNs, mtimeNs)
  if (failure !== undefined) throw failure
}
