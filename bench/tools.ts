/** Cairn and its peers: the commands by which each is measured, with default settings and a passphrase. */
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'

export type ToolName = 'cairn' | 'cairn-plain' | 'restic' | 'borg' | 'tar'

type Argv = readonly [string, ...string[]]

/** One program to measure. Every command runs with the target folder of a restore, or the work folder, as working directory. */
export interface Tool {
  readonly name: ToolName
  /** How tables and goals call it. */
  readonly label: string
  /** `undefined` when it is not installed. */
  readonly version: string | undefined
  /** Exit code of a run that left out unreadable files and saved the rest. */
  readonly warningExitCode?: number
  /** Variables beyond the clean environment of `commandEnvironment()`; caches and settings stay in `home`. */
  env(home: string): Record<string, string>
  init?(repository: string): Argv
  backup(repository: string, snapshot: string, paths: readonly string[]): Argv
  /** Restores the newest snapshot, which is `snapshot`. */
  restore(repository: string, snapshot: string, target: string): Argv
  list?(repository: string): Argv
  readonly help?: Argv
}

const PASSPHRASE = 'a passphrase for the benchmark only'
export const PROJECT_FOLDER = path.resolve(import.meta.dirname, '..')

/** Every tool, installed or not, in the order in which the runs alternate. */
export function allTools(): Tool[] {
  const program = buildProgram()
  return [cairn(program, 'repokey'), cairn(program, 'none'), restic(), borg(), tarZstd()]
}

/** The user's environment without the settings that would change how a tool works, and with a home of its own. */
export function commandEnvironment(tool: Tool, home: string): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {}
  for (const [name, value] of Object.entries(process.env)) {
    if (!/^(CAIRN|RESTIC|BORG|ZSTD|TAR)_|^NODE_|^XDG_/.test(name)) env[name] = value
  }
  for (const [kind, folder] of [
    ['CACHE', '.cache'],
    ['CONFIG', '.config'],
    ['DATA', '.local/share'],
    ['STATE', '.local/state'],
  ]) {
    env[`XDG_${kind}_HOME`] = path.join(home, folder as string)
  }
  return { ...env, HOME: home, ...tool.env(home) }
}

/** Makes the executable of this checkout: what users have, as they have those of restic and Borg. */
function buildProgram(): string {
  const folder = path.join(PROJECT_FOLDER, 'node_modules/.cache/bench')
  const build = path.join(PROJECT_FOLDER, 'scripts/build.ts')
  execFileSync(process.execPath, [build, '--out', folder, 'executable'], { stdio: ['ignore', 'ignore', 'inherit'] })
  return path.join(folder, `cairn-${process.platform}-${process.arch}`)
}

function cairn(program: string, encryption: 'repokey' | 'none'): Tool {
  const { version } = JSON.parse(readFileSync(path.join(PROJECT_FOLDER, 'package.json'), 'utf8')) as { version: string }
  return {
    name: encryption === 'none' ? 'cairn-plain' : 'cairn',
    label: encryption === 'none' ? 'cairn, not encrypted' : 'cairn',
    version,
    warningExitCode: 3,
    env: () => (encryption === 'none' ? {} : { CAIRN_PASSPHRASE: PASSPHRASE }),
    init: (repository) => [program, 'init', '-r', repository, '--encryption', encryption],
    backup: (repository, _snapshot, paths) => [program, 'create', '-r', repository, ...paths],
    restore: (repository, _snapshot, target) => [program, 'restore', 'latest', '-r', repository, '--target', target],
    list: (repository) => [program, 'list', '-r', repository],
    help: [program, '--help'],
  }
}

function restic(): Tool {
  return {
    name: 'restic',
    label: 'restic',
    version: versionOf('restic', 'version'),
    warningExitCode: 3,
    env: (home) => ({ RESTIC_PASSWORD: PASSPHRASE, RESTIC_CACHE_DIR: path.join(home, 'restic') }),
    init: (repository) => ['restic', 'init', '-r', repository],
    backup: (repository, _snapshot, paths) => ['restic', 'backup', '-r', repository, ...paths],
    restore: (repository, _snapshot, target) => ['restic', 'restore', 'latest', '-r', repository, '--target', target],
    list: (repository) => ['restic', 'snapshots', '-r', repository],
    help: ['restic', '--help'],
  }
}

function borg(): Tool {
  return {
    name: 'borg',
    label: 'borg',
    version: versionOf('borg', '--version'),
    warningExitCode: 1,
    env: (home) => ({ BORG_PASSPHRASE: PASSPHRASE, BORG_BASE_DIR: home }),
    init: (repository) => ['borg', 'init', '--encryption', 'repokey', repository],
    backup: (repository, snapshot, paths) => ['borg', 'create', `${repository}::${snapshot}`, ...paths],
    restore: (repository, snapshot) => ['borg', 'extract', `${repository}::${snapshot}`], // into the working directory
    list: (repository) => ['borg', 'list', repository],
    help: ['borg', '--help'],
  }
}

/** The yardstick of what the machine can do without encryption and deduplication. */
function tarZstd(): Tool {
  // The other tools sync before they report success, so this one does; the shell alone would not see that tar has failed.
  const pack = `out=$1; shift; mkdir -p "\${out%/*}"
    { tar -C / --ignore-failed-read -cf - "$@" || echo "tar: exit code $?" >"$out.failed"; } | zstd -q -3 -T0 -f -o "$out" &&
    sync "$out" && if [ -e "$out.failed" ]; then cat "$out.failed" >&2; exit 1; fi`
  const tar = versionOf('tar', '--version')
  const zstd = versionOf('zstd', '--version')
  return {
    name: 'tar',
    label: 'tar | zstd -3 -T0',
    version: tar && zstd && `tar ${tar}, zstd ${zstd}`,
    env: () => ({}),
    backup: (repository, snapshot, paths) => [
      '/bin/sh',
      '-c',
      pack,
      'sh',
      archiveOf(repository, snapshot),
      ...paths.map((file) => file.replace(/^\/+/, '')),
    ],
    restore: (repository, snapshot, target) => [
      '/bin/sh',
      '-c',
      'zstd -q -d -c "$1" | tar -xpf - -C "$2"',
      'sh',
      archiveOf(repository, snapshot),
      target,
    ],
  }
}

const archiveOf = (repository: string, snapshot: string): string => path.join(repository, `${snapshot}.tar.zst`)

/** The first version number that the program prints, or `undefined` when it cannot be started. */
function versionOf(program: string, argument: string): string | undefined {
  const { status, stdout } = spawnSync(program, [argument], { encoding: 'utf8' })
  return status === 0 ? /\d+(?:\.\d+)+/.exec(stdout)?.[0] : undefined
}
