import type { AbortOptions } from '../base/abort.ts'
import type { ByteSource, RandomSource } from '../base/byte-stream.ts'
import { CairnError } from '../base/errors.ts'
import { toPrintable } from '../base/raw-name.ts'
import { decompressed } from '../codec/stream-compression.ts'
import { Command } from '../platform/command.ts'
import type { ArchiveReader } from './archive-entry.ts'
import { damagedArchive } from './archive-error.ts'
import { type ArchiveFormat, MAGIC_BYTES, type TarFilter, formatOfContent } from './archive-format.ts'
import { TarReader, type TarReaderOptions } from './tar-reader.ts'
import { ZipReader } from './zip-reader.ts'

export interface OpenArchiveOptions extends AbortOptions, TarReaderOptions {
  /** What it is, where its content is not to be asked. */
  readonly format?: ArchiveFormat | undefined
  readonly filter?: TarFilter | 'none' | 'auto' | undefined
}

/** An archive that is being read. To be disposed of, wherever it was left. */
export interface OpenArchive extends AsyncDisposable {
  readonly format: ArchiveFormat
  readonly reader: ArchiveReader
}

/**
 * Begins to read an archive, and finds out what it is. A tar is read to the last byte of `stream`, also behind its end mark.
 *
 * @param random the same bytes, for a zip; absent when they can be read once only
 * @throws {CairnError} `INVALID_ARGUMENT` for a zip that cannot be read anywhere; what reading throws
 */
export async function openArchive(
  stream: ByteSource,
  random: (() => RandomSource) | undefined,
  options: OpenArchiveOptions,
): Promise<OpenArchive> {
  const start = Buffer.alloc(MAGIC_BYTES)
  const length = await stream.read(start)
  const found = formatOfContent(start.subarray(0, length))
  const format = options.format ?? found.format
  if (format === 'zip') {
    if (random) return { format, reader: new ZipReader(random()), [Symbol.asyncDispose]: async () => undefined }
    throw new CairnError(
      'INVALID_ARGUMENT',
      'Cannot read a zip archive from a pipe: its directory lies at the end; save it to a file first',
    )
  }
  const { filter = 'auto' } = options
  const how = filter === 'auto' ? found.filter : filter === 'none' ? undefined : filter
  const whole = prefixed(start.subarray(0, length), stream)
  if (how === undefined || typeof how === 'string') {
    const source = how === undefined ? whole : decompressed(whole, how)
    return { format, reader: new TarReader(source, options), [Symbol.asyncDispose]: async () => undefined }
  }
  const program = new DecompressingProgram(how.decompress, whole, options)
  return {
    format,
    reader: new TarReader(program, options),
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  }
}

/** Bytes that were read already, and those that follow. */
function prefixed(start: Buffer, rest: ByteSource): ByteSource {
  let at = 0
  return {
    async read(target) {
      const count = start.copy(target, 0, at)
      at += count
      return count < target.length ? count + (await rest.read(target.subarray(count))) : count
    },
  }
}

/** What a program makes of a source, which is read to its end even if the program does not want all of it. */
class DecompressingProgram implements ByteSource, AsyncDisposable {
  readonly #command: Command
  readonly #fed: Promise<void>
  /** Why there is no more: what came first. */
  #failure: { readonly error: unknown } | undefined
  #isDisposed = false

  constructor(words: readonly string[], source: ByteSource, options: AbortOptions) {
    const name = `'${toPrintable(words.join(' '))}'`
    const toError = (problem: string, hasRun: boolean): CairnError =>
      hasRun
        ? damagedArchive(`${name}, through which it goes, ${problem}`)
        : new CairnError(
            'SOURCE_FAILED',
            `Cannot read the archive: ${name} ${problem}; install it, or decompress the archive before`,
          )
    this.#command = new Command(words, { stdin: 'written', toError, ...options })
    this.#fed = this.#feed(source).catch(async (error: unknown) => {
      this.#failure = { error }
      await this.#command[Symbol.asyncDispose]()
    })
  }

  async read(target: Uint8Array): Promise<number> {
    let count = 0
    try {
      count = await this.#command.read(target)
      if (count < target.length) await this.#fed
    } catch (error) {
      this.#failure ??= { error } // the program fails too when what it was given breaks off
    }
    if (this.#failure) throw this.#failure.error
    return count
  }

  /** Nothing more is read of the source then. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true
    await this.#command[Symbol.asyncDispose]()
    await this.#fed
  }

  async #feed(source: ByteSource): Promise<void> {
    const { input } = this.#command
    const piece = new Uint8Array(256 << 10)
    let isWanted = true
    while (!this.#isDisposed) {
      const count = await source.read(piece)
      // A program that takes no more has ended; how, is said when all that it printed was read.
      isWanted &&= await input.write(piece.subarray(0, count)).then(
        () => true,
        () => false,
      )
      if (count < piece.length) break
    }
    await input.end()
  }
}
