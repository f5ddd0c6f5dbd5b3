import type { Writable } from 'node:stream'

/** What the program writes to: a process's standard stream, or a test's. */
export type OutputStream = Writable & {
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
}

/** A pipe takes at least this much at once; fewer, larger writes make long listings several times faster. */
const BUFFER_CHARACTERS = 32 * 1024

/**
 * Writes text to a standard stream: at once on a terminal, in large pieces elsewhere. A reader that has gone (`cairn list |
 * head`) is not an error: the rest is dropped and `closed` tells producers to stop.
 */
export class LineWriter {
  readonly stream: OutputStream
  #buffer = ''
  #closed = false
  /** Why writing failed, when it was not the reader that went: a full disk behind `> file`. */
  failure: Error | undefined

  constructor(stream: OutputStream) {
    this.stream = stream
    stream.on('error', this.#onError)
  }

  /** The reader has gone; nothing written from now on arrives anywhere. */
  get closed(): boolean {
    return this.#closed
  }

  write(text: string): void {
    this.#buffer += text
    if (this.stream.isTTY || this.#buffer.length >= BUFFER_CHARACTERS) this.flush()
  }

  /** Writes bytes behind what was written before; they are not copied. */
  bytes(piece: Uint8Array): void {
    this.flush()
    if (!this.#closed) this.stream.write(piece)
  }

  flush(): void {
    if (this.#buffer === '') return
    const text = this.#buffer
    this.#buffer = ''
    if (!this.#closed) this.stream.write(text)
  }

  /** Resolves when the stream takes more; producers of long listings wait here so that memory stays bounded. */
  async ready(): Promise<void> {
    if (this.#closed || !this.stream.writableNeedDrain) return
    const events = ['drain', 'error', 'close'] as const
    await new Promise<void>((resolve) => {
      const settle = (): void => {
        for (const event of events) this.stream.off(event, settle)
        resolve()
      }
      for (const event of events) this.stream.once(event, settle)
    })
  }

  /** Resolves when everything has been handed to the system. The stream stays open. */
  async end(): Promise<void> {
    this.flush()
    if (this.#closed || this.stream.writableEnded) return
    await new Promise<void>((resolve) => {
      this.stream.write('', () => resolve())
    })
  }

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    this.#closed = true
    if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_DESTROYED') this.failure ??= error
  }
}
