import { CHUNK_ID_BYTES } from '../base/ids.ts'
import type { ChunkRef } from '../snapshot/content.ts'
import type { RestoreContext } from './context.ts'
import type { RestoredFile } from './restored-file.ts'
import { eachRef, inlineRefs } from './nodes.ts'
import type { CheckJob, FileToCheck } from './protocol.ts'

/** A job is cut here: enough to keep a worker busy, little enough for all of them to have some of a large file. */
const JOB_BYTES = 32 << 20
const JOB_FILES = 256

/** A check job and the files it is about, by number. */
export interface CheckTask {
  readonly job: CheckJob
  readonly files: readonly RestoredFile[]
}

/**
 * The jobs that compare files with their content; a large file is in several. Files of one job only get their metadata there, when
 * they are right and `settle` says so; `parts` counts the jobs of each.
 *
 * @throws {CairnError} `DATA_CORRUPT` by way of `onDamaged`, which is told the file that cannot be compared
 */
export async function* checkTasks(
  context: RestoreContext,
  files: readonly RestoredFile[],
  options: {
    readonly existing: boolean
    readonly settle: boolean
    onDamaged(file: RestoredFile, error: unknown): void
  },
): AsyncGenerator<CheckTask> {
  const { existing, settle } = options
  let builder = new JobBuilder(context)
  for (const file of files) {
    try {
      const { node, holes, path } = file
      const inline = inlineRefs(node, holes, path)
      const refs = inline ?? eachRef(context, node, holes, path)
      let part: ChunkRef[] = []
      let start = 0
      let bytes = 0
      for await (const ref of refs) {
        part.push(ref)
        bytes += ref.bytes
        if (builder.bytes + bytes < JOB_BYTES) continue
        builder.add(file, part, { start, existing, metadata: undefined })
        start += bytes
        bytes = 0
        part = []
        yield builder.task()
        builder = new JobBuilder(context)
      }
      const whole = start === 0
      if (whole || bytes > 0)
        builder.add(file, part, { start, existing, metadata: whole && settle ? file.metadata : undefined })
    } catch (error) {
      options.onDamaged(file, error)
    }
    if (builder.count < JOB_FILES && builder.bytes < JOB_BYTES) continue
    yield builder.task()
    builder = new JobBuilder(context)
  }
  if (builder.count > 0) yield builder.task()
}

class JobBuilder {
  readonly #context: RestoreContext
  readonly #files: RestoredFile[] = []
  readonly #toCheck: FileToCheck[] = []
  readonly #folders = new Map<string, number>()
  bytes = 0

  constructor(context: RestoreContext) {
    this.#context = context
  }

  get count(): number {
    return this.#files.length
  }

  add(
    file: RestoredFile,
    refs: readonly ChunkRef[],
    part: Pick<FileToCheck, 'existing' | 'metadata'> & { readonly start: number },
  ): void {
    const { place } = file.folder
    const folder = this.#folders.get(place) ?? this.#folders.size
    this.#folders.set(place, folder)
    const ids = new Uint8Array(refs.length * CHUNK_ID_BYTES)
    for (const [i, { id }] of refs.entries()) ids.set(id, i * CHUNK_ID_BYTES)
    const lengths = Float64Array.from(refs, (ref) => ref.bytes)
    for (const { bytes } of refs) this.bytes += bytes
    file.checks++
    this.#files.push(file)
    this.#toCheck.push({
      folder,
      name: file.node.name,
      sizeBytes: file.node.sizeBytes,
      holes: file.holes,
      ids,
      lengths,
      contentOffset: part.start,
      existing: part.existing,
      metadata: part.metadata,
    })
  }

  task(): CheckTask {
    const root = this.#context.folders?.root ?? ''
    return {
      job: { kind: 'check', root, folders: [...this.#folders.keys()], files: this.#toCheck },
      files: this.#files,
    }
  }
}
