import { once } from 'node:events'
import type { Transform } from 'node:stream'
import { promisify } from 'node:util'
import { constants, createGunzip, createGzip, createZstdDecompress, zstdCompress } from 'node:zlib'
import type { ByteSink, ByteSource } from '../base/byte-stream.ts'
import { CairnError } from '../base/errors.ts'
import { ReadableSource } from '../base/readable-source.ts'

/** Compressed streams that other programs read. */
export type StreamCompression = 'gzip' | 'zstd'

const PIECE_BYTES = 256 << 10

/**
 * What comes out of a compressed source. It is worked on in a thread of the system's, ahead of its reader by a piece. Several streams one
 * behind the other are one.
 *
 * @throws {CairnError} `ARCHIVE_CORRUPT`, when reading, for what is damaged, cut off or followed by something else
 */
export function decompressed(source: ByteSource, compression: StreamCompression): ByteSource {
  const options = { chunkSize: PIECE_BYTES }
  const transform =
    compression === 'gzip' ? createGunzip(options) : createZstdDecompress({ ...options, rejectGarbageAfterEnd: true })
  const output = new ReadableSource(transform)
  pump(source, transform).catch((error: unknown) => transform.destroy(toError(error)))
  return {
    async read(target) {
      try {
        return await output.read(target)
      } catch (error) {
        if (error instanceof CairnError || !isZlibError(error)) throw error
        throw new CairnError('ARCHIVE_CORRUPT', `Cannot decompress (${compression}): ${error.message}`, {
          cause: error,
        })
      }
    },
  }
}

async function pump(source: ByteSource, transform: Transform): Promise<void> {
  for (;;) {
    const piece = Buffer.allocUnsafeSlow(PIECE_BYTES)
    const count = await source.read(piece)
    if (transform.destroyed) return
    if (count > 0 && !transform.write(piece.subarray(0, count))) await drained(transform)
    if (count < piece.length) break
  }
  transform.end()
}

/** Compresses on the way to a sink, at the level that the programs of these names have; a checksum of the content is part of it. */
export function compressing(sink: ByteSink, compression: StreamCompression, options: { workers: number }): ByteSink {
  return compression === 'gzip' ? new GzipSink(sink) : new ZstdSink(sink, options.workers)
}

class GzipSink implements ByteSink {
  readonly #transform = createGzip({ chunkSize: PIECE_BYTES })
  readonly #copied: Promise<void>
  #failure: { readonly error: unknown } | undefined

  constructor(sink: ByteSink) {
    this.#copied = this.#copyTo(sink)
    this.#copied.catch((error: unknown) => {
      this.#failure ??= { error }
      this.#transform.destroy()
    })
  }

  async write(bytes: Uint8Array): Promise<void> {
    // The transform keeps what it is given until it has worked on it, and the caller's memory is his own again.
    if (!this.#transform.destroyed && !this.#transform.write(Buffer.from(bytes))) await drained(this.#transform)
    if (this.#failure) throw this.#failure.error
  }

  async end(): Promise<void> {
    this.#transform.end()
    await this.#copied
  }

  async #copyTo(sink: ByteSink): Promise<void> {
    for await (const piece of this.#transform) await sink.write(piece as Buffer)
    await sink.end()
  }
}

/** Each a frame of its own: a window of level 3 is 2 MiB, so little is lost by that. */
const FRAME_BYTES = 4 << 20
const FRAME_OPTIONS = { params: { [constants.ZSTD_c_checksumFlag]: 1 } }
const compressFrame = promisify(zstdCompress)

/**
 * Frames that several threads of the system's compress at the same time, in order. (Node 26.10 can have zstd itself use threads,
 * `ZSTD_c_nbWorkers`, but then loses the end of what is compressed.)
 */
class ZstdSink implements ByteSink {
  readonly #sink: ByteSink
  readonly #workers: number
  #frame = Buffer.allocUnsafeSlow(FRAME_BYTES)
  #used = 0
  #frames = 0
  readonly #underWay: Promise<Buffer>[] = []

  constructor(sink: ByteSink, workers: number) {
    this.#sink = sink
    this.#workers = workers
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const piece = bytes.subarray(done, done + FRAME_BYTES - this.#used)
      this.#frame.set(piece, this.#used)
      this.#used += piece.length
      done += piece.length
      if (this.#used === FRAME_BYTES) await this.#send()
    }
  }

  async end(): Promise<void> {
    // Nothing at all is a frame too.
    if (this.#used > 0 || this.#frames === 0) this.#compress()
    while (this.#underWay.length > 0) await this.#writeNext()
    await this.#sink.end()
  }

  async #send(): Promise<void> {
    this.#compress()
    while (this.#underWay.length > this.#workers) await this.#writeNext()
  }

  #compress(): void {
    const compressed = compressFrame(this.#frame.subarray(0, this.#used), FRAME_OPTIONS)
    compressed.catch(() => undefined) // whoever writes it hears of it
    this.#underWay.push(compressed)
    this.#frames++
    this.#frame = Buffer.allocUnsafeSlow(FRAME_BYTES)
    this.#used = 0
  }

  async #writeNext(): Promise<void> {
    const next = this.#underWay.shift()
    if (next) await this.#sink.write(await next)
  }
}

/** Resolves when more can be written, or nobody wants more. */
async function drained(transform: Transform): Promise<void> {
  if (transform.destroyed) return
  const closed = new AbortController()
  await Promise.race([
    once(transform, 'drain', { signal: closed.signal }).catch(() => undefined),
    once(transform, 'close', { signal: closed.signal }).catch(() => undefined),
  ])
  closed.abort()
}

function isZlibError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && /^(Z_|ZSTD_|ERR_)/.test(String(error.code))
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
