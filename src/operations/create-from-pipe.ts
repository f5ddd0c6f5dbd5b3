import { systemClock } from '../base/clock.ts'
import { type PipedFile, commandSource, stdinSource } from '../sources/pipe-source.ts'
import { type CounterOptions, CreateCounter } from './create-counter.ts'
import type { RepositoryAccess } from './repository-access.ts'
import type { CreateResult, SaveOptions } from './save-snapshot.ts'
import { saveStream } from './save-stream.ts'

export interface PipeOptions extends SaveOptions, CounterOptions {
  /** What to run, whose output is saved; standard input is when absent. */
  readonly command?: readonly string[] | undefined
  readonly file: Omit<PipedFile, 'mtimeMs'>
}

/**
 * Saves standard input, or the output of a command, as the only file of a snapshot.
 *
 * @throws {CairnError} `SOURCE_FAILED` when it cannot be read, or the command fails or is killed; `INVALID_ARGUMENT`,
 *   `SNAPSHOT_EXISTS`; then nothing is saved
 */
export async function createFromPipe(access: RepositoryAccess, options: PipeOptions): Promise<CreateResult> {
  const clock = access.clock ?? systemClock
  const startedAtMs = clock.now()
  const file = { ...options.file, mtimeMs: startedAtMs }
  const source = options.command ? commandSource(options.command, file) : stdinSource(file)
  return saveStream(access, options, source, { counter: new CreateCounter(options, clock), startedAtMs })
}
