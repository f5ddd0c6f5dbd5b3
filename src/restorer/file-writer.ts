import { errnoOf, isCairnError } from '../base/errors.ts'
import { CHUNK_ID_BYTES } from '../base/ids.ts'
import { release } from '../codec/release.ts'
import {
  closeFile,
  createFile,
  describeSystemError,
  openForWriting,
  statOpenFile,
  truncateFile,
  writeFully,
} from '../platform/files.ts'
import type { OpenFolders } from '../platform/open-folder.ts'
import { systemError } from '../platform/system-error.ts'
import { type SegmentReader, chunkAt } from '../repository/segment-reader.ts'
import { extents } from '../snapshot/hole-table.ts'
import { Losses } from './losses.ts'
import { type Rights, creationMode, setFlags, setMetadata } from './metadata.ts'
import { discard, place } from './placing.ts'
import type { FileFailure, FileToWrite, SegmentToWrite, SharedFile, WorkerResult, WriteJob } from './protocol.ts'

/** Does write jobs in a worker thread: opens segments, verifies chunks, writes files. */
export class FileWriter {
  readonly #reader: SegmentReader
  readonly #rights: Rights

  constructor(reader: SegmentReader, rights: Rights) {
    this.#reader = reader
    this.#rights = rights
  }

  run(job: WriteJob, folders: OpenFolders): WorkerResult {
    const batch = new OpenBatch(job, folders, this.#rights)
    for (const file of job.files.keys()) if (job.segments.length === 0) batch.touch(file)
    for (const segment of job.segments) this.#writeSegment(job, segment, batch)
    release(job.bytes)
    return batch.finish()
  }

  #writeSegment(job: WriteJob, wanted: SegmentToWrite, batch: OpenBatch): void {
    try {
      const start = wanted.offset - job.offset
      const bytes = job.bytes.subarray(start, start + wanted.bytes)
      const segment = this.#reader.read({ pack: job.pack, header: job.header, offset: wanted.offset, bytes })
      for (let i = 0; i < wanted.positions.length; i++) {
        const file = wanted.files[i] as number
        const id = wanted.ids.subarray(i * CHUNK_ID_BYTES, (i + 1) * CHUNK_ID_BYTES)
        const chunk = this.#reader.verify(chunkAt(segment, wanted.positions[i] as number), id, job.pack)
        const length = wanted.lengths[i] as number
        if (chunk.length === length) batch.write(file, chunk, wanted.contentOffsets[i] as number)
        else batch.fail(file, `a chunk of it has ${chunk.length} bytes, its list says ${length}`, 'DATA_CORRUPT')
      }
      release(segment.bytes)
    } catch (error) {
      if (!isCairnError(error)) throw error
      // A damaged segment costs the files that need it, and no others.
      for (const file of wanted.files) batch.fail(file, error.message, error.code)
    }
  }
}

/** A file that this job has begun under a temporary name. */
interface Begun {
  tempName: string
  /** Known once the file was closed before it was complete. */
  identity?: Pick<SharedFile, 'inode' | 'device'>
}

/** The files of one job; one is open at a time, since chunks of a file mostly follow each other. */
class OpenBatch {
  readonly #job: WriteJob
  readonly #folders: OpenFolders
  readonly #rights: Rights
  readonly #begun: (Begun | undefined)[]
  readonly #done: boolean[]
  readonly #writesLeft: number[]
  readonly #failures: FileFailure[] = []
  readonly #losses = new Losses()
  #open: { file: number; fd: number } | undefined
  #bytes = 0

  constructor(job: WriteJob, folders: OpenFolders, rights: Rights) {
    this.#job = job
    this.#folders = folders
    this.#rights = rights
    this.#begun = job.files.map(({ shared }) => shared && { tempName: shared.tempName, identity: shared })
    this.#done = job.files.map(({ failed = false }) => failed)
    this.#writesLeft = job.files.map(() => 0)
    for (const segment of job.segments)
      for (const file of segment.files) this.#writesLeft[file] = (this.#writesLeft[file] ?? 0) + 1
  }

  write(file: number, chunk: Uint8Array, contentOffset: number): void {
    this.#attempt(file, (fd, { holes }) => {
      if (!holes) writeFully(fd, chunk, 0, chunk.length, contentOffset)
      else
        for (const { position, skip, length } of extents(holes, contentOffset, chunk.length))
          writeFully(fd, chunk, skip, length, position)
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
    if (this.#done[file]) return
    this.#close()
    this.#done[file] = true
    this.#failures.push({ file, message, code })
    // One that other jobs write to as well is removed when they are done.
    const begun = this.#begun[file]
    const { shared } = this.#file(file)
    if (begun && !shared) discard(`${this.#folderOf(file)}/${begun.tempName}`)
  }

  finish(): WorkerResult {
    this.#close()
    return { failures: this.#failures, losses: this.#losses.take(), bytes: this.#bytes }
  }

  #file(file: number): FileToWrite {
    return this.#job.files[file] as FileToWrite
  }

  #folderOf(file: number): string {
    return this.#folders.enter(this.#job.folders[this.#file(file).folder] as string)
  }

  #attempt(file: number, action: (fd: number, target: FileToWrite) => void): void {
    if (this.#done[file]) return
    try {
      action(this.#fdOf(file), this.#file(file))
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
      this.fail(file, describeSystemError(error), errnoOf(error) as string)
    }
  }

  #fdOf(file: number): number {
    if (this.#open?.file === file) return this.#open.fd
    this.#close()
    const folder = this.#folderOf(file)
    const begun = this.#begun[file]
    if (begun?.identity) {
      const fd = openShared(`${folder}/${begun.tempName}`, begun.identity)
      this.#open = { file, fd }
      return fd
    }
    const tempName = `${this.#job.tempName}-${file}`
    const { holes, sizeBytes, metadata, isPrivate = false } = this.#file(file)
    const fd = createFile(`${folder}/${tempName}`, creationMode(metadata, isPrivate, this.#rights))
    this.#open = { file, fd }
    this.#begun[file] = { tempName }
    if (holes) truncateFile(fd, sizeBytes)
    return fd
  }

  #complete(file: number, fd: number): void {
    const { shared, metadata, name, placement, isPrivate } = this.#file(file)
    if (shared) return
    const lose = (kind: Parameters<Losses['add']>[0], error: unknown): void =>
      this.#losses.add(kind, error, () => String(file))
    const { uid, gid } = this.#rights
    const made = isPrivate ? { uid, gid, mode: creationMode(metadata, true, this.#rights) } : undefined
    setMetadata(fd, metadata, this.#rights, lose, made)
    const folder = this.#folderOf(file)
    place(`${folder}/${this.#begun[file]?.tempName}`, `${folder}/${name}`, placement)
    // Nothing can be renamed once it is immutable.
    setFlags(fd, metadata, this.#rights, lose)
    this.#done[file] = true
  }

  #close(): void {
    if (!this.#open) return
    const { file, fd } = this.#open
    this.#open = undefined
    const begun = this.#begun[file]
    if (begun && !this.#done[file] && !begun.identity) {
      const { inode, device } = statOpenFile(fd)
      begun.identity = { inode, device }
    }
    closeFile(fd)
  }
}

/** Opens a file that this run made, and no other that was put in its place. */
export function openShared(path: string, { inode, device }: Pick<SharedFile, 'inode' | 'device'>): number {
  const fd = openForWriting(path)
  const found = statOpenFile(fd)
  if (found.inode === inode && found.device === device) return fd
  closeFile(fd)
  throw systemError('ESTALE', 'open', path)
}
