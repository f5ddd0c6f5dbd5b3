import os from 'node:os'
import type { TarFilter } from '../archives/archive-format.ts'
import type { AbortOptions } from '../base/abort.ts'
import { BufferedSink } from '../base/buffered-sink.ts'
import type { ByteSink, ByteSource } from '../base/byte-stream.ts'
import { CairnError, errnoOf } from '../base/errors.ts'
import { toPrintable } from '../base/raw-name.ts'
import { Sha256 } from '../codec/sha256.ts'
import { compressing } from '../codec/stream-compression.ts'
import { Command } from '../platform/command.ts'
import { describeSystemError } from '../platform/files.ts'

/** Counts and sums up what goes to the sink behind it, as it goes by. */
export class ChecksumSink implements ByteSink {
  readonly #sink: ByteSink
  readonly #hash = new Sha256()
  bytes = 0

  constructor(sink: ByteSink) {
    this.#sink = sink
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#sink.write(bytes)
    // Only what was written counts.
    this.#hash.update(bytes)
    this.bytes += bytes.length
  }

  end(): Promise<void> {
    return this.#sink.end()
  }

  get checksum(): string {
    return this.#hash.hex()
  }
}

/** What stands between an archive and its file, with what is to be disposed of afterwards. */
export interface FilteredSink extends AsyncDisposable {
  readonly sink: ByteSink
}

export function filteredSink(sink: ByteSink, filter: TarFilter | undefined, options: AbortOptions): FilteredSink {
  if (filter === undefined) return { sink: new BufferedSink(sink), [Symbol.asyncDispose]: nothingToDo }
  if (typeof filter === 'string') {
    const compressed = compressing(sink, filter, { workers: os.availableParallelism() })
    return { sink: new BufferedSink(compressed), [Symbol.asyncDispose]: nothingToDo }
  }
  const toError = (problem: string): CairnError =>
    new CairnError('TARGET_FAILED', `Cannot compress with '${toPrintable(filter.compress.join(' '))}': it ${problem}`)
  const command = new Command(filter.compress, { stdin: 'written', toError, ...options })
  let failure: { readonly error: unknown } | undefined
  const copied = copy(command, sink).catch(async (error: unknown) => {
    failure = { error }
    await command[Symbol.asyncDispose]() // it would wait for somebody who reads what it prints
  })
  const throwFailure = (): void => {
    if (failure) throw failure.error
  }
  return {
    sink: new BufferedSink({
      async write(bytes) {
        try {
          await command.input.write(bytes)
        } catch (error) {
          throwFailure()
          throw error
        }
      },
      async end() {
        await command.input.end()
        await copied
        throwFailure()
        await sink.end()
      },
    }),
    [Symbol.asyncDispose]: () => command[Symbol.asyncDispose](),
  }
}

async function nothingToDo(): Promise<void> {}

async function copy(source: ByteSource, sink: ByteSink): Promise<void> {
  const piece = new Uint8Array(256 << 10)
  for (;;) {
    const count = await source.read(piece)
    await sink.write(piece.subarray(0, count))
    if (count < piece.length) return
  }
}

/** Translates what the system says about the file that is written; other errors pass. */
export async function explainTarget<T>(file: string, use: () => Promise<T>): Promise<T> {
  try {
    return await use()
  } catch (error) {
    const code = errnoOf(error)
    if (code === undefined) throw error
    throw new CairnError('TARGET_FAILED', `Cannot write ${toPrintable(file)}: ${reasonOf(code, error)}`, {
      cause: error,
      details: { code },
    })
  }
}

function reasonOf(code: string, error: unknown): string {
  if (code === 'EEXIST') return 'it exists already; --force replaces it'
  if (code === 'EBUSY') {
    const path = error instanceof Error && 'path' in error ? String(error.path) : ''
    return `another export to it is in progress; if that is gone, remove ${toPrintable(path)}`
  }
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return `${describeSystemError(error)}; free some space or choose another place`
  return describeSystemError(error)
}
