import { CairnError, errnoOf, isCairnError } from '../base/errors.ts'
import { CHUNK_ID_BYTES, type ChunkId, asChunkId, toHex } from '../base/ids.ts'
import { closeFile, openForReading, statOpenFile } from '../platform/files.ts'
import { getPackRange, isMissingPack } from '../repository/pack-range.ts'
import type { ChunkRef } from '../snapshot/content.ts'
import { checkTasks } from './check-jobs.ts'
import type { RestoreAction, RestoreContext } from './context.ts'
import type { Crew } from './crew.ts'
import type { Folders } from './folders.ts'
import type { LossKind } from './losses.ts'
import { setFlags, setMetadata } from './metadata.ts'
import { eachRef, inlineRefs } from './nodes.ts'
import { type PlannedJob, RestorePlan } from './plan.ts'
import type { WorkerResult, WriteJob } from './protocol.ts'
import type { RestoredFile } from './restored-file.ts'
import { SharedFiles } from './shared-files.ts'

const WINDOW_ENTRIES = 10_000
const WINDOW_BYTES = 512 << 20

/**
 * Restores the contents of files, a window of them at a time: those that may be right already are compared, what is needed of the
 * others is planned by pack, fetched and written; then, if asked, all is read back.
 */
export class Files {
  readonly #context: RestoreContext
  readonly #folders: Folders
  readonly #crew: Crew
  readonly #onDone: (file: RestoredFile, isRestored: boolean) => void
  readonly #plan = new RestorePlan<RestoredFile>()
  readonly #toCompare: RestoredFile[] = []
  readonly #toVerify: RestoredFile[] = []
  readonly #shared: SharedFiles
  #entries = 0
  /** Read back and found to be different from what was restored. */
  readonly differing: string[] = []

  constructor(
    context: RestoreContext,
    folders: Folders,
    crew: Crew,
    onDone: (file: RestoredFile, isRestored: boolean) => void,
  ) {
    this.#context = context
    this.#folders = folders
    this.#crew = crew
    this.#onDone = onDone
    this.#shared = new SharedFiles(context)
  }

  get isFull(): boolean {
    return this.#entries >= WINDOW_ENTRIES || this.#plan.entries >= WINDOW_ENTRIES || this.#plan.bytes >= WINDOW_BYTES
  }

  /** Takes a file over; `mayBeRight` when one of its size is in its place. Its folder is to be held already. */
  async add(file: RestoredFile, mayBeRight: boolean): Promise<void> {
    this.#entries++
    if (mayBeRight) this.#toCompare.push(file)
    else await this.#planFile(file)
  }

  /** Does all that was added. */
  async flush(): Promise<void> {
    await this.#compare()
    await this.#write()
    this.#entries = 0
    if (this.#context.settings.verify) await this.#verify(this.#toVerify.splice(0))
  }

  async #compare(): Promise<void> {
    const files = this.#toCompare.splice(0)
    if (files.length === 0) return
    const different = new Set<RestoredFile>()
    const settle = !this.#context.settings.dryRun
    const onDamaged = (file: RestoredFile, error: unknown): void => this.#fail(file, error)
    const tasks = checkTasks(this.#context, files, { existing: true, settle, onDamaged })
    await this.#crew.work(
      async () => (await tasks.next()).value ?? undefined,
      (task, result) => {
        this.#mergeLosses(task.files, result)
        for (const { file } of result.failures) different.add(task.files[file] as RestoredFile)
      },
    )
    for (const file of files) {
      if (file.failed) continue
      const isRight = !different.has(file) && (file.checks === 1 || !settle || this.#settle(file))
      if (isRight) this.#finish(file, 'unchanged')
      else await this.#planFile(file)
    }
  }

  /** Sets the metadata of a file that is right, but was too large for one job to know; `false` when it is another one by now. */
  #settle(file: RestoredFile): boolean {
    const { folders, rights, losses } = this.#context
    const lose = (kind: LossKind, error: unknown): void => losses.add(kind, error, () => file.path)
    try {
      const fd = openForReading(`${folders?.enter(file.folder.place)}/${file.node.name}`)
      try {
        const found = statOpenFile(fd)
        if (found.type !== 'file' || found.sizeBytes !== file.node.sizeBytes || found.linkCount > 1) return false
        setMetadata(fd, file.metadata, rights, lose, found)
        setFlags(fd, file.metadata, rights, lose)
        return true
      } finally {
        closeFile(fd)
      }
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
      return false
    }
  }

  async #planFile(file: RestoredFile): Promise<void> {
    const { node, holes, path } = file
    if (this.#context.settings.dryRun) return this.#finish(file, file.action)
    file.jobsLeft = 1 // as long as content may be added
    try {
      const inline = inlineRefs(node, holes, path)
      if (inline) {
        let offset = 0
        for (const ref of inline) offset = this.#addRef(file, ref, offset)
        if (inline.length === 0) this.#plan.addEmpty(file)
      } else {
        let offset = 0
        for await (const ref of eachRef(this.#context, node, holes, path)) {
          if (file.failed) break
          offset = this.#addRef(file, ref, offset)
          if (this.#plan.entries >= WINDOW_ENTRIES || this.#plan.bytes >= WINDOW_BYTES) await this.#write()
        }
      }
    } catch (error) {
      // What was planned of it already does no harm: it is not written.
      file.failed = true
      this.#context.failed(path, error)
    }
    this.#jobDone(file, undefined)
  }

  #addRef(file: RestoredFile, ref: ChunkRef, offset: number): number {
    const address = this.#context.settings.repository.addressOf(ref.id)
    if (!address) throw new CairnError('DATA_CORRUPT', `chunk ${toHex(ref.id)} is missing from the index`)
    this.#plan.add(file, ref, address, offset)
    return offset + ref.bytes
  }

  async #write(): Promise<void> {
    do await this.#writePlanned(this.#plan.take())
    while (this.#plan.entries > 0) // of packs that were gone
  }

  async #writePlanned(planned: readonly PlannedJob<RestoredFile>[]): Promise<void> {
    for (const job of planned)
      for (const file of job.files) if (file.jobsLeft > 1 && !file.shared && !file.failed) this.#shared.make(file)
    const jobs = planned[Symbol.iterator]()
    await this.#crew.work(
      () => this.#fetchNext(jobs),
      ({ planned }, result) => {
        this.#context.settings.observer.bytes(result.bytes, planned.files.at(-1)?.path ?? '')
        this.#mergeLosses(planned.files, result)
        const failures = new Map(result.failures.map((failure) => [failure.file, failure]))
        for (const [i, file] of planned.files.entries()) this.#jobDone(file, failures.get(i))
      },
    )
  }

  async #fetchNext(
    jobs: Iterator<PlannedJob<RestoredFile>>,
  ): Promise<{ job: WriteJob; planned: PlannedJob<RestoredFile> } | undefined> {
    const { repository, signal } = this.#context.settings
    for (;;) {
      const { value: planned, done } = jobs.next()
      if (done) return undefined
      try {
        const { offset, length } = planned
        const bytes =
          length === 0
            ? new Uint8Array(0)
            : await getPackRange(repository.storage, planned, { offset, length }, { signal })
        return { planned, job: this.#toJob(planned, bytes) }
      } catch (error) {
        if (!isCairnError(error, 'DATA_CORRUPT')) throw error
        const isElsewhere = isMissingPack(error) && (await this.#planElsewhere(planned))
        const failure = isElsewhere ? undefined : { message: error.message, code: error.code }
        for (const file of planned.files) this.#jobDone(file, failure)
      }
    }
  }

  /** Plans what a job was to fetch anew, when reclaiming space has moved all of it; `false` when the pack is lost. */
  async #planElsewhere({ pack, segments, files }: PlannedJob<RestoredFile>): Promise<boolean> {
    const { repository, signal } = this.#context.settings
    for (const { ids } of segments)
      for (const id of eachId(ids)) if (!(await repository.hasMoved(id, pack, { signal }))) return false
    for (const { ids, lengths, files: numbers, contentOffsets } of segments) {
      let i = 0
      for (const id of eachId(ids)) {
        const ref = { id, bytes: lengths[i] as number }
        this.#addRef(files[numbers[i] as number] as RestoredFile, ref, contentOffsets[i] as number)
        i++
      }
    }
    return true
  }

  #toJob({ pack, header, offset, segments, files }: PlannedJob<RestoredFile>, bytes: Uint8Array): WriteJob {
    const { folders, tempNames } = this.#context
    const numbers = new Map<string, number>()
    const toWrite = files.map(({ folder: { place, isPrivate }, node, placement, metadata, holes, shared, failed }) => {
      const folder = numbers.get(place) ?? numbers.size
      numbers.set(place, folder)
      const { name, sizeBytes } = node
      const file = { folder, name, placement, isPrivate, metadata, sizeBytes }
      // What is cloned for every file is kept short.
      return holes || shared || failed ? { ...file, holes, shared, failed } : file
    })
    const root = folders?.root ?? ''
    const tempName = tempNames.next()
    return {
      kind: 'write',
      root,
      folders: [...numbers.keys()],
      pack,
      header,
      bytes,
      offset,
      segments,
      files: toWrite,
      tempName,
    }
  }

  /** One holder of a file is done with it; after the last one it gets its name, or is removed. */
  #jobDone(file: RestoredFile, failure: { message: string; code: string } | undefined): void {
    file.jobsLeft--
    if (failure && !file.failed) {
      file.failed = true
      this.#context.refused(file.path, failure.message, failure.code)
    }
    if (file.jobsLeft > 0) return
    try {
      this.#shared.complete(file)
    } catch (error) {
      file.failed = true
      this.#context.failed(file.path, error)
    }
    this.#finish(file, file.failed ? undefined : file.action)
  }

  #finish(file: RestoredFile, action: RestoreAction | undefined): void {
    file.isDone = true
    if (action) this.#context.done(file.path, file.node, action)
    if (this.#context.settings.verify && (action === 'restored' || action === 'updated')) this.#toVerify.push(file)
    this.#onDone(file, action !== undefined)
    this.#folders.release(file.folder)
  }

  #fail(file: RestoredFile, error: unknown): void {
    file.failed = true
    this.#context.failed(file.path, error)
    this.#finish(file, undefined)
  }

  async #verify(files: readonly RestoredFile[]): Promise<void> {
    const onDamaged = (file: RestoredFile, error: unknown): void => this.#context.failed(file.path, error)
    const tasks = checkTasks(this.#context, files, { existing: false, settle: false, onDamaged })
    await this.#crew.work(
      async () => (await tasks.next()).value ?? undefined,
      (task, { failures }) => {
        for (const { file, message } of failures) {
          const { path, failed } = task.files[file] as RestoredFile
          if (failed) continue
          ;(task.files[file] as RestoredFile).failed = true
          this.differing.push(path)
          this.#context.issue(path, `what was read back is not what was written: ${message}`, 'DIFFERENT')
        }
      },
    )
  }

  #mergeLosses(files: readonly RestoredFile[], { losses }: WorkerResult): void {
    this.#context.losses.merge(losses.map((loss) => ({ ...loss, first: files[Number(loss.first)]?.path ?? '' })))
  }

  /** After an error that ended the run: half a file is nobody's. */
  tidy(): void {
    this.#shared.tidy()
  }
}

function* eachId(ids: Uint8Array): Generator<ChunkId> {
  for (let at = 0; at < ids.length; at += CHUNK_ID_BYTES)
    yield asChunkId(Buffer.from(ids.buffer, ids.byteOffset + at, CHUNK_ID_BYTES))
}
