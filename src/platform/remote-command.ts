import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { CairnError } from '../base/errors.ts'

/** A program whose standard input and output are a connection, such as `ssh`. */
export interface RemoteCommand {
  readonly input: Readable
  readonly output: Writable
  /** What it said at the end, when it has ended or does so within a moment; `undefined` when it did neither fail nor say anything. */
  readonly explainEnd: () => Promise<string | undefined>
  /** Ends its input, and resolves when it has ended; ends it by force when it does not, or at once. */
  readonly close: (options?: { readonly atOnce: boolean }) => Promise<void>
}

/** Last bytes of standard error that are kept. */
const KEPT_BYTES = 4096
/** Lines of it that are shown. */
const SHOWN_LINES = 4
/** Time in which a program says why it ends. */
const MOMENT_MS = 2000
/** Time a program has for ending once its input has ended. */
const CLOSE_MS = 10_000

/**
 * Starts a program without a shell. It outlives Ctrl+C, SIGTERM and the closing of the terminal, which all processes of a terminal get:
 * this process first saves what there is, and needs the connection for it. It keeps the terminal, on which `ssh` asks for passwords.
 *
 * @throws {CairnError} `STORAGE_UNAVAILABLE` when it cannot be started
 */
export async function startRemoteCommand(command: readonly string[]): Promise<RemoteCommand> {
  const [program = ''] = command
  // What is ignored stays ignored in the program that takes the shell's place; Node cannot do that by itself.
  const words = ['-c', 'trap "" INT TERM HUP; exec "$@"', program, ...command]
  const child = spawn('/bin/sh', words, { stdio: ['pipe', 'pipe', 'pipe'] })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  child.once('spawn', resolve)
  child.once('error', (error) =>
    reject(new CairnError('STORAGE_UNAVAILABLE', `Cannot start ${program}: ${error.message}`, { cause: error })),
  )
  await promise
  return new RunningCommand(child, program)
}

class RunningCommand implements RemoteCommand {
  readonly input: Readable
  readonly output: Writable
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #program: string
  readonly #ended: Promise<void>
  #said = Buffer.alloc(0)

  constructor(child: ChildProcessByStdio<Writable, Readable, Readable>, program: string) {
    this.#child = child
    this.#program = program
    this.input = child.stdout
    this.output = child.stdin
    child.stderr.on('data', (piece: Buffer) => (this.#said = Buffer.concat([this.#said, piece]).subarray(-KEPT_BYTES)))
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#ended = promise
    child.once('close', resolve)
  }

  async explainEnd(): Promise<string | undefined> {
    await within(this.#ended, MOMENT_MS)
    const { exitCode, signalCode } = this.#child
    const lines = this.#said
      .toString()
      .replaceAll(/[^\P{C}\n]/gu, '')
      .trim()
      .split('\n')
    const said = lines.slice(-SHOWN_LINES).join('; ')
    if (exitCode === 127 && said.includes(': exec: ')) return `there is no program ${this.#program} on this machine`
    if (said !== '') return said
    if (exitCode) return `${this.#program} ended with exit code ${exitCode}`
    return signalCode ? `${this.#program} was ended by ${signalCode}` : undefined
  }

  async close({ atOnce } = { atOnce: false }): Promise<void> {
    this.output.end()
    this.input.resume() // what it still says is in its way
    if (!atOnce && (await within(this.#ended, CLOSE_MS))) return
    this.#child.kill('SIGKILL')
    await this.#ended
  }
}

/** Whether the promise was settled in that time. */
async function within(promise: Promise<void>, ms: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => resolve(false), ms)
  try {
    return await Promise.race([promise.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}
