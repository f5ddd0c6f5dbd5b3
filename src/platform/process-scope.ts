import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { errnoOf } from '../base/errors.ts'

/** Where a process id means something, for names of temporary files that tell whether their maker still lives. */
export interface ProcessScope {
  /** Tells machines apart, and containers with a host name of their own; stays the same when they start anew. */
  readonly machine: string
  /** Another one after each start of the machine. */
  readonly boot: string
  /** The name space of process ids, of which a machine may have many. */
  readonly pids: string
}

export function processScope(): ProcessScope {
  return {
    machine: `${firstLine('/etc/machine-id')} ${hostname()}`,
    boot: firstLine('/proc/sys/kernel/random/boot_id'),
    pids: pidNamespace(),
  }
}

/** Whether a process with this id runs, be it somebody else's. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errnoOf(error) !== 'ESRCH'
  }
}

function firstLine(file: string): string {
  try {
    return readFileSync(file, 'utf8').split('\n', 1)[0] ?? ''
  } catch {
    return ''
  }
}

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return ''
  }
}
