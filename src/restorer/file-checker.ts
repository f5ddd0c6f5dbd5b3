import { errnoOf } from '../base/errors.ts'
import { CHUNK_ID_BYTES } from '../base/ids.ts'
import { ChunkHasher } from '../codec/hash.ts'
import { closeFile, describeSystemError, openForReading, readFully, statOpenFile } from '../platform/files.ts'
import type { OpenFolders } from '../platform/open-folder.ts'
import { findHoles } from '../platform/sparse.ts'
import type { RepositoryKeys } from '../repository/keys.ts'
import type { Hole } from '../base/hole.ts'
import { extents, toHoles } from '../snapshot/hole-table.ts'
import { Losses } from './losses.ts'
import { type Rights, setFlags, setMetadata } from './metadata.ts'
import type { CheckJob, FileFailure, FileToCheck, WorkerResult } from './protocol.ts'

/** Does check jobs in a worker thread: reads files of the target and compares chunk by chunk with the ids. */
export class FileChecker {
  readonly #hasher: ChunkHasher
  readonly #rights: Rights
  #buffer = Buffer.alloc(0)

  constructor(keys: RepositoryKeys, rights: Rights) {
    this.#hasher = new ChunkHasher(keys.chunkId)
    this.#rights = rights
  }

  run(job: CheckJob, folders: OpenFolders): WorkerResult {
    const failures: FileFailure[] = []
    const losses = new Losses()
    let bytes = 0
    for (const [number, file] of job.files.entries()) {
      const path = job.folders[file.folder] as string
      try {
        const difference = this.#check(`${folders.enter(path)}/${file.name}`, file, (kind, error) =>
          losses.add(kind, error, () => String(number)),
        )
        if (difference !== undefined) failures.push({ file: number, message: difference, code: 'DIFFERENT' })
      } catch (error) {
        const code = errnoOf(error)
        if (code === undefined) throw error
        failures.push({ file: number, message: describeSystemError(error), code })
      }
      for (const length of file.lengths) bytes += length
    }
    return { failures, losses: losses.take(), bytes }
  }

  /** How the file differs; `undefined` when it does not. Its metadata is set then, if there is any. */
  #check(path: string, file: FileToCheck, lose: Parameters<typeof setMetadata>[3]): string | undefined {
    const fd = openForReading(path)
    try {
      const found = statOpenFile(fd)
      if (found.type !== 'file') return 'it is no file'
      if (found.sizeBytes !== file.sizeBytes) return `it has ${found.sizeBytes} bytes and not ${file.sizeBytes}`
      if (file.existing && found.linkCount > 1) return 'it has other names'
      if (!this.#sameHoles(fd, file, found.blocks * 512 < found.sizeBytes)) return 'its holes are others'
      if (!this.#sameContent(fd, file)) return 'its content is another'
      if (file.metadata) {
        setMetadata(fd, file.metadata, this.#rights, lose, found)
        setFlags(fd, file.metadata, this.#rights, lose)
      }
      return undefined
    } finally {
      closeFile(fd)
    }
  }

  /** A file just written is as the file system made it, so that only its zeros count; one to be kept has to be what the snapshot has. */
  #sameHoles(fd: number, { holes, sizeBytes, existing, contentOffset }: FileToCheck, mayHaveHoles: boolean): boolean {
    if (contentOffset > 0 || (!holes && !(existing && mayHaveHoles))) return true
    const found = findHoles(fd, sizeBytes)
    const wanted = holes ? toHoles(holes) : []
    if (existing) {
      return (
        found.length === wanted.length &&
        found.every(({ offset, length }, i) => offset === wanted[i]?.offset && length === wanted[i].length)
      )
    }
    return wanted.every((hole) => found.some((real) => contains(real, hole)) || this.#isZero(fd, hole))
  }

  #sameContent(fd: number, { ids, lengths, holes, contentOffset }: FileToCheck): boolean {
    let offset = contentOffset
    for (const [i, length] of lengths.entries()) {
      const chunk = this.#room(length)
      for (const piece of extents(holes, offset, length)) {
        if (readFully(fd, chunk, piece.skip, piece.length, piece.position) !== piece.length) return false
      }
      if (!this.#hasher.hash(chunk).equals(ids.subarray(i * CHUNK_ID_BYTES, (i + 1) * CHUNK_ID_BYTES))) return false
      offset += length
    }
    return true
  }

  #isZero(fd: number, { offset, length }: Hole): boolean {
    for (let done = 0; done < length;) {
      const piece = this.#room(Math.min(length - done, 1 << 20))
      if (readFully(fd, piece, 0, piece.length, offset + done) !== piece.length) return false
      if (piece.some((byte) => byte !== 0)) return false
      done += piece.length
    }
    return true
  }

  #room(length: number): Buffer {
    if (this.#buffer.length < length) this.#buffer = Buffer.allocUnsafeSlow(Math.max(length, 1 << 20))
    return this.#buffer.subarray(0, length)
  }
}

function contains(outer: Hole, inner: Hole): boolean {
  return outer.offset <= inner.offset && outer.offset + outer.length >= inner.offset + inner.length
}
