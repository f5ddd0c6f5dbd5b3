import type { ByteSource } from '../base/byte-stream.ts'

const BUFFER_BYTES = 1 << 20

/** Reads a source piece by piece: short pieces as views of a buffer, without waiting where they are there already. */
export class SourceReader {
  readonly #source: ByteSource
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  #start = 0
  #end = 0
  #hasEnded = false
  /** Bytes that were taken so far. */
  position = 0

  constructor(source: ByteSource) {
    this.#source = source
  }

  /**
   * The next `bytes` bytes (at most 1 MiB), as a view that is good until the next call; fewer only where the source ends. A promise
   * only where more has to be read.
   */
  take(bytes: number): Buffer | Promise<Buffer> {
    return this.#end - this.#start >= bytes || this.#hasEnded ? this.#taken(bytes) : this.#takeMore(bytes)
  }

  /** Puts the next bytes into `target`; fewer than it has room for only where the source ends. */
  async read(target: Uint8Array): Promise<number> {
    const there = Math.min(target.length, this.#end - this.#start)
    target.set(this.#taken(there))
    if (there === target.length || this.#hasEnded) return there
    const rest = target.subarray(there)
    // What would fill the buffer anyway need not go through it.
    if (rest.length >= BUFFER_BYTES / 2) {
      const count = await this.#source.read(rest)
      this.position += count
      this.#hasEnded = count < rest.length
      return there + count
    }
    const more = await this.#takeMore(rest.length)
    rest.set(more)
    return there + more.length
  }

  /** Passes over `bytes` bytes; returns how many there were. */
  async skip(bytes: number): Promise<number> {
    let done = 0
    while (done < bytes) {
      const piece = await this.take(Math.min(bytes - done, BUFFER_BYTES))
      if (piece.length === 0) break
      done += piece.length
    }
    return done
  }

  #taken(bytes: number): Buffer {
    const piece = this.#buffer.subarray(this.#start, Math.min(this.#start + bytes, this.#end))
    this.#start += piece.length
    this.position += piece.length
    return piece
  }

  async #takeMore(bytes: number): Promise<Buffer> {
    this.#buffer.copyWithin(0, this.#start, this.#end)
    this.#end -= this.#start
    this.#start = 0
    const room = this.#buffer.subarray(this.#end)
    const count = await this.#source.read(room)
    this.#end += count
    this.#hasEnded = count < room.length
    return this.#taken(bytes)
  }
}
