import path from 'node:path'
import type { ArchiveFormat, TarFilter } from '../archives/archive-format.ts'
import { systemClock } from '../base/clock.ts'
import { archiveSource } from '../sources/archive-source.ts'
import { archiveInput } from './archive-input.ts'
import { type CounterOptions, CreateCounter } from './create-counter.ts'
import type { RepositoryAccess } from './repository-access.ts'
import type { CreateResult, SaveOptions } from './save-snapshot.ts'
import { saveStream } from './save-stream.ts'
import { loadSidecar } from './sidecar.ts'

export interface ImportOptions extends SaveOptions, CounterOptions {
  /** An archive, or `-` for standard input. */
  readonly file: string
  /** What it is; found out when absent. */
  readonly format?: ArchiveFormat | undefined
  /** How a tar is compressed; found out with `auto`, or when absent. */
  readonly filter?: TarFilter | 'none' | 'auto' | undefined
  /** Read a tar on behind its end mark. */
  readonly ignoreZeros?: boolean | undefined
  readonly atime?: boolean | undefined
  readonly numericIds?: boolean | undefined
}

/**
 * Makes a snapshot of what is in an archive: every file by itself, as if it had been extracted and backed up. A sidecar that lies
 * beside the archive has to be right.
 *
 * @throws {CairnError} `NOT_FOUND`, `SOURCE_FAILED`; `ARCHIVE_CORRUPT` when the archive is damaged, cut off or contradicts itself;
 *   `FORMAT_UNSUPPORTED`, `INVALID_ARGUMENT`, `SNAPSHOT_EXISTS`; then nothing is saved
 */
export async function importArchive(access: RepositoryAccess, options: ImportOptions): Promise<CreateResult> {
  const { file, format, filter, ignoreZeros, atime, numericIds } = options
  const clock = access.clock ?? systemClock
  const sidecar = file === '-' ? undefined : loadSidecar(file)
  const source = archiveSource((abort) => archiveInput(file, sidecar, abort), {
    name: file === '-' ? file : path.resolve(file),
    format,
    filter,
    ignoreZeros,
    atime,
    numericIds,
  })
  return saveStream(access, options, source, { counter: new CreateCounter(options, clock), startedAtMs: clock.now() })
}
