import type { DefineCommand } from './context.ts'

export interface CommandEntry {
  readonly name: string
  readonly alias?: string
  /** Heading of the global help it is listed under. */
  readonly group: string
  /** One line that says what it is for. */
  readonly summary: string
  /** Loads the rest only for the command that runs. */
  readonly load: () => Promise<{ define: DefineCommand }>
}

const BACKUPS = 'Back up and restore:'
const SNAPSHOTS = 'Look at snapshots:'
const REPOSITORY = 'Repository:'

export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'create',
    alias: 'backup',
    group: BACKUPS,
    summary: 'save files and folders as a new snapshot',
    load: () => import('./create.ts'),
  },
  {
    name: 'restore',
    group: BACKUPS,
    summary: 'restore a snapshot, or some of its paths, into a folder',
    load: () => import('./restore.ts'),
  },
  {
    name: 'extract',
    group: BACKUPS,
    summary: 'restore a snapshot, or some of its paths, into the current folder',
    load: () => import('./extract.ts'),
  },
  {
    name: 'list',
    group: SNAPSHOTS,
    summary: 'list the snapshots of a repository, or what is in one of them',
    load: () => import('./list.ts'),
  },
  {
    name: 'diff',
    group: SNAPSHOTS,
    summary: 'show what differs between two snapshots',
    load: () => import('./diff.ts'),
  },
  {
    name: 'info',
    group: SNAPSHOTS,
    summary: 'show facts and sizes of a repository or a snapshot',
    load: () => import('./info.ts'),
  },
  {
    name: 'check',
    group: REPOSITORY,
    summary: 'verify that a repository, or one of its snapshots, is sound',
    load: () => import('./check.ts'),
  },
  {
    name: 'init',
    group: REPOSITORY,
    summary: 'make a new, empty repository',
    load: () => import('./init.ts'),
  },
  {
    name: 'config',
    group: REPOSITORY,
    summary: 'print or change settings of a repository',
    load: () => import('./config.ts'),
  },
  {
    name: 'key',
    group: REPOSITORY,
    summary: 'manage the keys of a repository: passphrases, recovery key, export, rotation',
    load: () => import('./key.ts'),
  },
  {
    name: 'doctor',
    group: 'About:',
    summary: 'look for what could make backups of this machine miss something',
    load: () => import('./doctor.ts'),
  },
  {
    name: 'version',
    group: 'About:',
    summary: 'print the version',
    load: () => import('./version.ts'),
  },
]

/** What users of restic, Borg and others may type, and what it is called here. */
export const OTHER_NAMES: Readonly<Record<string, string>> = {
  snapshots: 'list',
  ls: 'list',
  stats: 'info',
  save: 'create',
}
