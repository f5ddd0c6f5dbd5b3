import type { Readable, Writable } from 'node:stream'
import type { Clock } from '../base/clock.ts'
import type { Environment } from '../config/environment.ts'
import type { PlaceholderValues } from '../config/placeholders.ts'
import type { SecretInput } from '../platform/secret-input.ts'
import type { OutputStream } from './output/line-writer.ts'

/**
 * Loads the operations one by one, so that `cairn list` does not wait for the code of `cairn create`. Tests pass fakes.
 */
export interface Operations {
  readonly init: () => Promise<Pick<typeof import('../operations/init.ts'), 'initRepository'>>
  readonly create: () => Promise<Pick<typeof import('../operations/create.ts'), 'createSnapshot'>>
  readonly createFromPipe: () => Promise<Pick<typeof import('../operations/create-from-pipe.ts'), 'createFromPipe'>>
  readonly createDryRun: () => Promise<Pick<typeof import('../operations/create-dry-run.ts'), 'dryRunCreate'>>
  readonly patterns: () => Promise<Pick<typeof import('../operations/patterns.ts'), 'parsePatternOptions'>>
  readonly list: () => Promise<Pick<typeof import('../operations/list.ts'), 'listSnapshots' | 'listEntries'>>
  readonly extract: () => Promise<
    Pick<typeof import('../operations/extract.ts'), 'extractSnapshot' | 'extractContents'>
  >
  readonly export: () => Promise<Pick<typeof import('../operations/export.ts'), 'exportSnapshot'>>
  readonly import: () => Promise<Pick<typeof import('../operations/import.ts'), 'importArchive'>>
  readonly verify: () => Promise<Pick<typeof import('../operations/verify.ts'), 'verifyArchive'>>
  readonly archiveFormat: () => Promise<Pick<typeof import('../operations/archive-format.ts'), 'formatOfName'>>
  readonly info: () => Promise<Pick<typeof import('../operations/info.ts'), 'repositoryInfo' | 'snapshotInfo'>>
  readonly config: () => Promise<
    Pick<typeof import('../operations/config.ts'), 'listConfig' | 'getConfig' | 'setConfig' | 'unsetConfig'>
  >
  readonly key: () => Promise<typeof import('../operations/key.ts')>
  readonly doctor: () => Promise<Pick<typeof import('../operations/doctor.ts'), 'examine'>>
  readonly snapshotAges: () => Promise<Pick<typeof import('../operations/snapshot-ages.ts'), 'examineSnapshotAges'>>
  readonly diff: () => Promise<Pick<typeof import('../operations/diff.ts'), 'diffSnapshots'>>
  readonly delete: () => Promise<Pick<typeof import('../operations/delete.ts'), 'deleteSnapshots'>>
  readonly undelete: () => Promise<Pick<typeof import('../operations/undelete.ts'), 'undeleteSnapshot'>>
  readonly rename: () => Promise<Pick<typeof import('../operations/rename.ts'), 'renameSnapshot'>>
  readonly rewrite: () => Promise<Pick<typeof import('../operations/rewrite.ts'), 'rewriteSnapshots'>>
  readonly labels: () => Promise<
    Pick<typeof import('../operations/labels.ts'), 'changeTags' | 'changeComment' | 'pinSnapshots'>
  >
  readonly check: () => Promise<Pick<typeof import('../operations/check.ts'), 'checkRepository'>>
  readonly repair: () => Promise<Pick<typeof import('../operations/repair.ts'), 'repairRepository'>>
  readonly compact: () => Promise<Pick<typeof import('../operations/compact.ts'), 'compactRepository'>>
  readonly serve: () => Promise<Pick<typeof import('../operations/serve.ts'), 'serveRepositories'>>
  readonly mount: () => Promise<
    Pick<typeof import('../operations/mount.ts'), 'mountSnapshots' | 'serveSnapshots' | 'unmountSnapshots'>
  >
  readonly prune: () => Promise<Pick<typeof import('../operations/prune.ts'), 'pruneSnapshots'>>
  readonly snapshotNames: () => Promise<Pick<typeof import('../operations/snapshot-names.ts'), 'findSnapshotNames'>>
  readonly locks: () => Promise<Pick<typeof import('../operations/locks.ts'), 'requireRepository' | 'runUnlocked'>>
}

export const systemOperations: Operations = {
  init: () => import('../operations/init.ts'),
  create: () => import('../operations/create.ts'),
  createFromPipe: () => import('../operations/create-from-pipe.ts'),
  createDryRun: () => import('../operations/create-dry-run.ts'),
  patterns: () => import('../operations/patterns.ts'),
  list: () => import('../operations/list.ts'),
  extract: () => import('../operations/extract.ts'),
  export: () => import('../operations/export.ts'),
  import: () => import('../operations/import.ts'),
  verify: () => import('../operations/verify.ts'),
  archiveFormat: () => import('../operations/archive-format.ts'),
  info: () => import('../operations/info.ts'),
  config: () => import('../operations/config.ts'),
  key: () => import('../operations/key.ts'),
  doctor: () => import('../operations/doctor.ts'),
  snapshotAges: () => import('../operations/snapshot-ages.ts'),
  diff: () => import('../operations/diff.ts'),
  delete: () => import('../operations/delete.ts'),
  undelete: () => import('../operations/undelete.ts'),
  rename: () => import('../operations/rename.ts'),
  rewrite: () => import('../operations/rewrite.ts'),
  labels: () => import('../operations/labels.ts'),
  check: () => import('../operations/check.ts'),
  repair: () => import('../operations/repair.ts'),
  compact: () => import('../operations/compact.ts'),
  serve: () => import('../operations/serve.ts'),
  mount: () => import('../operations/mount.ts'),
  prune: () => import('../operations/prune.ts'),
  snapshotNames: () => import('../operations/snapshot-names.ts'),
  locks: () => import('../operations/locks.ts'),
}

/** Going on after the command has returned. */
export interface Background {
  /**
   * Runs the command line in a process of its own that calls `detach`.
   *
   * @returns `undefined` as soon as it has done so, or the exit code if it ended before
   */
  readonly run: (argv: readonly string[]) => Promise<number | undefined>
  /** Whether this is that process. */
  readonly isInside: boolean
  /** Lets go of terminal, current folder and standard streams, and lets `run` return. Resolves to where errors go from then on. */
  readonly detach: () => Promise<OutputStream>
}

/** Everything outside the program that it touches, apart from what operations do. */
export interface World {
  readonly env: Environment
  readonly stdout: OutputStream
  readonly stderr: OutputStream
  /** Standard input and output as bytes, for a program at the other end. */
  readonly connection: () => { readonly input: Readable; readonly output: Writable }
  /** Ends the run; a `CairnError` as its reason says how (`details.exitCode`). */
  readonly signal: AbortSignal
  readonly clock: Clock
  /** The program's name as it was typed. `borg` makes it behave as a script for Borg expects: see `borg/`. */
  readonly calledAs?: string | undefined
  readonly operations: Operations
  /** Makes a folder of the user's own data, and those above it. */
  readonly makeFolder: (folder: string) => Promise<void>
  readonly background: Background
  /** Ends the process after so long, whatever system call it waits for. */
  readonly killAfter: (ms: number) => void
  /** The system's when absent. */
  readonly secrets?: SecretInput | undefined
  /** This machine's when absent. */
  readonly placeholders?: PlaceholderValues | undefined
}
