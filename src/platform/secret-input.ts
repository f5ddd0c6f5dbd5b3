import { spawn } from 'node:child_process'
import { closeSync, createReadStream, openSync, writeSync } from 'node:fs'
import { ReadStream } from 'node:tty'
import { throwIfAborted, type AbortOptions } from '../base/abort.ts'
import { CairnError } from '../base/errors.ts'

/** Where secrets come from that are not in the environment itself. */
export interface SecretInput {
  /**
   * Runs a program (no shell) and returns the first line it prints. Its standard input and error are ours, so that it can ask.
   *
   * @throws {CairnError} `WRONG_PASSWORD` when it cannot be run or fails
   */
  fromCommand(command: readonly string[], options?: AbortOptions): Promise<string>
  /**
   * Reads the first line of an inherited file descriptor.
   *
   * @throws {CairnError} `WRONG_PASSWORD` when it cannot be read
   */
  fromFd(fd: number): Promise<string>
  /** Whether there is a terminal to ask on, even when the standard streams are redirected. */
  hasTerminal(): boolean
  /**
   * Asks on the terminal without showing what is typed; the terminal is as before when the promise settles.
   * `undefined` when the user ends the input (Ctrl+D).
   *
   * @throws {CairnError} `CANCELLED` on Ctrl+C or when aborted
   */
  prompt(question: string, options?: PromptOptions): Promise<string | undefined>
}

export interface PromptOptions extends AbortOptions {
  /** Shows what is typed: for what is no secret, or must be seen to be typed right. */
  readonly echo?: boolean
}

export const systemSecretInput: SecretInput = { fromCommand, fromFd, hasTerminal, prompt }

/** Longest secret that is read; more is a mistake, like a wrong file. */
const MAX_SECRET_BYTES = 64 * 1024

const TERMINAL = '/dev/tty'

async function fromCommand(command: readonly string[], { signal }: AbortOptions = {}): Promise<string> {
  throwIfAborted(signal)
  const failed = (problem: string): CairnError =>
    new CairnError('WRONG_PASSWORD', `Cannot get the passphrase: the command '${command.join(' ')}' ${problem}`)
  const [program, ...args] = command
  if (!program) throw failed('is empty')

  const child = spawn(program, args, { stdio: ['inherit', 'pipe', 'inherit'], signal })
  const outcome = new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => resolve(`cannot be run: ${error.message}`))
    child.once('close', (code, endedBy) => {
      if (code === 0) resolve(undefined)
      else resolve(code === null ? `was ended by ${endedBy}` : `ended with exit code ${code}`)
    })
  })
  const [text, problem] = await Promise.all([firstLine(child.stdout, true), outcome])
  throwIfAborted(signal)
  if (problem !== undefined) throw failed(problem)
  return text
}

async function fromFd(fd: number): Promise<string> {
  try {
    return await firstLine(createReadStream('', { fd, autoClose: false }), false)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new CairnError('WRONG_PASSWORD', `Cannot read the passphrase from file descriptor ${fd}: ${reason}`, {
      cause: error,
    })
  }
}

/** The first line of a stream. `drain` reads on to the end, which spares the writer a broken pipe. */
async function firstLine(stream: AsyncIterable<Buffer>, drain: boolean): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  let complete = false
  for await (const chunk of stream) {
    if (complete) continue
    chunks.push(chunk)
    length += chunk.length
    complete = chunk.includes('\n') || length > MAX_SECRET_BYTES
    if (complete && !drain) break
  }
  if (length > MAX_SECRET_BYTES) {
    throw new CairnError('WRONG_PASSWORD', `Cannot use the passphrase: it is longer than ${MAX_SECRET_BYTES} bytes`)
  }
  return /^[^\r\n]*/.exec(Buffer.concat(chunks).toString('utf8'))?.[0] ?? ''
}

function hasTerminal(): boolean {
  try {
    closeSync(openSync(TERMINAL, 'r+'))
    return true
  } catch {
    return false
  }
}

/** Arrow keys and the like; they are no part of a passphrase. */
const ESCAPE = '\u001B'
const KEY_SEQUENCES = new RegExp(ESCAPE + String.raw`(?:\[[0-9;]*[A-Za-z~]|O.)`, 'g')

/** Takes the last character off the screen. */
const RUBOUT = '\b \b'

/** Lines typed ahead of the next question, as when both answers of a double prompt are pasted at once. */
let typedAhead = ''

async function prompt(question: string, options: PromptOptions = {}): Promise<string | undefined> {
  throwIfAborted(options.signal)
  const output = openSync(TERMINAL, 'w')
  const input = new ReadStream(openSync(TERMINAL, 'r'))
  try {
    input.setRawMode(true)
    writeSync(output, question)
    return await readLine(input, options.echo ? (text) => writeSync(output, text) : () => {}, options)
  } finally {
    input.setRawMode(false)
    input.destroy()
    writeSync(output, '\n')
    closeSync(output)
  }
}

function readLine(
  input: ReadStream,
  show: (text: string) => void,
  { signal }: AbortOptions,
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    let line: string[] = []

    const settle = (act: () => void): void => {
      input.off('data', onData)
      signal?.removeEventListener('abort', onAbort)
      act()
    }
    const onAbort = (): void => {
      settle(() => {
        try {
          throwIfAborted(signal)
        } catch (error) {
          reject(error)
        }
      })
    }
    const onData = (text: string): void => {
      const keys = Array.from(text.replaceAll(KEY_SEQUENCES, ''))
      for (const [at, key] of keys.entries()) {
        if (key === '\r' || key === '\n') {
          typedAhead = keys.slice(at + 1).join('')
          return settle(() => resolve(line.join('')))
        }
        if (key === '\u0003') {
          return settle(() => reject(new CairnError('CANCELLED', 'Interrupted', { details: { exitCode: 130 } })))
        }
        if (key === '\u0004' && line.length === 0) return settle(() => resolve(undefined))
        if (key === '\u007F' || key === '\b') {
          if (line.pop() !== undefined) show(RUBOUT)
        } else if (key === '\u0015') {
          show(RUBOUT.repeat(line.length)) // Ctrl+U
          line = []
        } else if (key >= ' ') {
          line.push(key)
          show(key)
        }
      }
    }

    input.setEncoding('utf8') // keeps characters whole that arrive in two reads
    input.on('data', onData)
    input.once('error', (error) => settle(() => reject(error)))
    input.once('end', () => settle(() => resolve(undefined)))
    signal?.addEventListener('abort', onAbort, { once: true })
    const ahead = typedAhead
    typedAhead = ''
    if (ahead) onData(ahead)
  })
}
