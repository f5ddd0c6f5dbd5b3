/** Runs the real command line in this process, with captured streams and operations that only pretend. */
import { Writable } from 'node:stream'
import type { Command } from 'commander'
import { fixedClock } from '../../src/base/clock.ts'
import { CommandContext } from '../../src/cli/context.ts'
import { defineProgram } from '../../src/cli/definitions.ts'
import { Output } from '../../src/cli/output/output.ts'
import { runProgram } from '../../src/cli/program.ts'
import type { Background, Operations, World } from '../../src/cli/world.ts'
import type { Environment } from '../../src/config/environment.ts'
import type { DeletionSizes, RepositoryTotals } from '../../src/operations/snapshot-info.ts'
import type { CreateResult } from '../../src/operations/create.ts'
import type { EntryInfo, SnapshotInfo } from '../../src/operations/snapshot-info.ts'
import type { SecretInput } from '../../src/platform/secret-input.ts'

/** A standard stream that keeps what is written. */
export class CapturedStream extends Writable {
  readonly isTTY: boolean
  columns: number | undefined
  captured = ''

  constructor(columns?: number) {
    super({ decodeStrings: false })
    this.isTTY = columns !== undefined
    this.columns = columns
  }

  override _write(chunk: string | Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.captured += chunk.toString()
    done()
  }
}

export const NOW_MS = Date.parse('2026-11-21T12:44:05.000Z')

export interface RunOptions {
  readonly env?: Environment
  readonly operations?: Partial<Operations>
  readonly stdout?: CapturedStream
  readonly stderr?: CapturedStream
  readonly secrets?: SecretInput
  readonly signal?: AbortSignal
  readonly background?: Background
  readonly calledAs?: string
}

export interface RunResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

function worldOf(options: RunOptions): World & { readonly stdout: CapturedStream; readonly stderr: CapturedStream } {
  return {
    env: { HOME: '/home/ann', ...options.env },
    stdout: options.stdout ?? new CapturedStream(),
    stderr: options.stderr ?? new CapturedStream(),
    connection: unexpected('connection'),
    signal: options.signal ?? new AbortController().signal,
    clock: fixedClock(NOW_MS),
    calledAs: options.calledAs,
    operations: { ...UNEXPECTED, ...options.operations },
    makeFolder: async () => {},
    background: options.background ?? NO_BACKGROUND,
    killAfter: () => {},
    secrets: options.secrets ?? noSecrets,
    placeholders: { nowMs: NOW_MS, hostname: 'vm', user: 'ann', pid: 42, fqdn: async () => 'vm.example.org' },
  }
}

export async function runCli(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const world = worldOf(options)
  const exitCode = await runProgram(argv, world)
  return { exitCode, stdout: world.stdout.captured, stderr: world.stderr.captured }
}

/** All commands that help shows, with what they take, those below others after them; the program itself comes first. */
export async function allCommands(options: RunOptions = {}): Promise<Command[]> {
  const world = worldOf(options)
  const { program, load } = defineProgram(new CommandContext(world, new Output(world), []))
  for (const command of program.commands) await load(command)
  const help = program.createHelp()
  const below = (command: Command): Command[] => [
    command,
    ...help
      .visibleCommands(command)
      .filter(({ parent }) => parent === command)
      .flatMap(below),
  ]
  return below(program)
}

/** How a command is called: the program and its words. */
export function wordsOf(command: Command): string[] {
  return [...(command.parent ? wordsOf(command.parent) : []), command.name()]
}

const unexpected = (what: string) => (): never => {
  throw new Error(`${what} was not expected to be called`)
}

const NO_BACKGROUND: Background = {
  run: unexpected('background.run'),
  isInside: false,
  detach: unexpected('background.detach'),
}

const UNEXPECTED: Operations = {
  init: unexpected('init'),
  create: unexpected('create'),
  createFromPipe: unexpected('createFromPipe'),
  createDryRun: unexpected('createDryRun'),
  doctor: unexpected('doctor'),
  snapshotAges: unexpected('snapshotAges'),
  patterns: () => import('../../src/operations/patterns.ts'),
  list: unexpected('list'),
  extract: unexpected('extract'),
  export: unexpected('export'),
  import: unexpected('import'),
  verify: unexpected('verify'),
  archiveFormat: () => import('../../src/operations/archive-format.ts'),
  info: unexpected('info'),
  config: unexpected('config'),
  key: unexpected('key'),
  diff: unexpected('diff'),
  delete: unexpected('delete'),
  undelete: unexpected('undelete'),
  rename: unexpected('rename'),
  rewrite: unexpected('rewrite'),
  labels: unexpected('labels'),
  check: unexpected('check'),
  repair: unexpected('repair'),
  compact: unexpected('compact'),
  mount: unexpected('mount'),
  prune: unexpected('prune'),
  locks: unexpected('locks'),
  snapshotNames: unexpected('snapshotNames'),
  serve: unexpected('serve'),
}

/** A machine without a terminal. */
export const noSecrets: SecretInput = {
  fromCommand: unexpected('fromCommand'),
  fromFd: unexpected('fromFd'),
  hasTerminal: () => false,
  prompt: unexpected('prompt'),
}

/** A terminal on which somebody types these answers. */
export function typing(...answers: (string | undefined)[]): SecretInput & { readonly questions: string[] } {
  const questions: string[] = []
  return {
    ...noSecrets,
    questions,
    hasTerminal: () => true,
    prompt: async (question) => {
      questions.push(question)
      return answers.shift()
    },
  }
}

export function aSnapshot(changes: Partial<SnapshotInfo> = {}): SnapshotInfo {
  return {
    id: '0123456789abcdef0123456789abcdef',
    name: 'monday',
    startedAt: '2026-11-21T12:44:05.000Z',
    endedAt: '2026-11-21T12:44:07.500Z',
    hostname: 'vm',
    username: 'ann',
    paths: ['/home/ann'],
    comment: '',
    tags: [],
    incomplete: false,
    checkpoint: false,
    pinned: false,
    madeFrom: undefined,
    programVersion: '1.2.3',
    tree: 'ab'.repeat(32),
    commandLine: ['cairn', 'create', 'repo::monday', '/home/ann'],
    stats: {
      filesNew: 1200,
      filesChanged: 3,
      filesUnmodified: 50_000,
      directories: 400,
      otherEntries: 7,
      originalBytes: 600 * 1024 ** 2,
      compressedBytes: 250 * 1024 ** 2,
      deduplicatedBytes: 3 * 1024 ** 2,
      addedBytes: 8 * 1024 ** 2,
      chunksTotal: 60_000,
      chunksNew: 30,
      treeChunksNew: 4,
    },
    ...changes,
  }
}

export const SOME_TOTALS: RepositoryTotals = {
  originalBytes: 1200 * 1024 ** 2,
  compressedBytes: 500 * 1024 ** 2,
  deduplicatedBytes: 253 * 1024 ** 2,
  chunksUnique: 60_030,
  chunksTotal: 120_000,
  uniqueBytes: 620 * 1024 ** 2,
}

export const SOME_SIZES: DeletionSizes = { deleted: SOME_TOTALS, left: SOME_TOTALS }

export function aCreateResult(changes: Partial<CreateResult> = {}): CreateResult {
  const snapshot = changes.snapshot ?? aSnapshot()
  return {
    repositoryId: 'cd'.repeat(16),
    encryption: 'repokey',
    snapshot,
    totals: SOME_TOTALS,
    issues: 0,
    warnings: 0,
    durationMs: 2500,
    ...changes,
  }
}

export function anEntry(changes: Partial<EntryInfo> = {}): EntryInfo {
  return {
    path: 'home/ann/notes.txt',
    type: 'file',
    mode: 0o644,
    uid: 1000,
    gid: 1000,
    user: 'ann',
    group: 'staff',
    sizeBytes: 1234,
    mtimeNs: 1_795_264_245_123_456_789n,
    linkTarget: undefined,
    hardLink: undefined,
    device: undefined,
    flags: [],
    hasXattrs: false,
    atimeNs: undefined,
    changed: false,
    ...changes,
  }
}

/** The JSON lines of a text. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}
