import { styleText } from 'node:util'
import type { World } from '../world.ts'
import { LineWriter, type OutputStream } from './line-writer.ts'
import { StatusLine } from './status-line.ts'

/** How a run talks, from options that every command has. */
export interface OutputSettings {
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
  /** `undefined`: as fits the terminal. */
  readonly progress: boolean | undefined
  /** Nothing of the run but errors; what went wrong is told by the exit code. */
  readonly silent: boolean
  /** Listings and sums of what is done go to standard error, as Borg has it; standard output is for what was asked. */
  readonly listingsToStderr: boolean
  /** What goes to standard error is Borg's JSON (`--log-json`). */
  readonly logJson: boolean
}

export type LogLevel = 'INFO' | 'WARNING' | 'ERROR'

/** Who says it, and which message it is; Borg's names, for programs that read `--log-json`. */
export interface LogSource {
  readonly name?: string
  readonly msgid?: string | undefined
}

/** Loggers of Borg that scripts may tell apart. */
export const LOGGERS = {
  default: 'borg.archiver',
  list: 'borg.output.list',
  stats: 'borg.output.stats',
  rc: 'borg.output.show-rc',
  version: 'borg.output.show-version',
} as const

/** Ends a command that only prints, when nobody reads what it prints. No failure. */
export class ReaderGone extends Error {}

type Style = Parameters<typeof styleText>[0]

/**
 * The only way to the standard streams. Results go to standard output, everything about the run (warnings, progress, errors) to
 * standard error; with `--json` both carry one object a line.
 */
export class Output {
  settings: OutputSettings = {
    json: false,
    quiet: false,
    verbose: false,
    progress: undefined,
    silent: false,
    listingsToStderr: false,
    logJson: false,
  }
  /** Codes of the warnings so far. */
  readonly complaints = new Set<string>()
  readonly #out: LineWriter
  #err: LineWriter
  readonly #env: World['env']
  readonly #clock: World['clock']
  #status: StatusLine | undefined

  constructor({ stdout, stderr, env, clock }: Pick<World, 'stdout' | 'stderr' | 'env' | 'clock'>) {
    this.#out = new LineWriter(stdout)
    this.#err = new LineWriter(stderr)
    this.#env = env
    this.#clock = clock
  }

  /** From now on, what went to standard error goes there. */
  moveErrors(stream: OutputStream): void {
    this.#err.flush()
    this.#err = new LineWriter(stream)
  }

  /** Standard error is a terminal that can move its cursor. */
  get interactive(): boolean {
    return this.#err.stream.isTTY === true && this.#env['TERM'] !== 'dumb'
  }

  /** Prints one line of a result. */
  line(text: string): void {
    this.#status?.clear()
    this.#out.write(`${text}\n`)
  }

  /** Prints text that has its line ends, like help. */
  text(text: string, stream: 'out' | 'err' = 'out'): void {
    this.#status?.clear()
    ;(stream === 'out' ? this.#out : this.#err).write(text)
  }

  /**
   * Writes bytes to standard output, which are not to be changed afterwards. Resolves when more can be written, to `false` when
   * nobody reads it any more.
   */
  async bytes(piece: Uint8Array): Promise<boolean> {
    this.#out.bytes(piece)
    await this.#out.ready()
    return !this.#out.closed
  }

  /** Prints one object of a result, on one line. */
  json(value: object): void {
    this.line(JSON.stringify(value))
  }

  /** Prints a line of what is done: an entry that is saved, a snapshot that is deleted. */
  listing(text: string): void {
    if (this.settings.logJson) this.log('INFO', text, { name: LOGGERS.list })
    else if (!this.settings.listingsToStderr) this.line(text)
    else {
      this.#status?.clear()
      this.#err.write(`${text}\n`)
    }
  }

  /** Prints what came out of a run: sums, sizes. */
  sums(lines: readonly string[]): void {
    for (const text of lines) {
      if (this.settings.listingsToStderr || this.settings.logJson) this.log('INFO', text, { name: LOGGERS.stats })
      else this.line(text)
    }
  }

  /** Prints a line about the run, unless `--quiet`. */
  note(text: string): void {
    if (!this.settings.quiet) this.log('INFO', text)
  }

  /** Prints `cairn: warning: …`. */
  warning(text: string): void {
    if (this.settings.silent) return
    if (this.settings.logJson) this.log('WARNING', text)
    else this.errorLine(`cairn: ${this.style('yellow', 'warning:', 'err')} ${text}`)
  }

  /** Prints a line on standard error, or Borg's JSON for one. */
  log(level: LogLevel, text: string, { name = LOGGERS.default, msgid }: LogSource = {}): void {
    if (!this.settings.logJson) return this.errorLine(text)
    const message = text.toWellFormed()
    this.logJson({ type: 'log_message', message, levelname: level, name, ...(msgid && { msgid }) })
  }

  /** Prints one object of `--log-json`, with the time. */
  logJson(value: object): void {
    this.errorJson({ ...value, time: this.#clock.now() / 1000 })
  }

  errorLine(text: string): void {
    this.#status?.clear()
    this.#out.flush() // what was printed before comes before
    this.#err.write(`${text}\n`)
    this.#err.flush()
  }

  errorJson(value: object): void {
    this.errorLine(JSON.stringify(value))
  }

  /** Hands to the system what is held back to be written in large pieces. */
  flush(): void {
    this.#out.flush()
    this.#err.flush()
  }

  /**
   * Resolves when standard output takes more; await it between the lines of a long listing.
   *
   * @throws {ReaderGone} when nobody reads it any more (`cairn list | head`), so that the listing ends
   */
  async ready(): Promise<void> {
    await this.#out.ready()
    if (this.#out.closed && !this.#out.failure) throw new ReaderGone()
  }

  /** Shows a status line until `endStatus`; only for `interactive` output. */
  beginStatus(render: (columns: number) => string): void {
    this.#status = new StatusLine(this.#err.stream, render)
  }

  endStatus(): void {
    this.#status?.close()
    this.#status = undefined
  }

  style(style: Style, text: string, stream: 'out' | 'err' = 'out'): string {
    return this.hasColors(stream) ? styleText(style, text, { validateStream: false }) : text
  }

  /** Colours are for terminals, and not for people who set NO_COLOR (no-color.org). */
  hasColors(stream: 'out' | 'err'): boolean {
    const writer = stream === 'out' ? this.#out : this.#err
    return writer.stream.isTTY === true && !this.#env['NO_COLOR'] && this.#env['TERM'] !== 'dumb'
  }

  columns(stream: 'out' | 'err'): number | undefined {
    return (stream === 'out' ? this.#out : this.#err).stream.columns
  }

  /** Resolves when everything has been written; says why when standard output could not take it. */
  async end(): Promise<Error | undefined> {
    this.endStatus()
    await this.#out.end()
    await this.#err.end()
    return this.#out.failure
  }
}
