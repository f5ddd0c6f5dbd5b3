import type { Readable, Writable } from 'node:stream'
import { CairnError, toCairnError } from '../../base/errors.ts'
import { type Frame, FrameReader, encodeFrame } from './frames.ts'

export interface ConnectionOptions {
  /** Bytes of the far end arrive here; they are raw, not text. */
  readonly input: Readable
  readonly output: Writable
  /** Is called for each frame in its order. */
  readonly onFrame: (frame: Frame) => void
  /** Is called once, when nothing more will come: with what is wrong, or `undefined` when the far end has just ended. */
  readonly onEnd: (error: CairnError | undefined) => void
  /** Silence after which the far end counts as gone. Default: a minute. */
  readonly silenceMs?: number | undefined
}

export const SILENCE_MS = 60_000
/** Signs of life sent in that time. Silence is counted in turns of this end, not read off a clock, so one that was busy is not misled. */
const SIGNS_OF_LIFE = 4

/** Frames both ways over two streams. Both ends tell each other that they are alive, so one that stalls is noticed. */
export class Connection {
  readonly #options: ConnectionOptions
  readonly #reader = new FrameReader()
  readonly #silenceMs: number
  readonly #timer: NodeJS.Timeout
  /** Streams need not call back for what they were writing when they broke. */
  readonly #unsent = new Set<(error: CairnError) => void>()
  #silentTurns = 0
  #ended = false

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#silenceMs = options.silenceMs ?? SILENCE_MS
    this.#timer = setInterval(() => this.#showLife(), this.#silenceMs / SIGNS_OF_LIFE)
    const { input, output } = options
    input.on('data', (piece: Uint8Array) => this.#receive(piece))
    const onEnd = (): void => this.#end(this.#reader.isInside ? cutOff() : undefined)
    for (const event of ['end', 'close']) input.on(event, onEnd)
    output.on('close', onEnd)
    for (const stream of [input, output]) stream.on('error', (error) => this.#end(lost(error)))
  }

  /**
   * Resolves when the frame has been handed to the operating system: until then `body` must not change. Rejects when that will
   * not happen any more.
   */
  async send(header: object, body: Uint8Array = new Uint8Array()): Promise<void> {
    if (this.#ended) throw lost()
    const { output } = this.#options
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#unsent.add(reject)
    const done = (error?: Error | null): void => (error ? reject(lost(error)) : resolve())
    output.write(encodeFrame(header, body), body.length === 0 ? done : undefined)
    if (body.length > 0) output.write(body, done)
    return promise.finally(() => this.#unsent.delete(reject))
  }

  /** Stops reading for a while: the far end then waits. */
  pause(): void {
    this.#options.input.pause()
  }

  resume(): void {
    this.#options.input.resume()
  }

  /** Ends the connection; nothing is called any more. What was sent before still gets there. */
  close(): void {
    this.#ended = true
    clearInterval(this.#timer)
    this.#options.output.end()
  }

  #receive(piece: Uint8Array): void {
    if (this.#ended) return
    this.#silentTurns = 0
    try {
      for (const frame of this.#reader.push(piece)) if ('id' in frame.header) this.#options.onFrame(frame)
    } catch (error) {
      this.#end(toCairnError(error))
    }
  }

  #showLife(): void {
    if (this.#options.input.isPaused()) this.#silentTurns = 0
    if (this.#silentTurns++ >= SIGNS_OF_LIFE) {
      const seconds = this.#silenceMs / 1000
      this.#end(new CairnError('STORAGE_UNAVAILABLE', `nothing has arrived for ${seconds} seconds`))
    } else {
      this.send({ alive: true }).catch(() => undefined)
    }
  }

  #end(error: CairnError | undefined): void {
    if (this.#ended) return
    this.close()
    for (const reject of this.#unsent) reject(lost(error))
    this.#options.onEnd(error)
  }
}

function lost(cause?: unknown): CairnError {
  return new CairnError('STORAGE_UNAVAILABLE', 'it was cut', { cause })
}

function cutOff(): CairnError {
  return new CairnError('STORAGE_UNAVAILABLE', 'it was cut in the middle of a message')
}
