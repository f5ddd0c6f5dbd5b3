/**
 * restorer: a snapshot becomes files. The main thread walks the tree, makes directories and symlinks, and plans which segments
 * are needed for which files (plan.ts); it fetches them stretch by stretch, and worker threads open them, verify every chunk
 * and write the files (file-writer.ts). Directories get their owners, modes and times last.
 *
 * Nothing is written outside the target: names come checked from the tree reader, every directory on the way is made by this
 * run or looked at first and is no symlink, and files are created where nothing is.
 *
 * Bounds: a plan of `WINDOW_FILES` files or `WINDOW_BYTES` bytes at a time, two stretches of 8 MiB per worker.
 */
import { type AbortOptions, throwIfAborted } from '../base/abort.ts'
import { CairnError, errnoOf, isCairnError } from '../base/errors.ts'
import type { ChunkId } from '../base/ids.ts'
import { toPrintable } from '../base/raw-name.ts'
import {
  closeFile,
  createFile,
  describeSystemError,
  findFile,
  makeDirectory,
  makeSymlink,
  openForWriting,
  removeFile,
  statFile,
  truncateFile,
} from '../platform/files.ts'
import { WorkerPool } from '../platform/worker-pool.ts'
import { type ChunkAddress, type Repository, getPackRange } from '../repository/repository.ts'
import { type ChunkRef, readContent, readInlineContent } from '../snapshot/content.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import { type TreeEntry, walkTree } from '../snapshot/tree-walk.ts'
import { setMetadata } from './file-writer.ts'
import { type PlannedFile, type PlannedJob, RestorePlan } from './plan.ts'
import type { RestoreInit, RestoreJob, RestoreResult } from './protocol.ts'

export interface RestoreIssue {
  readonly path: string
  readonly message: string
  readonly code: string
}

/** Told of everything as it happens; called for every entry, so it must be quick. */
export interface RestoreObserver {
  /** An entry is restored, but for directories' metadata. */
  entry(path: string, node: Pick<TreeNode, 'type' | 'sizeBytes'>): void
  /** So many more bytes are written, the last of them to `path`. */
  bytes(count: number, path: string): void
  issue(issue: RestoreIssue): void
}

export interface RestoreOptions extends AbortOptions {
  readonly repository: Repository
  readonly tree: ChunkId
  /** Paths inside the snapshot; everything when empty. */
  readonly paths: readonly string[]
  /** An existing directory, or one that can be made. */
  readonly target: string
  readonly workers: number
  readonly observer: RestoreObserver
}

const WINDOW_FILES = 20_000
const WINDOW_BYTES = 512 << 20

/** Errors of the target that every other file would meet as well: going on would only repeat them. */
const FATAL = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO'])

/**
 * Restores a tree, or parts of it. What cannot be restored is reported as an issue, and the rest goes on.
 *
 * @throws {CairnError} `NOT_FOUND` when a path is not in the snapshot, `TARGET_FAILED` when the target as a whole refuses,
 *   `CANCELLED`
 */
export async function restore(options: RestoreOptions): Promise<void> {
  await using pool = new WorkerPool<RestoreJob, RestoreResult>({
    url: workerUrl(),
    count: options.workers,
    init: { keys: options.repository.keys } satisfies RestoreInit,
  })
  pool.start()
  await new Restore(options, pool).run()
}

class Restore {
  readonly #options: RestoreOptions
  readonly #pool: WorkerPool<RestoreJob, RestoreResult>
  readonly #plan = new RestorePlan()
  /** Directories whose metadata comes last, parents before children. */
  readonly #directories: { systemPath: string; path: string; node: TreeNode }[] = []
  /** Files that several jobs write to; made before the first, finished after the last. */
  readonly #shared = new Set<string>()
  readonly #mayChown = process.geteuid?.() === 0
  /** What ended the run first. */
  #failure: { readonly error: unknown } | undefined

  constructor(options: RestoreOptions, pool: WorkerPool<RestoreJob, RestoreResult>) {
    this.#options = options
    this.#pool = pool
  }

  async run(): Promise<void> {
    try {
      await this.#restore()
    } catch (error) {
      // Half a file must not pass for a file, nor be in the way of the next try.
      for (const systemPath of this.#shared) removeIfThere(systemPath)
      throw error
    }
  }

  async #restore(): Promise<void> {
    const { repository, tree, paths, signal } = this.#options
    const load = (id: Uint8Array): Promise<Uint8Array> => repository.readChunk(id, { signal })
    let madeTarget = false // not before the paths turned out to be there
    const onUnreadable = (path: string, error: unknown): void => this.#damaged(path, error)
    for await (const entries of walkTree(tree, paths, load, { onUnreadable })) {
      if (!madeTarget) this.#makeTarget()
      madeTarget = true
      for (const entry of entries) await this.#take(entry)
      throwIfAborted(signal)
      if (this.#plan.files >= WINDOW_FILES || this.#plan.bytes >= WINDOW_BYTES) await this.#runPlan()
    }
    if (!madeTarget) this.#makeTarget()
    await this.#runPlan()
    for (const directory of this.#directories.reverse()) this.#finishDirectory(directory)
  }

  #makeTarget(): void {
    const { target } = this.#options
    try {
      makeDirectories(target)
      statFile(`${target}/.`) // a file is no target, a symlink to a directory is
    } catch (error) {
      throw new CairnError(
        'TARGET_FAILED',
        `Cannot restore into ${toPrintable(target)}: ${describeSystemError(error)}; choose another folder`,
        { cause: error },
      )
    }
  }

  async #take(entry: TreeEntry): Promise<void> {
    const systemPath = `${this.#options.target}/${entry.path}`
    const { node, path } = entry
    try {
      if (node.type === 'dir') this.#makeDirectory(entry, systemPath)
      else if (node.type === 'file') await this.#planFile(entry, systemPath)
      else if (node.type === 'symlink') this.#makeSymlink(entry, systemPath)
      else this.#issue(path, `restoring a ${node.type} is not supported by this version`, 'SKIPPED')
    } catch (error) {
      if (isCairnError(error)) this.#damaged(path, error)
      else this.#targetIssue(path, error)
      if (node.type === 'dir') entry.skip()
    }
  }

  #makeDirectory({ node, path }: TreeEntry, systemPath: string): void {
    try {
      makeDirectory(systemPath, node.ancestor ? 0o755 : 0o700)
    } catch (error) {
      // An existing directory is restored into; a symlink in its place is not followed.
      if (errnoOf(error) !== 'EEXIST' || findFile(systemPath)?.type !== 'dir') throw error
    }
    if (node.ancestor) return
    this.#directories.push({ systemPath, path, node })
    this.#options.observer.entry(path, node)
  }

  #makeSymlink({ node, path }: TreeEntry, systemPath: string): void {
    makeSymlink(node.linkTarget ?? '', systemPath)
    const { uid, gid, mtimeNs } = node
    setMetadata(systemPath, { uid, gid, mtimeNs }, this.#mayChown)
    this.#options.observer.entry(path, node)
  }

  async #planFile({ node, path }: TreeEntry, systemPath: string): Promise<void> {
    const { mode, uid, gid, mtimeNs, sizeBytes } = node
    const file: PlannedFile = { systemPath, path, mode, uid, gid, mtimeNs, sizeBytes, jobsLeft: 0, failed: false }
    const refs = await this.#refsOf(node, path)
    const contentBytes = refs.reduce((sum, ref) => sum + ref.bytes, 0)
    if (contentBytes !== sizeBytes) {
      throw new CairnError('DATA_CORRUPT', `its content has ${contentBytes} bytes, its node says ${sizeBytes}`)
    }
    const addresses = refs.map((ref) => this.#addressOf(ref))
    this.#plan.add(file, refs, addresses)
  }

  async #refsOf(node: TreeNode, path: string): Promise<readonly ChunkRef[]> {
    if (!node.content) return []
    const what = `the content of ${toPrintable(path)}`
    const inline = readInlineContent(node.content, what)
    if (inline) return inline
    const { repository, signal } = this.#options
    const refs: ChunkRef[] = []
    for await (const ref of readContent(node.content, (id) => repository.readChunk(id, { signal }), what))
      refs.push(ref)
    return refs
  }

  #addressOf(ref: ChunkRef): ChunkAddress {
    const address = this.#options.repository.addressOf(ref.id)
    if (address) return address
    throw new CairnError('DATA_CORRUPT', `chunk ${Buffer.from(ref.id).toString('hex')} is missing from the index`)
  }

  /** Fetches and hands out the planned jobs, one worker each, always one stretch ahead. */
  async #runPlan(): Promise<void> {
    const jobs = this.#plan.take()
    for (const job of jobs) for (const file of job.files) if (file.jobsLeft > 1) this.#makeShared(file)
    const next = jobs[Symbol.iterator]()
    // After a failure, jobs that run are waited for: each then has written its files whole, or removed them.
    await Promise.all(Array.from({ length: this.#pool.size }, (_, worker) => this.#work(worker, next)))
    if (this.#failure) throw this.#failure.error
  }

  async #work(worker: number, jobs: Iterator<PlannedJob>): Promise<void> {
    try {
      let ahead = this.#fetchNext(jobs)
      for (;;) {
        const fetched = await ahead
        if (!fetched || this.#failure) return
        ahead = this.#fetchNext(jobs)
        ahead.catch(() => undefined) // awaited in the next turn
        throwIfAborted(this.#options.signal)
        await this.#runJob(worker, fetched.job, fetched.bytes)
      }
    } catch (error) {
      this.#failure ??= { error }
    }
  }

  async #fetchNext(jobs: Iterator<PlannedJob>): Promise<{ job: PlannedJob; bytes: Uint8Array } | undefined> {
    for (;;) {
      const { value: job, done } = jobs.next()
      if (done) return undefined
      if (job.length === 0) return { job, bytes: new Uint8Array(0) }
      const { repository, signal } = this.#options
      try {
        return {
          job,
          bytes: await getPackRange(repository.storage, job, { offset: job.offset, length: job.length }, { signal }),
        }
      } catch (error) {
        if (!isCairnError(error, 'DATA_CORRUPT')) throw error
        for (const file of job.files) this.#fileDone(file, { message: error.message, code: error.code })
      }
    }
  }

  async #runJob(worker: number, job: PlannedJob, bytes: Uint8Array): Promise<void> {
    const { pack, header, offset, segments } = job
    const files = job.files.map(({ systemPath, mode, uid, gid, mtimeNs, sizeBytes, jobsLeft, failed }) => ({
      systemPath,
      mode,
      uid,
      gid,
      mtimeNs,
      sizeBytes,
      whole: jobsLeft === 1 && !this.#shared.has(systemPath),
      failed,
    }))
    const transfer =
      bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength ? [bytes.buffer as ArrayBuffer] : []
    const result = await this.#pool.run(worker, { pack, header, bytes, offset, segments, files }, { transfer })
    this.#options.observer.bytes(result.bytes, job.files.at(-1)?.path ?? '')
    const failures = new Map(result.failures.map((failure) => [failure.file, failure]))
    for (const [i, file] of job.files.entries()) this.#fileDone(file, failures.get(i))
  }

  #makeShared(file: PlannedFile): void {
    if (file.failed || this.#shared.has(file.systemPath)) return
    try {
      const fd = createFile(file.systemPath, 0o600)
      truncateFile(fd, file.sizeBytes)
      closeFile(fd)
      this.#shared.add(file.systemPath)
    } catch (error) {
      file.failed = true
      this.#targetIssue(file.path, error)
    }
  }

  /** One job is done with a file; after the last one it is complete, or removed. */
  #fileDone(file: PlannedFile, failure: { message: string; code: string } | undefined): void {
    file.jobsLeft--
    const shared = this.#shared.has(file.systemPath)
    if (failure && !file.failed) {
      file.failed = true
      this.#targetFailure(file.path, failure.message, failure.code)
    }
    if (file.jobsLeft > 0) return
    this.#shared.delete(file.systemPath)
    try {
      if (shared && file.failed) removeFile(file.systemPath)
      else if (shared) {
        const fd = openForWriting(file.systemPath)
        try {
          setMetadata(fd, file, this.#mayChown)
        } finally {
          closeFile(fd)
        }
      }
    } catch (error) {
      file.failed = true
      this.#targetIssue(file.path, error)
    }
    if (!file.failed) this.#options.observer.entry(file.path, { type: 'file', sizeBytes: file.sizeBytes })
  }

  #finishDirectory({ systemPath, path, node }: { systemPath: string; path: string; node: TreeNode }): void {
    try {
      setMetadata(systemPath, node, this.#mayChown)
    } catch (error) {
      this.#targetIssue(path, error)
    }
  }

  /** Stored data that is damaged or missing costs the entry that needs it; any other error ends the run. */
  #damaged(path: string, error: unknown): void {
    if (!isCairnError(error, 'DATA_CORRUPT') && !isCairnError(error, 'NOT_FOUND')) throw error
    this.#issue(path, error.message, 'DATA_CORRUPT')
  }

  #targetIssue(path: string, error: unknown): void {
    const code = errnoOf(error)
    if (code === undefined) throw error
    this.#targetFailure(path, describeSystemError(error), code)
  }

  #targetFailure(path: string, message: string, code: string): void {
    if (FATAL.has(code)) {
      const hint = code === 'EIO' ? 'check the disk' : 'free some space or choose another target'
      throw new CairnError(
        'TARGET_FAILED',
        `Cannot restore ${toPrintable(path)}: ${message}; ${hint}, then run again`,
        { details: { code } },
      )
    }
    this.#issue(path, message, code)
  }

  #issue(path: string, message: string, code: string): void {
    this.#options.observer.issue({ path, message, code })
  }
}

function removeIfThere(path: string): void {
  try {
    removeFile(path)
  } catch {
    // the error that ended the run says more
  }
}

/** Makes a directory and what is missing above it. */
function makeDirectories(path: string): void {
  if (findFile(path)) return
  const slash = path.lastIndexOf('/')
  if (slash > 0) makeDirectories(path.slice(0, slash))
  makeDirectory(path, 0o777)
}

/** The worker's file beside this one, with the same extension: `.ts` in a checkout, `.js` when compiled. */
function workerUrl(): URL {
  const self = import.meta.url
  return new URL(`./worker${self.slice(self.lastIndexOf('.'))}`, self)
}
