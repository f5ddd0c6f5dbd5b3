import type { AbortOptions } from '../base/abort.ts'
import type { ByteSource, RandomSource } from '../base/byte-stream.ts'
import { CairnError, errnoOf } from '../base/errors.ts'
import { toPrintable } from '../base/raw-name.ts'
import { Sha256 } from '../codec/sha256.ts'
import { describeSystemError } from '../platform/files.ts'
import { openInputStream, standardInput } from '../platform/input-stream.ts'
import type { ArchiveInput } from '../sources/archive-source.ts'
import { type ReadSidecar, sidecarPath } from './sidecar.ts'

/** Sums up the bytes of an archive while they are read. */
export class SummedSource implements ByteSource {
  readonly #source: ByteSource
  readonly #hash = new Sha256()
  bytes = 0

  constructor(source: ByteSource) {
    this.#source = source
  }

  async read(target: Uint8Array): Promise<number> {
    const count = await this.#source.read(target)
    this.#hash.update(target.subarray(0, count))
    this.bytes += count
    return count
  }

  get checksum(): string {
    return this.#hash.hex()
  }

  /** Reads what nobody has read yet. */
  async drain(): Promise<void> {
    const piece = new Uint8Array(256 << 10)
    while ((await this.read(piece)) === piece.length);
  }
}

/** An archive that can be read: from its beginning, and, if it is a file, anywhere. To be disposed of. */
export interface ArchiveFile extends Disposable {
  readonly stream: ByteSource
  readonly random: RandomSource | undefined
}

/**
 * Opens an archive, `-` for standard input.
 *
 * @throws {CairnError} `NOT_FOUND` when there is no such file, `SOURCE_FAILED` when it cannot be read
 */
export function openArchiveFile(file: string, options: AbortOptions): ArchiveFile {
  try {
    const input = file === '-' ? standardInput(options) : openInputStream(file, options)
    const { random } = input
    return {
      stream: { read: (target) => translated(file, input.read(target)) },
      random: random && {
        sizeBytes: random.sizeBytes,
        readAt: (target, position) => translated(file, random.readAt(target, position)),
      },
      [Symbol.dispose]: () => input[Symbol.dispose](),
    }
  } catch (error) {
    throw toSourceError(file, error)
  }
}

/** The bytes of an archive that is to be imported. With a sidecar, they have to be what that says. */
export function archiveInput(file: string, sidecar: ReadSidecar | undefined, options: AbortOptions): ArchiveInput {
  const opened = openArchiveFile(file, options)
  const { random } = opened
  const summed = sidecar && new SummedSource(opened.stream)
  return {
    stream: summed ?? opened.stream,
    random: random && (() => random),
    async finish() {
      await summed?.drain()
      if (!sidecar || summed?.checksum === sidecar.checksum) return
      throw new CairnError(
        'CHECKSUM_DIFFERS',
        `Cannot import ${toPrintable(file)}: it is not what ${toPrintable(sidecarPath(file))} says; 'cairn verify' tells more`,
      )
    },
    [Symbol.asyncDispose]: async () => opened[Symbol.dispose](),
  }
}

async function translated<T>(file: string, reading: Promise<T>): Promise<T> {
  try {
    return await reading
  } catch (error) {
    throw toSourceError(file, error)
  }
}

function toSourceError(file: string, error: unknown): unknown {
  const code = errnoOf(error)
  if (code === undefined) return error
  const what = file === '-' ? 'standard input' : toPrintable(file)
  const isMissing = code === 'ENOENT' || code === 'ENOTDIR'
  return new CairnError(
    isMissing ? 'NOT_FOUND' : 'SOURCE_FAILED',
    `Cannot read ${what}: ${describeSystemError(error)}`,
    { cause: error, details: { code } },
  )
}
