import { toHex } from '../base/ids.ts'
import { blake3 } from '../codec/hash.ts'
import { type ProcessScope, isAlive, processScope } from '../platform/process-scope.ts'

const NAME = /^\.cairn-([0-9a-f]{8})-([0-9a-f]{8})-([0-9a-f]{8})-([1-9]\d{0,9})-\d+(?:-\d+)?$/

/**
 * Names of what is on its way into a directory: `.cairn-<machine>-<boot>-<process ids>-<process>-<number>`. They tell a later
 * restore whether their maker may still live, so that what a killed one left can go.
 */
export class TempNames {
  readonly #scope: readonly [machine: string, boot: string, pids: string]
  #count = 0

  constructor({ machine, boot, pids }: ProcessScope = processScope()) {
    this.#scope = [short(machine), short(boot), short(pids)]
  }

  /** A name that nothing else of this process has. With `-` and a number behind it, it is one as well. */
  next(): string {
    return `.cairn-${this.#scope.join('-')}-${process.pid}-${++this.#count}`
  }

  /**
   * Whether a name is that of something whose maker is gone: a process that runs no more, or one of this machine before it was
   * last started. Names of other machines, which may share the folder, are left to them.
   */
  isLeftover(name: string): boolean {
    if (!name.startsWith('.cairn-')) return false
    const [, machine, boot, pids, pid] = NAME.exec(name) ?? []
    const [thisMachine, thisBoot, thesePids] = this.#scope
    if (machine !== thisMachine) return false
    return boot !== thisBoot || (pids === thesePids && !isAlive(Number(pid)))
  }
}

function short(text: string): string {
  return toHex(blake3(Buffer.from(text))).slice(0, 8)
}
