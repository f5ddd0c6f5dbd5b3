import type { AbortOptions } from '../base/abort.ts'
import type { ByteSource, RandomSource } from '../base/byte-stream.ts'
import { CairnError } from '../base/errors.ts'
import { toPrintable } from '../base/raw-name.ts'
import { decompressed } from '../codec/stream-compression.ts'
import { Command } from '../platform/command.ts'
import type { ArchiveReader } from './archive-entry.ts'
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
  const command = decompressingCommand(how.decompress, whole, options)
  return {
    format,
    reader: new TarReader(command, options),
    [Symbol.asyncDispose]: () => command[Symbol.asyncDispose](),
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

function decompressingCommand(words: readonly string[], source: ByteSource, options: AbortOptions): Command {
  let failure: { readonly error: unknown } | undefined
  const toError = (problem: string): Error => {
    // What it was given comes first: it fails when that breaks off.
    if (failure?.error instanceof Error) return failure.error
    return new CairnError(
      'ARCHIVE_CORRUPT',
      `Cannot read the archive: '${toPrintable(words.join(' '))}', through which it goes, ${problem}`,
    )
  }
  const command = new Command(words, { stdin: 'written', toError, ...options })
  feed(source, command).catch((error: unknown) => {
    failure = { error }
    void command[Symbol.asyncDispose]()
  })
  return command
}

async function feed(source: ByteSource, command: Command): Promise<void> {
  const piece = new Uint8Array(256 << 10)
  for (;;) {
    const count = await source.read(piece)
    if (count > 0) await command.input.write(piece.subarray(0, count))
    if (count < piece.length) break
  }
  await command.input.end()
}
