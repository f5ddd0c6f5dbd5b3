import type { ByteSink } from './byte-stream.ts'

const BUFFER_BYTES = 256 << 10

/** Gathers short pieces, so that the next sink gets long ones. */
export class BufferedSink implements ByteSink {
  readonly #sink: ByteSink
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  #used = 0

  constructor(sink: ByteSink) {
    this.#sink = sink
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#used + bytes.length > BUFFER_BYTES) await this.#flush()
    if (bytes.length > BUFFER_BYTES) return this.#sink.write(bytes)
    this.#buffer.set(bytes, this.#used)
    this.#used += bytes.length
  }

  async end(): Promise<void> {
    await this.#flush()
    await this.#sink.end()
  }

  async #flush(): Promise<void> {
    const bytes = this.#buffer.subarray(0, this.#used)
    this.#used = 0
    if (bytes.length > 0) await this.#sink.write(bytes)
  }
}
