/** The command line, interrupted at any moment: its exit code, and what it leaves behind. */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { testBytes } from '../src/chunker/testing.ts'
import { listSnapshots } from '../src/operations/list.ts'
import { TestRepository, cairn, cairnCommand, expectSound, newFolder, startCairn } from './testing.ts'
import { NEEDS_TMUX, Tmux } from './tmux.ts'
import { digestTree } from './tree-digest.ts'

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const
type Signal = keyof typeof EXIT_CODES
const SIGNALS = Object.keys(EXIT_CODES) as Signal[]

const old = newFolder()
const source = newFolder()
let repository: TestRepository
let wantFiles: Map<string, string>

before(async () => {
  writeFileSync(`${old}/f`, testBytes('old', 200_000))
  const words = testBytes('words', 4 << 20).toString('base64') // takes long to compress
  for (let i = 0; i < 20; i++) {
    mkdirSync(`${source}/${i}`)
    writeFileSync(`${source}/${i}/large`, `${i}${words.slice(i * 1000, 1_500_000)}`)
    for (let j = 0; j < 50; j++) writeFileSync(`${source}/${i}/${j}`, `${i} ${j}`)
  }
  wantFiles = contentsOf(source)
  repository = await TestRepository.create({ encryption: 'none' })
  await repository.create([old], { name: 'old' })
})

/** Numbers from 0 to 1 that are the same every time. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

interface Ended {
  readonly stderr: string
  /** It had got so far as to watch for signals, and not to its end. */
  readonly isInterrupted: boolean
}

/** Sends signals, a millisecond apart, and waits for the end: exit code and signal. A process that hangs is killed. */
async function kill(child: ChildProcess, ...signals: Signal[]): Promise<[number | null, NodeJS.Signals | null]> {
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null
  const closed = isOver() ? undefined : once(child, 'close')
  for (const signal of signals) {
    child.kill(signal)
    await sleep(1)
  }
  const deadline = setTimeout(() => child.kill('SIGKILL'), 20_000)
  await closed
  clearTimeout(deadline)
  return [child.exitCode, child.signalCode]
}

/** Sends a signal and waits for the end, which must be as it should be for that signal. */
async function interrupt(child: ChildProcess, signal: Signal): Promise<Ended> {
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const [status, ended] = await kill(child, signal)
  if (ended === signal) return { stderr, isInterrupted: false } // Node had not yet started
  assert.equal(ended, null, stderr)
  if (status === 0) return { stderr, isInterrupted: false } // it was done
  assert.equal(status, EXIT_CODES[signal], stderr)
  assert.equal(stderr, `cairn: Interrupted by ${signal}\n`)
  return { stderr, isInterrupted: true }
}

/** Sends each signal to a few runs of a command, at moments up to `withinMs` after `isReady`; how many it interrupted. */
async function interruptRuns(
  start: () => { child: ChildProcess; isReady: () => boolean; expect: (ended: Ended) => Promise<void> | void },
  { runs, withinMs, seed }: { runs: number; withinMs: number; seed: number },
): Promise<number> {
  const random = seeded(seed)
  let interrupted = 0
  for (let i = 0; i < runs; i++) {
    const { child, isReady, expect } = startCreate()
    while (!isReady() && child.exitCode === null) await sleep(2)
    await sleep(random() * withinMs)
    const ended = await interrupt(child, SIGNALS[i % SIGNALS.length] ?? 'SIGINT')
    // It was the first of a process group of its own: nobody is left in it.
    assert.throws(() => process.kill(-(child.pid ?? 0), 0), { code: 'ESRCH' })
    await expect(ended)
    if (ended.isInterrupted) interrupted++
  }
  return interrupted
}

/** Content of all files, by path. */
function contentsOf(folder: string): Map<string, string> {
  const contents = new Map<string, string>()
  for (const line of digestTree(folder)) {
    const [, name = '', type, digest] = /^("(?:[^"\\]|\\.)*") (\S+) .* (\d+ \S+)$/.exec(line) ?? []
    if (type?.startsWith('100')) contents.set(name, digest ?? '')
  }
  return contents
}

/** A slow run of `cairn create` in a copy of the repository, and what is to be when it was interrupted. */
function startCreate(): ReturnType<Parameters<typeof interruptRuns>[0]> & { copy: TestRepository } {
  const copy = repository.copy()
  const child = startCairn(['create', `${copy.location}::new`, source, '-C', 'zstd,15'])
  const expect = async ({ isInterrupted }: Ended): Promise<void> => {
    assert.deepEqual(readdirSync(`${copy.location}/.tmp`), [])
    assert.deepEqual(copy.objects('sessions/'), [])
    const names = (await listSnapshots(copy.access)).snapshots.map(({ name }) => name)
    if (isInterrupted) assert.deepEqual(names, ['old'])
    await copy.expectRestored(old, 'old')
    await expectSound(copy)
    copy.remove()
  }
  return { child, isReady: () => copy.objects('sessions/').length > 0, expect, copy }
}

describe('a signal to cairn create', () => {
  it('ends it with the code of the signal, and leaves no process, no temporary file and no session', async () => {
    assert.ok((await interruptRuns(startCreate, { runs: 9, withinMs: 400, seed: 1 })) > 3)
  })

  it('does so too when it is early', async () => {
    await interruptRuns(() => ({ ...startCreate(), isReady: () => true }), { runs: 6, withinMs: 500, seed: 2 })
  })

  it('costs nothing that was stored: the next run takes it over', async () => {
    const { child, copy } = startCreate()
    while (copy.objects('packs/').length === repository.objects('packs/').length) await sleep(2)
    assert.ok((await interrupt(child, 'SIGTERM')).isInterrupted)
    const stored = copy.packBytes()
    const { issues, warnings } = await copy.create([source], { name: 'next', compression: 'zstd,15' })
    assert.deepEqual([issues, warnings], [0, 0])
    await copy.expectRestored(source, 'next')
    const whole = repository.copy()
    await whole.create([source], { compression: 'zstd,15' })
    assert.ok(stored > repository.packBytes() && copy.packBytes() < whole.packBytes() * 1.05)
  })

  it('ends it at once when it is the second SIGINT', async () => {
    const { child, isReady, copy } = startCreate()
    while (!isReady()) await sleep(2)
    await sleep(100)
    const [status, signal] = await kill(child, 'SIGINT', 'SIGINT')
    assert.ok(status === 130 || signal === 'SIGINT', `${status} ${signal}`)
    assert.deepEqual((await listSnapshots(copy.access)).snapshots.length, 1)
    await copy.create([source], { name: 'next' })
    await copy.expectRestored(source, 'next')
    assert.deepEqual([...copy.objects('sessions/'), ...readdirSync(`${copy.location}/.tmp`)], [])
  })
})

describe('a run that is stopped for long', () => {
  it('cannot commit any more once another run has taken over what it stored, and says so', async () => {
    const copy = repository.copy()
    const child = startCairn(['create', `${copy.location}::slept`, source, '-C', 'zstd,15'])
    let stderr = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    while (copy.objects('packs/').length === repository.objects('packs/').length) await sleep(2)
    const closed = once(child, 'close')
    child.kill('SIGSTOP')
    const [session = assert.fail('no session object')] = copy.objects('sessions/')
    const longAgo = Date.now() / 1000 - 31 * 60
    utimesSync(path.join(copy.location, session), longAgo, longAgo)
    assert.equal((await copy.create([source], { name: 'awake' })).issues, 0)
    child.kill('SIGCONT')
    assert.deepEqual(await closed, [1, null], stderr)
    assert.match(stderr, /^cairn: error: Cannot [^\n]*another run took this one for dead[^\n]*run it again\n$/)

    const names = (await listSnapshots(copy.access)).snapshots.map(({ name }) => name)
    assert.deepEqual(names.sort(), ['awake', 'old'])
    await copy.expectRestored(source, 'awake')
    await copy.expectRestored(old, 'old')
    await expectSound(copy)
    // What it stored after it woke up is taken over as well.
    await copy.create([source], { name: 'next' })
    await copy.expectRestored(source, 'next')
    await expectSound(copy)
    assert.deepEqual([...copy.objects('sessions/'), ...readdirSync(`${copy.location}/.tmp`)], [])
  })
})

describe('a signal to cairn restore', () => {
  it('ends it with the code of the signal, and leaves no file that is not whole', async () => {
    const saved = repository.copy()
    await saved.create([source], { name: 'new' })
    const interrupted = await interruptRuns(
      () => {
        const target = path.join(newFolder(), 'target')
        const child = startCairn(['restore', '-r', saved.location, 'new', '--target', target])
        const expect = ({ isInterrupted }: Ended): void => {
          if (!existsSync(target + source)) return
          const files = contentsOf(target + source)
          for (const [name, digest] of files) assert.equal(digest, wantFiles.get(name), name)
          if (isInterrupted) assert.ok(files.size <= wantFiles.size)
        }
        return { child, isReady: () => existsSync(target), expect }
      },
      { runs: 9, withinMs: 150, seed: 3 },
    )
    assert.ok(interrupted > 2, `${interrupted} interrupted`)
    await expectSound(saved)
  })
})

describe('a signal to cairn check and cairn init', () => {
  it('ends a check with the code of the signal, and the repository is as it was', async () => {
    const saved = repository.copy()
    await saved.create([source], { name: 'new' })
    const before = saved.objects('')
    const command = (): ChildProcess => startCairn(['check', '--read-data', saved.location])
    await interruptRuns(() => ({ child: command(), isReady: () => true, expect: () => undefined }), {
      runs: 6,
      withinMs: 600,
      seed: 4,
    })
    assert.deepEqual(saved.objects(''), before)
    await expectSound(saved)
  })

  it('ends an init with the code of the signal, and the next one succeeds', async () => {
    const env = { CAIRN_PASSPHRASE: 'secret' }
    await interruptRuns(
      () => {
        const location = path.join(newFolder(), 'repo')
        const child = startCairn(['init', location], { env })
        const expect = (): void => {
          const again = cairn(['init', location], { env })
          const isMade = existsSync(`${location}/config`)
          assert.ok(isMade && (again.status === 0 || /there is one already/.test(again.stderr)), again.stderr)
          assert.equal(cairn(['check', location], { env }).status, 0)
        }
        return { child, isReady: () => true, expect }
      },
      { runs: 6, withinMs: 700, seed: 5 },
    )
  })
})

describe('Ctrl+C on a terminal', { skip: NEEDS_TMUX }, () => {
  it('leaves one line, and the cursor where a prompt goes', async (t) => {
    const copy = repository.copy()
    const terminal = new Tmux('env PS1="ready> " sh')
    t.after(() => terminal.close())
    await terminal.sees(/^ready>/m)
    const go = path.join(newFolder(), 'go')
    const command = cairnCommand(['create', `${copy.location}::new`, source, '-C', 'zstd,19'])
    writeFileSync(go, `${command}; echo "rc=$?"\n`)
    terminal.type(`clear; . ${go}`)
    terminal.press('Enter')
    await terminal.sees(/\d+ ?%|files|MiB/)
    terminal.press('C-c')
    const screen = await terminal.sees(/rc=[^]*ready>/)
    assert.match(screen, /^(\^C)?\s*cairn: Interrupted by SIGINT\nrc=130\nready>$/m)
    assert.equal(screen.match(/Interrupted/g)?.length, 1)
    assert.equal(terminal.ask('#{cursor_flag} #{cursor_x}'), '1 7')
  })
})
