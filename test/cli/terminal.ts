/** Commands on a pseudo-terminal, made by script(1) of util-linux. */
import assert from 'node:assert/strict'
import { spawn, spawnSync, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'

export const ENVIRONMENT = { PATH: process.env['PATH'], HOME: '/home/ann', TERM: 'xterm' }

const hasScript = spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0
if (!hasScript && process.env['CAIRN_TEST_REQUIRE_ALL'] === '1') assert.fail('script(1) of util-linux is missing')
const skip = hasScript ? false : 'script(1) of util-linux is missing'
/** Of tests that need a terminal. */
export const TERMINAL_TESTS = { skip, timeout: 120_000 }

/** A shell command on a pseudo-terminal of 100 columns. */
export class Terminal {
  shown = ''
  readonly #process: ChildProcessByStdio<Writable, Readable, null>
  readonly #ended: Promise<unknown>
  #exited = false

  constructor(command: string, env: Record<string, string> = {}) {
    this.#process = spawn('script', ['-qec', `stty cols 100; ${command}`, '/dev/null'], {
      env: { ...ENVIRONMENT, SHELL: '/bin/sh', ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#process.stdout.setEncoding('utf8').on('data', (text: string) => (this.shown += text))
    this.#ended = once(this.#process, 'close').then(() => (this.#exited = true))
  }

  type(keys: string): void {
    this.#process.stdin.write(keys)
  }

  /** Resolves when this has been shown; what was shown before it is forgotten. */
  async sees(text: string): Promise<void> {
    while (!this.shown.includes(text)) {
      if (this.#exited) assert.fail(`ended without showing ${JSON.stringify(text)}: ${JSON.stringify(this.shown)}`)
      await Promise.race([once(this.#process.stdout, 'data'), this.#ended])
    }
  }

  /** What was shown in all, when the command has ended; erasing a line is shown as `<clear>`. */
  async end(): Promise<string> {
    await this.#ended
    return this.shown.replaceAll('\r\u001B[K', '<clear>').replaceAll('\r\n', '\n')
  }
}
