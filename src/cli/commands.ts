import type { DefineCommand } from './context.ts'

export interface CommandEntry {
  readonly name: string
  readonly alias?: string
  /** For shells, not for people. */
  readonly hidden?: boolean
  /** Heading of the global help it is listed under. */
  readonly group: string
  /** One line that says what it is for. */
  readonly summary: string
  /** Loads the rest only for the command that runs. */
  readonly load: () => Promise<{ define: DefineCommand }>
}

const BACKUPS = 'Back up and restore:'
const SNAPSHOTS = 'Look at snapshots:'
const MANAGE = 'Manage snapshots:'
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
    summary: 'restore a snapshot, or paths, into the current folder',
    load: () => import('./extract.ts'),
  },
  {
    name: 'export',
    alias: 'export-tar',
    group: BACKUPS,
    summary: 'write a snapshot, or paths, as a tar or zip archive',
    load: () => import('./export.ts'),
  },
  {
    name: 'import',
    alias: 'import-tar',
    group: BACKUPS,
    summary: 'save what is in a tar or zip archive as a new snapshot',
    load: () => import('./import.ts'),
  },
  {
    name: 'verify',
    group: BACKUPS,
    summary: 'verify that an exported archive is what it was',
    load: () => import('./verify.ts'),
  },
  {
    name: 'list',
    group: SNAPSHOTS,
    summary: 'list snapshots, or what is in one of them',
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
    name: 'mount',
    group: SNAPSHOTS,
    summary: 'show snapshots as folders',
    load: () => import('./mount.ts'),
  },
  {
    name: 'umount',
    group: SNAPSHOTS,
    summary: 'end a mount',
    load: () => import('./umount.ts'),
  },
  {
    name: 'delete',
    group: MANAGE,
    summary: 'delete snapshots; their space is reclaimed later',
    load: () => import('./delete.ts'),
  },
  {
    name: 'undelete',
    group: MANAGE,
    summary: 'bring a deleted snapshot back',
    load: () => import('./undelete.ts'),
  },
  {
    name: 'rename',
    group: MANAGE,
    summary: 'give a snapshot another name',
    load: () => import('./rename.ts'),
  },
  {
    name: 'tag',
    group: MANAGE,
    summary: 'change the tags of snapshots',
    load: () => import('./tag.ts'),
  },
  {
    name: 'comment',
    group: MANAGE,
    summary: 'change the comment of a snapshot',
    load: () => import('./comment.ts'),
  },
  {
    name: 'rewrite',
    alias: 'recreate',
    group: MANAGE,
    summary: 'leave paths out of snapshots that are there',
    load: () => import('./rewrite.ts'),
  },
  {
    name: 'pin',
    group: MANAGE,
    summary: 'keep snapshots from being deleted by a policy',
    load: () => import('./pin.ts'),
  },
  {
    name: 'unpin',
    group: MANAGE,
    summary: 'take pins away again',
    load: () => import('./unpin.ts'),
  },
  {
    name: 'check',
    group: REPOSITORY,
    summary: 'verify that a repository or a snapshot is sound',
    load: () => import('./check.ts'),
  },
  {
    name: 'compact',
    group: REPOSITORY,
    summary: 'give back the space of deleted snapshots',
    load: () => import('./compact.ts'),
  },
  {
    name: 'prune',
    group: REPOSITORY,
    summary: 'delete the snapshots that no rule says to keep',
    load: () => import('./prune.ts'),
  },
  {
    name: 'init',
    group: REPOSITORY,
    summary: 'make a new, empty repository',
    load: () => import('./init.ts'),
  },
  {
    name: 'serve',
    group: REPOSITORY,
    summary: 'serve repositories to another machine, started by SSH',
    load: () => import('./serve.ts'),
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
    summary: 'manage keys: passphrases, recovery, export, rotation',
    load: () => import('./key.ts'),
  },
  {
    name: 'break-lock',
    group: REPOSITORY,
    summary: 'do nothing, since there are no locks',
    load: () => import('./break-lock.ts'),
  },
  {
    name: 'with-lock',
    group: REPOSITORY,
    summary: 'run a command, without a lock since there are none',
    load: () => import('./with-lock.ts'),
  },
  {
    name: 'doctor',
    group: 'About:',
    summary: 'look for what could make backups miss something',
    load: () => import('./doctor.ts'),
  },
  {
    name: 'man',
    group: 'About:',
    summary: 'show the manual',
    load: () => import('./man.ts'),
  },
  {
    name: 'completion',
    group: 'About:',
    summary: 'print a script by which a shell completes commands',
    load: () => import('./completion.ts'),
  },
  {
    name: '__complete',
    hidden: true,
    group: 'About:',
    summary: 'say what may come next on a command line',
    load: () => import('./complete.ts'),
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
  forget: 'delete',
  rm: 'delete',
  unmount: 'umount',
}
