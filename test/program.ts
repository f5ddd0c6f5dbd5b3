/** The whole program in processes of its own, as a person runs it, with a repository and a home folder per instance. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { jsonLines } from './cli/harness.ts'
import { newFolder } from './testing.ts'

const PROGRAM = path.resolve('cairn')

export interface ProgramResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface CreateRun extends ProgramResult {
  /** Status letters by path, as `--list` has them. */
  readonly letters: Record<string, string>
  /** Issues in short: `CODE path`, sorted. */
  readonly issues: string[]
  readonly summary: Record<string, unknown>
}

interface RunOptions {
  readonly cwd?: string
  readonly env?: Record<string, string>
  /** What runs the program: `strace …`, `setpriv …`. */
  readonly under?: readonly string[]
}

/** `./cairn` with an unencrypted repository: deriving keys takes longer than everything else. */
export class Program {
  readonly folder = newFolder()
  readonly home = path.join(this.folder, 'home')
  readonly repository = path.join(this.folder, 'repository')
  #snapshots = 0

  constructor() {
    mkdirSync(this.home)
    this.succeed(['init', '--encryption', 'none', this.repository])
  }

  run(args: readonly string[], { cwd = this.home, env = {}, under = [] }: RunOptions = {}): ProgramResult {
    const [command = '', ...rest] = [...under, PROGRAM, ...args]
    const result = spawnSync(command, rest, {
      cwd,
      env: { ...this.env, ...env },
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    })
    if (result.error) throw result.error
    return result
  }

  /** As `run`, for commands that must succeed; returns what they print. */
  succeed(args: readonly string[], options: RunOptions = {}): string {
    const { status, stdout, stderr } = this.run(args, options)
    assert.equal(status, 0, stderr)
    return stdout
  }

  /** Starts a command that goes on meanwhile. */
  start(args: readonly string[]): ChildProcess {
    return spawn(PROGRAM, args, { cwd: this.home, env: this.env, stdio: 'ignore' })
  }

  /** Backs up with `--json --list`. Unless `exit` says otherwise, it must succeed. */
  create(args: readonly string[], { exit = 0, ...options }: RunOptions & { readonly exit?: number } = {}): CreateRun {
    const name = `::s${++this.#snapshots}`
    const result = this.run(
      ['create', '-r', this.repository, name, '--json', '--list', '--no-progress', ...args],
      options,
    )
    assert.equal(result.status, exit, result.stderr)
    const lines = jsonLines(result.stdout)
    const entries = lines.filter(({ message_type: type }) => type === 'verbose_status')
    const issues = jsonLines(result.stderr).filter(({ message_type: type }) => type === 'error')
    return {
      ...result,
      letters: Object.fromEntries(entries.map(({ item, status }) => [String(item), String(status)])),
      issues: issues.map(({ code, item }) => `${String(code)} ${String(item)}`).sort(),
      summary: lines.at(-1) ?? {},
    }
  }

  /** Restores the latest snapshot and returns where; `inside` is what to restore of it. */
  restore(...inside: string[]): string {
    const target = newFolder()
    this.succeed(['restore', '-r', this.repository, 'latest', ...inside, '--target', target, '-q'])
    return target
  }

  /** The `node` lines of `list --json` by path. */
  nodes(snapshot = 'latest'): Record<string, Record<string, unknown>> {
    const lines = jsonLines(this.succeed(['list', '-r', this.repository, snapshot, '--json']))
    return Object.fromEntries(lines.slice(1).map((line) => [String(line['path']), line]))
  }

  get env(): Record<string, string> {
    return { PATH: `${process.env['PATH']}:/usr/sbin:/sbin`, HOME: this.home, TZ: 'UTC' }
  }

  /** Bytes that the repository takes. */
  sizeBytes(): number {
    return Number.parseInt(execFileSync('du', ['-sb', this.repository], { encoding: 'utf8' }), 10)
  }
}

/** What was changed so long ago has times that a run trusts: later changes cannot have the same. */
export async function untilTrusted(): Promise<void> {
  await sleep(2100)
}
