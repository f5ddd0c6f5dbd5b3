import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { type AbortOptions, throwIfAborted } from '../base/abort.ts'
import type { ByteSink, ByteSource } from '../base/byte-stream.ts'
import { ReadableSource } from '../base/readable-source.ts'
import { closeFile, describeSystemError } from './files.ts'
import { PipeInput, newPipe } from './pipe-input.ts'

export interface CommandOptions extends AbortOptions {
  /** Where its standard input comes from: ours, or what is written to `input`. */
  readonly stdin: 'ours' | 'written'
  /** The error to throw when it cannot be run, or it fails or is killed: `problem` is like `ended with exit code 1`. */
  readonly toError: (problem: string, hasRun: boolean) => Error
}

interface Problem {
  readonly text: string
  readonly hasRun: boolean
}

/** How long a command that is no longer wanted may take to tidy up. */
const PATIENCE_MS = 5000

/**
 * A command, run without a shell. It is a source of what it prints, which is complete only when it has ended well: until then the
 * last `read` waits. Its messages go where ours go. To be disposed of, which ends it.
 */
export class Command implements ByteSource, AsyncDisposable {
  readonly #child: ChildProcess
  readonly #output: ByteSource
  readonly #pipe: PipeInput | undefined
  readonly #toError: CommandOptions['toError']
  readonly #signal: AbortSignal | undefined
  /** Resolves when it has ended: to what went wrong, if anything did. */
  readonly #outcome: Promise<Problem | undefined>
  /** What it reads. */
  readonly input: ByteSink

  constructor(words: readonly string[], { stdin, toError, signal }: CommandOptions) {
    const [program = '', ...args] = words
    this.#toError = toError
    this.#signal = signal
    // Node would put U+FFFD in place of bytes that are not UTF-8.
    if (!words.every((word) => word.isWellFormed()))
      throw toError('cannot be run: it has words that are not UTF-8', false)
    // What comes through a pipe of our own costs half as much as what comes through Node's.
    const pipe = newPipe()
    try {
      const stdio = [stdin === 'ours' ? 'inherit' : 'pipe', pipe?.writeFd ?? 'pipe', 'inherit'] as const
      this.#child = spawn(program, args, { stdio: [...stdio] })
    } finally {
      if (pipe) closeFile(pipe.writeFd)
    }
    this.#child.stdin?.on('error', () => undefined) // `write` hears of it
    this.#outcome = new Promise((resolve) => {
      this.#child.once('error', (error) =>
        resolve({ text: `cannot be run: ${describeSystemError(error)}`, hasRun: false }),
      )
      this.#child.once('close', (code, signalName) => {
        const text = code === null ? `was ended by ${signalName}` : `ended with exit code ${code}`
        resolve(code === 0 ? undefined : { text, hasRun: true })
      })
    })
    const { stdout } = this.#child
    this.#pipe = pipe && new PipeInput(pipe.readFd, signal)
    this.#output = this.#pipe ?? (stdout ? new ReadableSource(stdout, { signal }) : EMPTY)
    this.input = { write: (bytes) => this.#write(bytes), end: () => this.#end() }
  }

  async read(target: Uint8Array): Promise<number> {
    const count = await this.#output.read(target)
    if (count < target.length) await this.#requireSuccess()
    return count
  }

  async #requireSuccess(): Promise<void> {
    const problem = await this.#orAbort(this.#outcome)
    if (problem) throw this.#toError(problem.text, problem.hasRun)
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const { stdin } = this.#child
    const written = new Promise<unknown>((resolve) => {
      if (!stdin) return resolve(undefined)
      stdin.write(bytes, resolve)
    })
    if (!(await this.#orAbort(written))) return
    await this.#requireSuccess()
    throw this.#toError('does not take all of its input', true)
  }

  async #end(): Promise<void> {
    this.#child.stdin?.end()
  }

  /** What `work` resolves to; an abort ends the wait for it. @throws {CairnError} `CANCELLED` */
  async #orAbort<T>(work: Promise<T>): Promise<T | undefined> {
    throwIfAborted(this.#signal)
    const { promise: aborted, resolve } = Promise.withResolvers<undefined>()
    const onAbort = (): void => resolve(undefined)
    this.#signal?.addEventListener('abort', onAbort)
    const result = await Promise.race([work, aborted])
    this.#signal?.removeEventListener('abort', onAbort)
    throwIfAborted(this.#signal)
    return result
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#child
    this.#pipe?.[Symbol.dispose]()
    child.stdout?.destroy()
    child.stdin?.destroy()
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await Promise.race([ended, setTimeout(PATIENCE_MS, undefined, { ref: false })])
    child.kill('SIGKILL')
    await ended
  }
}

const EMPTY: ByteSource = { read: async () => 0 }
