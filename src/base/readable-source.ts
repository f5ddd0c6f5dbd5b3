import type { Readable } from 'node:stream'
import { type AbortOptions, throwIfAborted } from './abort.ts'
import type { ByteSource } from './byte-stream.ts'

/** What a stream of Node gives, as a `ByteSource`. Its errors are thrown as they are; an abort ends the wait for more. */
export class ReadableSource implements ByteSource {
  readonly #stream: Readable
  readonly #signal: AbortSignal | undefined
  #rest: Buffer | undefined
  #hasEnded = false
  #failure: { readonly error: unknown } | undefined
  #wake: (() => void) | undefined

  constructor(stream: Readable, { signal }: AbortOptions = {}) {
    this.#stream = stream
    this.#signal = signal
    const wake = (): void => this.#wake?.()
    stream.on('readable', wake)
    stream.on('end', () => {
      this.#hasEnded = true
      wake()
    })
    stream.on('error', (error) => {
      this.#failure ??= { error }
      wake()
    })
    stream.on('close', () => {
      if (!this.#hasEnded) this.#failure ??= { error: new Error('the stream was closed before its end') }
      wake()
    })
  }

  async read(target: Uint8Array): Promise<number> {
    let done = 0
    while (done < target.length) {
      const chunk = this.#rest ?? (this.#stream.read() as Buffer | null)
      if (chunk) {
        const taken = Math.min(chunk.length, target.length - done)
        target.set(taken === chunk.length ? chunk : chunk.subarray(0, taken), done)
        this.#rest = taken === chunk.length ? undefined : chunk.subarray(taken)
        done += taken
        continue
      }
      if (this.#failure) throw this.#failure.error
      if (this.#hasEnded) break
      await this.#more()
    }
    return done
  }

  async #more(): Promise<void> {
    throwIfAborted(this.#signal)
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        this.#wake = undefined
        this.#signal?.removeEventListener('abort', wake)
        resolve()
      }
      this.#wake = wake
      this.#signal?.addEventListener('abort', wake)
    })
    throwIfAborted(this.#signal)
  }
}
