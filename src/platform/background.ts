import { spawn } from 'node:child_process'
import { closeSync, constants, openSync } from 'node:fs'
import { constants as system } from 'node:os'
import type { Writable } from 'node:stream'
import { mountLibc } from './fuse/libc.ts'
import { NAME_VARIABLE, ownCommand } from './installation.ts'
import { systemLog } from './system-log.ts'

/**
 * A process that goes on after the command that started it has returned. Node cannot fork: the command line is run once more, and
 * tells when it got as far as it was to. Until then it is part of the command: it may ask on the terminal, and prints what goes
 * wrong.
 */

/** Set in the process in the background, which `main.ts` asks for. */
const VARIABLE = 'CAIRN_IN_BACKGROUND'

/**
 * Runs this program with other arguments, until it calls `detach`.
 *
 * @param argv well-formed text
 * @param name the name that it is called by
 * @param fds further descriptors to give it; those that are no others than the standard streams are passed over
 * @returns `undefined` once it has, or the exit code when it ended before
 */
export async function runInBackground(
  argv: readonly string[],
  name: string,
  fds: readonly number[],
): Promise<number | undefined> {
  const inherited = new Set(fds.filter((fd) => fd > 2))
  const last = Math.max(2, ...inherited)
  const stdio = Array.from({ length: last + 1 }, (_, fd) => (fd <= 2 || inherited.has(fd) ? fd : 'ignore'))
  const [command, ...first] = ownCommand()
  const child = spawn(command, [...first, ...argv], {
    stdio: [...stdio, 'ipc'],
    env: { ...process.env, [NAME_VARIABLE]: name, [VARIABLE]: '1' },
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('message', () => {
      child.disconnect()
      child.unref()
      resolve(undefined)
    })
    child.once('exit', (code, signal) => resolve(code ?? 128 + system.signals[signal ?? 'SIGKILL']))
  })
}

/**
 * In the process that `runInBackground` has started: lets go of the terminal, the current folder and the standard streams, whoever
 * reads those, and lets the command return.
 *
 * @returns where errors are told from then on: the system's log, as daemons do
 */
export async function detach(): Promise<Writable> {
  const libc = mountLibc()
  process.chdir('/')
  libc.setsid()
  const nothing = openSync('/dev/null', constants.O_RDWR)
  for (const fd of [0, 1, 2]) libc.dup2(nothing, fd)
  closeSync(nothing)
  const log = systemLog('cairn')
  await new Promise((resolve) => process.send?.('ready', undefined, undefined, resolve) ?? resolve(undefined))
  process.disconnect?.()
  return log
}
