/** For tests of mounts: the whole program mounts in a process of its own, so that tests may use the mount as any program does. */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, readFileSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { run } from '../src/platform/testing.ts'
import { IS_ROOT, cairn, needs, newFolder, startCairn } from './testing.ts'

/** The `skip` option of a test that mounts. */
export const SKIP_UNLESS_FUSE = needs(IS_ROOT && hasFuse(), 'needs root and /dev/fuse')

function hasFuse(): boolean {
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}

export interface Mounted {
  readonly directory: string
  readonly process: ChildProcess
  /** What was printed on standard error so far. */
  readonly stderr: () => string
  /** Ends it by a signal, and waits: its exit code. */
  readonly end: (signal?: NodeJS.Signals) => Promise<number | null>
}

/** Runs `cairn mount --foreground WHAT DIR …` until the test ends. */
export async function mount(t: TestContext, what: readonly string[], ...more: string[]): Promise<Mounted> {
  return mountWith(t, {}, what, ...more)
}

/** The same with more of an environment. */
export async function mountWith(
  t: TestContext,
  env: Record<string, string>,
  what: readonly string[],
  ...more: string[]
): Promise<Mounted> {
  const directory = newFolder()
  const child = startCairn(['mount', '--foreground', ...what, directory, ...more], { env })
  const exited = once(child, 'exit')
  let printed = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (printed += text))
  t.after(async () => {
    child.kill('SIGKILL')
    await exited
    if (isMounted(directory)) run('umount', '-l', directory)
  })
  while (!printed.includes('mounted on')) {
    assert.equal(child.exitCode, null, printed)
    await sleep(5)
  }
  return {
    directory,
    process: child,
    stderr: () => printed,
    end: async (signal = 'SIGTERM') => {
      child.kill(signal)
      await exited
      return child.exitCode
    },
  }
}

export function isMounted(directory: string): boolean {
  return readFileSync('/proc/self/mountinfo', 'latin1').includes(` ${directory} `)
}

export function unmount(directory: string): void {
  const { status, stderr } = cairn(['umount', directory])
  assert.equal(status, 0, stderr)
}

/** Resolves when `test` holds; a test that never does ends by the runner's timeout. */
export async function until(test: () => boolean): Promise<void> {
  while (!test()) await sleep(10)
}
