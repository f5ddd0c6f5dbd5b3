/** A program on a pseudo terminal that tmux makes, driven as a person would: keys go in, and what is on the screen can be looked at. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { hasCommand, needs, newFolder } from './testing.ts'

/** The `skip` option of tests that use it. */
export const NEEDS_TMUX = needs(hasCommand('tmux', '-V'), 'needs tmux')

/** Nothing that is waited for takes so long, on however busy a machine. */
const DEADLINE_MS = 90_000

export interface TmuxOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly columns?: number
  readonly rows?: number
}

export class Tmux {
  readonly #socket = path.join(newFolder(), 'tmux')
  readonly #env: Record<string, string>

  /** Runs a command of a shell. */
  constructor(command: string, { cwd = '/', env = {}, columns = 100, rows = 20 }: TmuxOptions = {}) {
    this.#env = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C.UTF-8', TERM: 'xterm', ...env }
    this.#tmux('new-session', '-d', '-s', 'test', '-x', String(columns), '-y', String(rows), '-c', cwd, command)
  }

  /** Types text as it is. */
  type(text: string): void {
    this.#tmux('send-keys', '-t', 'test', '-l', '--', text)
  }

  /** Presses keys by their names: `Enter`, `Tab`, `C-c`. */
  press(...keys: string[]): void {
    this.#tmux('send-keys', '-t', 'test', ...keys)
  }

  /** What can be seen, without blanks at the ends of lines and without empty lines at the end. */
  screen(): string {
    return this.#tmux('capture-pane', '-p', '-t', 'test').replaceAll(/ +$/gm, '').trimEnd()
  }

  /** Waits for something to be seen; returns what can be seen then. */
  async sees(wanted: RegExp | ((screen: string) => boolean)): Promise<string> {
    const isThere = typeof wanted === 'function' ? wanted : (screen: string) => wanted.test(screen)
    for (let waitedMs = 0; ; waitedMs += 20) {
      const screen = this.screen()
      if (isThere(screen)) return screen
      if (waitedMs > DEADLINE_MS) assert.fail(`${String(wanted)} was not seen, but:\n${screen}`)
      await sleep(20)
    }
  }

  /** Asks tmux about the terminal, in the words of tmux(1), "FORMATS". */
  ask(format: string): string {
    return this.#tmux('display-message', '-p', '-t', 'test', format).trimEnd()
  }

  close(): void {
    this.#tmux('kill-server')
  }

  #tmux(...args: string[]): string {
    const all = ['-S', this.#socket, '-f', '/dev/null', ...args]
    return execFileSync('tmux', all, { encoding: 'utf8', env: this.#env })
  }
}
