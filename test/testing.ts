import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after } from 'node:test'
import { type Clock, systemClock } from '../src/base/clock.ts'
import { fromRawName } from '../src/base/raw-name.ts'
import { checkRepository } from '../src/operations/check.ts'
import { type CreateEvent, type CreateOptions, type CreateResult, createSnapshot } from '../src/operations/create.ts'
import {
  type ExtractEvent,
  type ExtractOptions,
  type ExtractResult,
  extractSnapshot,
} from '../src/operations/extract.ts'
import { initRepository } from '../src/operations/init.ts'
import type { RepositoryAccess } from '../src/operations/repository-access.ts'
import { digestTree } from './tree-digest.ts'

/** For tests that back up and restore: folders, repositories, and other processes to do it in. */

const root = mkdtempSync(path.join(tmpdir(), 'cairn-test-'))
chmodSync(root, 0o755) // some tests become another user
// rm, and not rmSync: what tests leave here has paths longer than a system call takes.
after(() => execFileSync('rm', ['-rf', root]))

/** A new empty folder, removed when all tests of the file are done. */
export function newFolder(): string {
  return mkdtempSync(path.join(root, 'f-'))
}

/** A name that is not UTF-8, and its bytes. */
export const LATIN1_NAME = fromRawName(Buffer.from('caf\u00e9 \u00ff', 'latin1'))

export const IS_ROOT = process.geteuid?.() === 0

/** The `skip` option of a test that needs something; where everything has to be tested, the test runs and fails. */
export function needs(isThere: boolean, reason: string): string | false {
  return isThere || process.env['CAIRN_TEST_REQUIRE_ALL'] === '1' ? false : reason
}

/** Whether a command can be run here. */
export function hasCommand(command: string, ...args: string[]): boolean {
  return spawnSync(command, args).status === 0
}

/** A command that runs another one as a user without rights; who it is. */
export const NOBODY = 65534
export const AS_NOBODY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']

/** Whether that works here and the user can read this checkout. */
export const CAN_BE_NOBODY = IS_ROOT && runsAsNobody()

function runsAsNobody(): boolean {
  const [command = '', ...args] = AS_NOBODY
  return hasCommand(command, ...args, process.execPath, new URL('../src/base/ids.ts', import.meta.url).pathname)
}

/**
 * An hour ahead: files made just now look old to a run with this clock, so it trusts their times. (A run does not trust what
 * changed within two seconds before it.)
 */
export const LATER_CLOCK: Clock = { now: () => systemClock.now() + 3_600_000 }

export interface TestRepositoryOptions {
  readonly encryption?: 'keyfile' | 'repokey' | 'none'
  /** Small chunks by default, so that small files have many. */
  readonly chunkerParams?: string | undefined
  readonly clock?: Clock
  /** Where it is made, in a folder `repo`; a new folder by default. */
  readonly folder?: string
}

/** A repository in a folder of its own, and short ways to use it. */
export class TestRepository {
  readonly access: RepositoryAccess
  readonly location: string
  #snapshots = 0

  private constructor(access: RepositoryAccess) {
    this.access = access
    this.location = access.location
  }

  static async create(options: TestRepositoryOptions = {}): Promise<TestRepository> {
    const {
      encryption = 'keyfile',
      chunkerParams = 'fastcdc,4K,16K,64K',
      clock = LATER_CLOCK,
      folder = newFolder(),
    } = options
    const access = {
      location: path.join(folder, 'repo'),
      keyFolder: path.join(folder, 'keys'),
      askPassphrase: async () => undefined,
      clock,
    }
    // Without a passphrase: deriving a key from one takes longer than most tests.
    await initRepository({
      ...access,
      encryption,
      passphrase: encryption === 'repokey' ? 'secret' : undefined,
      chunkerParams,
    })
    return new TestRepository(access)
  }

  /** A copy in a folder of its own, to be damaged or crashed; it has the same keys. */
  copy(): TestRepository {
    const location = path.join(newFolder(), 'repo')
    cpSync(this.location, location, { recursive: true, preserveTimestamps: true })
    return new TestRepository({ ...this.access, location })
  }

  /** Removes its folder before all tests are done: for tests that make many. */
  remove(): void {
    rmSync(path.dirname(this.location), { recursive: true, force: true })
  }

  /** Backs up paths, with one worker, for starting threads takes time; events are collected in the result. */
  async create(
    paths: readonly string[],
    options: Partial<CreateOptions> & { access?: Partial<RepositoryAccess> } = {},
  ): Promise<CreateResult & { events: CreateEvent[] }> {
    const events: CreateEvent[] = []
    const name = `snapshot-${++this.#snapshots}`
    const result = await createSnapshot(
      { ...this.access, ...options.access },
      { name, paths, workers: 1, listEntries: true, onEvent: (event) => events.push(event), ...options },
    )
    return { ...result, events }
  }

  /** Restores into a new folder, or `target`; events are collected in `events`, also when it fails. */
  async extract(
    options: Partial<ExtractOptions> & { access?: Partial<RepositoryAccess>; events?: ExtractEvent[] } = {},
  ): Promise<ExtractResult & { target: string; events: ExtractEvent[] }> {
    const { target = newFolder(), events = [] } = options
    const result = await extractSnapshot(
      { ...this.access, ...options.access },
      {
        snapshot: 'latest',
        paths: [],
        workers: 1,
        listEntries: true,
        onEvent: (event) => events.push(event),
        ...options,
        target,
      },
    )
    return { ...result, target, events }
  }

  /** Restores a snapshot and asserts that it is what lies at `source`, an absolute path, or what lay there once. */
  async expectRestored(source: string, snapshot = 'latest', want = digestTree(source)): Promise<void> {
    const { target, issues } = await this.extract({ snapshot })
    assert.equal(issues, 0)
    assert.deepEqual(digestTree(path.join(target, source)), want)
    execFileSync('rm', ['-rf', target])
  }

  /** Names of the objects whose keys begin with `prefix`. */
  objects(prefix: string): string[] {
    return readdirSync(this.location, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(this.location, path.join(entry.parentPath, entry.name)))
      .filter((key) => key.startsWith(prefix))
      .sort()
  }

  /** Bytes of all packs. */
  packBytes(): number {
    const sizes = this.objects('packs/').map((key) => statSync(path.join(this.location, key)).size)
    return sizes.reduce((sum, bytes) => sum + bytes, 0)
  }
}

/** Asserts that a check of every byte finds nothing wrong. */
export async function expectSound({ access }: Pick<TestRepository, 'access'>): Promise<void> {
  const found: string[] = []
  const { errors } = await checkRepository(access, {
    readData: true,
    workers: 1,
    onEvent: (event) => event.type === 'error' && found.push(`${event.object}: ${event.message}`),
  })
  assert.deepEqual([errors, found], [0, []])
}

/** Status letters by path, of a run with `listEntries`. */
export function statuses(events: readonly CreateEvent[]): Record<string, string> {
  return Object.fromEntries(events.flatMap((event) => (event.type === 'entry' ? [[event.path, event.status]] : [])))
}

/** Issues in short: `CODE path`, sorted. */
export function issuesOf(events: readonly (CreateEvent | ExtractEvent)[]): string[] {
  return events.flatMap((event) => (event.type === 'issue' ? [`${event.code} ${event.path}`] : [])).sort()
}

const SCRIPT_HEAD = `
import { createSnapshot } from ${JSON.stringify(new URL('../src/operations/create.ts', import.meta.url).href)}
import { extractSnapshot } from ${JSON.stringify(new URL('../src/operations/extract.ts', import.meta.url).href)}
import { digestTree } from ${JSON.stringify(new URL('tree-digest.ts', import.meta.url).href)}
const [, input] = process.argv
const given = JSON.parse(input)
const access = { ...given, askPassphrase: async () => undefined, clock: { now: () => Date.now() + (given.aheadMs ?? 0) } }
const print = (value) => console.log(JSON.stringify(value, (_, v) => typeof v === 'bigint' ? String(v) : v))
`

/** Arguments of node that run a module with `createSnapshot`, `extractSnapshot`, `digestTree`, `access`, `given` and `print` in scope. */
export function scriptArgs(code: string, given: object): string[] {
  return ['-e', SCRIPT_HEAD + code, JSON.stringify(given)]
}

/** Runs such a module in a process of its own, below `command` when given, and returns what it printed, line by line. */
export function runScript(code: string, given: object, command: readonly string[] = []): unknown[] {
  const [program = process.execPath, ...args] = [...command, process.execPath, ...scriptArgs(code, given)]
  const { stdout, stderr, status, signal } = spawnSync(program, args, { encoding: 'utf8', timeout: 60_000 })
  assert.equal(status, 0, `exit ${status ?? signal}: ${stderr}`)
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as unknown)
}

/** Starts such a module in a process of its own; what it writes can be read from its `stdout`. */
export function startScript(code: string, given: object): ChildProcess {
  // The first that ends by itself leaves its compiled code for all others.
  const env = { ...process.env, NODE_COMPILE_CACHE: path.join(root, 'compile-cache') }
  return spawn(process.execPath, scriptArgs(code, given), { stdio: ['pipe', 'pipe', 'inherit'], env })
}

export interface CairnOptions {
  /** What to run it below, such as strace. */
  readonly command?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
}

export interface CairnResult {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

const MAIN = new URL('../src/main.ts', import.meta.url).pathname

/** Environment of the command line: a home of its own, and compiled code shared by all that are started here. */
export function cairnEnv(env: Readonly<Record<string, string>> = {}): Record<string, string | undefined> {
  return {
    PATH: process.env['PATH'],
    HOME: path.join(root, 'home'),
    NODE_COMPILE_CACHE: path.join(root, 'compile-cache'),
    ...env,
  }
}

/** Runs the command line in a process of its own; one that hangs is killed, and has `signal`. */
export function cairn(args: readonly string[], options: CairnOptions = {}): CairnResult {
  const { command = [], env, timeoutMs = 60_000 } = options
  const [program = process.execPath, ...rest] = [...command, process.execPath, MAIN, ...args]
  const result = spawnSync(program, rest, {
    encoding: 'utf8',
    env: cairnEnv(env),
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  })
  if (result.error && result.status === null && result.signal === null) throw result.error
  return result
}

/** Starts the command line in a process of its own, the first of a process group. */
export function startCairn(
  args: readonly string[],
  options: Pick<CairnOptions, 'env'> & { readonly stdout?: 'pipe' } = {},
): ChildProcess {
  const env = cairnEnv(options.env)
  const stdio = ['ignore', options.stdout ?? 'ignore', 'pipe'] as const
  return spawn(process.execPath, [MAIN, ...args], { stdio: [...stdio], env, detached: true })
}

/** A shell's words for the command line; none of them may have a `'` in it. */
export function cairnCommand(args: readonly string[]): string {
  return [process.execPath, MAIN, ...args].map((word) => `'${word}'`).join(' ')
}

/**
 * A command that makes system calls of what runs below it fail: `fault` is as in `strace -e inject=…`, `paths` limits it to calls
 * about these. It counts calls by thread, so file calls of Node are left to one; and Node writes no files of its own.
 */
export function withFault(
  fault: string,
  paths: readonly string[] = [],
): { command: string[]; env: Record<string, string> } {
  const only = paths.length > 0 ? paths.flatMap((name) => ['-P', name]) : ['--seccomp-bpf']
  const call = fault.slice(0, fault.indexOf(':'))
  return {
    command: [
      'strace',
      '-f',
      '--quiet=all',
      '-o',
      '/dev/null',
      ...only,
      '-e',
      `trace=${call}`,
      '-e',
      `inject=${fault}`,
    ],
    env: { UV_THREADPOOL_SIZE: '1', NODE_DISABLE_COMPILE_CACHE: '1' },
  }
}
