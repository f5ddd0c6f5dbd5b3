import { Readable } from 'node:stream'
import { callbackify } from 'node:util'
import { RandomAccessReader } from 'yauzl'
import type { RandomSource } from '../../base/byte-stream.ts'
import { damagedArchive } from '../archive-error.ts'

const BLOCK_BYTES = 256 << 10
/** One where the directory is being read, one where contents are. */
const BLOCKS = 2

/** Reads a file in blocks: directories of archives are read in very short pieces. */
export class CachedSource implements RandomSource {
  readonly #source: RandomSource
  /** The one used last comes first. */
  readonly #blocks: { readonly start: number; readonly bytes: Buffer }[] = []

  constructor(source: RandomSource) {
    this.#source = source
  }

  get sizeBytes(): number {
    return this.#source.sizeBytes
  }

  async readAt(target: Uint8Array, position: number): Promise<number> {
    if (target.length >= BLOCK_BYTES) return this.#source.readAt(target, position)
    let done = 0
    while (done < target.length) {
      const block = await this.#block(position + done)
      const offset = position + done - block.start
      if (offset >= block.bytes.length) break // behind the end
      const count = block.bytes.copy(target, done, offset)
      done += count
    }
    return done
  }

  /** A stretch of it as a stream of Node. */
  pieces({ start, end }: { readonly start: number; readonly end: number }): Readable {
    const generate = async function* (source: RandomSource): AsyncGenerator<Buffer> {
      for (let at = start; at < end;) {
        const piece = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, end - at))
        const count = await source.readAt(piece, at)
        if (count < piece.length) throw damagedArchive('it was cut off')
        at += count
        yield piece
      }
    }
    return Readable.from(generate(this.#source), { objectMode: false, highWaterMark: BLOCK_BYTES })
  }

  async #block(position: number): Promise<{ readonly start: number; readonly bytes: Buffer }> {
    const start = position - (position % BLOCK_BYTES)
    const index = this.#blocks.findIndex((known) => known.start === start)
    const [found] = index < 0 ? [] : this.#blocks.splice(index, 1)
    const block = found ?? (await this.#load(start))
    this.#blocks.unshift(block)
    return block
  }

  async #load(start: number): Promise<{ readonly start: number; readonly bytes: Buffer }> {
    const bytes = this.#blocks.length < BLOCKS ? Buffer.allocUnsafeSlow(BLOCK_BYTES) : this.#reused()
    const count = await this.#source.readAt(bytes, start)
    return { start, bytes: bytes.subarray(0, count) }
  }

  #reused(): Buffer {
    const { bytes } = this.#blocks.pop() as { bytes: Buffer }
    return Buffer.from(bytes.buffer, 0, BLOCK_BYTES)
  }
}

/** A cached source as yauzl wants it. */
export class CachedReader extends RandomAccessReader {
  readonly #read: (target: Buffer, position: number, callback: (error: Error | null) => void) => void

  constructor(source: CachedSource) {
    super()
    this.#read = callbackify(async (target: Buffer, position: number) => {
      if ((await source.readAt(target, position)) < target.length) throw damagedArchive('it was cut off')
    })
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null) => void,
  ): void {
    this.#read(buffer.subarray(offset, offset + length), position, callback)
  }

  override close(callback: (error: Error | null) => void): void {
    callback(null) // whoever opened the source closes it
  }
}
