/**
 * Runs one command and measures it from outside: wall time, CPU time of all its processes, peak memory of the largest one.
 *
 * GNU time reads the kernel's own accounts (wait4). Where it is missing, the shell's `times` gives the CPU time and
 * `/proc` is asked every 20 ms for the memory, which the kernel keeps as a high-water mark (VmHWM) per process.
 */
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import path from 'node:path'

export interface Command {
  readonly argv: readonly [string, ...string[]]
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
}

export interface Measurement {
  readonly seconds: number
  /** User and system time of the whole process tree. */
  readonly cpuSeconds: number | undefined
  /** Peak resident memory of the largest single process of the tree; `undefined` where neither GNU time nor /proc exists. */
  readonly peakBytes: number | undefined
  readonly exitCode: number
  /** What `findErrorLine()` finds in its standard error. */
  readonly errorLine: string
}

export interface MeasureOptions {
  /** Folder for the file in which the accounts are written. */
  readonly scratchFolder: string
  /** GNU time or the fallback; found out by `findGnuTime()` when left out. */
  readonly gnuTime?: boolean
}

const GNU_TIME = '/usr/bin/time'
const POLL_MS = 20

let running: number | undefined

/** Whether GNU time is installed; other programs of that name have no `-f`. */
export function findGnuTime(): boolean {
  const result = spawnSync(GNU_TIME, ['--version'], { encoding: 'utf8' })
  return result.status === 0 && `${result.stdout}${result.stderr}`.includes('GNU')
}

/** Kills the measured command and its children, for when the benchmark itself is interrupted. */
export function killRunning(): void {
  if (running === undefined) return
  try {
    process.kill(-running, 'SIGKILL')
  } catch {
    // It has just ended by itself.
  }
}

/** Runs the command to its end, whatever its exit code; its standard output is thrown away. */
export async function measure(command: Command, options: MeasureOptions): Promise<Measurement> {
  const gnuTime = options.gnuTime ?? findGnuTime()
  const accounts = path.join(options.scratchFolder, 'accounts')
  rmSync(accounts, { force: true })
  const wrapper = gnuTime
    ? [GNU_TIME, '-q', '-o', accounts, '-f', '%U %S %M']
    : ['/bin/sh', '-c', 'accounts=$1; shift; "$@"; code=$?; times >"$accounts"; exit $code', 'sh', accounts]
  const [program = '', ...args] = [...wrapper, ...command.argv]

  const startedAt = performance.now()
  // A process group of its own, so that it can be killed as a whole.
  const child = spawn(program, args, {
    cwd: command.cwd,
    env: command.env,
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  })
  running = child.pid
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (stderr.length < 10_000) stderr += text
  })
  let polledPeakBytes = 0
  const poll = (): void => {
    if (child.pid !== undefined) polledPeakBytes = Math.max(polledPeakBytes, peakOfTree(child.pid))
  }
  const timer = gnuTime ? undefined : setInterval(poll, POLL_MS)

  let seconds = 0
  const exitCode = await new Promise<number>((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', () => (seconds = (performance.now() - startedAt) / 1000))
    child.on('close', (code) => resolve(code ?? 128))
  }).finally(() => {
    clearInterval(timer)
    running = undefined
  })

  const measured = readAccounts(accounts, gnuTime)
  return {
    seconds,
    cpuSeconds: measured.cpuSeconds,
    peakBytes: measured.peakBytes ?? (polledPeakBytes || undefined),
    exitCode,
    errorLine: findErrorLine(stderr),
  }
}

function readAccounts(file: string, gnuTime: boolean): { cpuSeconds?: number; peakBytes?: number } {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return {} // killed before it could write
  }
  if (gnuTime) {
    const [user = 0, system = 0, peakKiB = 0] = text.trim().split(' ').map(Number)
    return { cpuSeconds: user + system, peakBytes: peakKiB * 1024 }
  }
  return { cpuSeconds: parseShellTimes(text) }
}

/** The first line that begins like an error, which a crash prints after its place in the source; else the first line. */
export function findErrorLine(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '')
  return lines.find((line) => /^\w*error\b/i.test(line)) ?? lines[0] ?? ''
}

/** CPU seconds of the children, from what the shell's `times` prints: `0m1.25s 0m0.10s`, first its own, then theirs. */
export function parseShellTimes(text: string): number {
  const children = text.trim().split('\n')[1] ?? ''
  let seconds = 0
  for (const [, minutes, rest] of children.matchAll(/(\d+)m([\d.]+)s/g)) seconds += Number(minutes) * 60 + Number(rest)
  return seconds
}

/** The largest VmHWM in bytes of a process and its descendants; 0 when there is no /proc or they are gone. */
function peakOfTree(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    let peak = Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024
    for (const child of readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')) {
      if (child !== '') peak = Math.max(peak, peakOfTree(Number(child)))
    }
    return peak
  } catch {
    return 0
  }
}
