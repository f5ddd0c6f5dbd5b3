/** A machine to run scripts on: its own `/etc`, `/home`, `/root`, `/var` and `/mnt`, and a program called `borg`, be it Borg or ours. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, copyFileSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { AS_NOBODY, CAN_BE_NOBODY, hasCommand, newFolder, NOBODY } from './testing.ts'

/** Whether such machines can be made here. */
export const CAN_HAVE_HOST = CAN_BE_NOBODY && hasCommand('unshare', '--mount', 'mount', '--bind', '/mnt', '/mnt')

/** Whether the real Borg can be called, of the kind that is compared with. */
export const HAS_BORG = hasCommand('sh', '-c', 'borg --version | grep -q "^borg 1.2"')

const FOLDERS = ['etc', 'home', 'root', 'var', 'mnt'] as const

/** Mounts the machine's folders, and runs the rest of the words there. The checkout first: it may lie in a folder that is covered. */
const ENTER = `
set -e
mount --bind "$1" /mnt
mount --bind "$2" /mnt/checkout
for folder in etc home root var; do mount --bind "$(dirname "$1")/$folder" "/$folder"; done
cd /
shift 2
exec "$@"`

export interface HostResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface HostOptions {
  readonly asNobody?: boolean
  readonly env?: Readonly<Record<string, string>>
}

/** A machine in a folder, as long as its commands run. */
export class BorgHost {
  readonly folder = newFolder()

  /** @param program what `borg` is on it */
  constructor(program: 'borg' | 'cairn') {
    chmodSync(this.folder, 0o755)
    for (const name of [...FOLDERS, 'mnt/bin', 'mnt/backup', 'mnt/base', 'mnt/checkout', 'mnt/scripts', 'var/tmp'])
      mkdirSync(this.path(name))
    for (const name of ['passwd', 'group']) copyFileSync(`/etc/${name}`, this.path(`etc/${name}`))
    for (const name of ['mnt/backup', 'mnt/base']) chownSync(this.path(name), NOBODY, NOBODY)
    if (program === 'cairn') symlinkSync('/mnt/checkout/cairn', this.path('mnt/bin/borg'))
  }

  /** Where a path of the machine lies. */
  path(inside: string): string {
    return path.join(this.folder, inside)
  }

  write(inside: string, content: string, mode = 0o644): void {
    mkdirSync(path.dirname(this.path(inside)), { recursive: true })
    writeFileSync(this.path(inside), content)
    chmodSync(this.path(inside), mode)
  }

  link(inside: string, target: string): void {
    linkSync(this.path(target), this.path(inside))
  }

  /** Runs a command in a minimal environment, without a terminal. */
  run(command: readonly string[], options: HostOptions = {}): HostResult {
    const [program = '', ...args] = this.#words(command, options)
    const env = environment(options)
    const result = spawnSync(program, args, { encoding: 'utf8', env, timeout: 300_000, killSignal: 'SIGKILL' })
    if (result.error) throw result.error
    return result
  }

  /** As `run`, of a shell's text that must succeed; gives what it printed. */
  sh(text: string, options: HostOptions = {}): string {
    const { status, stdout, stderr } = this.run(['sh', '-ec', text], options)
    if (status !== 0) throw new Error(`${text}: exit ${status}: ${stderr}`)
    return stdout
  }

  /** Starts a command as the first of a process group. */
  start(command: readonly string[], options: HostOptions = {}): ChildProcess {
    const [program = '', ...args] = this.#words(command, options)
    return spawn(program, args, { env: environment(options), detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  }

  #words(command: readonly string[], { asNobody }: HostOptions): string[] {
    const words = ['unshare', '--mount', 'sh', '-c', ENTER, 'sh', this.path('mnt'), path.resolve('.')]
    return [...words, ...(asNobody ? AS_NOBODY : []), ...command]
  }
}

function environment({ env }: HostOptions): Record<string, string> {
  return {
    PATH: '/mnt/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
    BORG_BASE_DIR: '/mnt/base',
    XDG_CONFIG_HOME: '/mnt/base',
    ...env,
  }
}
