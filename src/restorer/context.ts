import { type AbortOptions } from '../base/abort.ts'
import { CairnError, errnoOf, isCairnError } from '../base/errors.ts'
import { toPrintable } from '../base/raw-name.ts'
import { describeSystemError, findFile, makeDirectory, removeDirectory } from '../platform/files.ts'
import type { OpenFolders } from '../platform/open-folder.ts'
import type { Repository } from '../repository/repository.ts'
import type { LoadChunk } from '../snapshot/content.ts'
import type { NodeType, TreeNode } from '../snapshot/tree-node.ts'
import type { Selected } from '../snapshot/tree-walk.ts'
import type { Conflict } from './conflict.ts'
import { Losses, describeLoss, isFatal } from './losses.ts'
import type { Rights } from './metadata.ts'
import { TempNames } from './temp-names.ts'

export interface RestoreIssue {
  readonly path: string
  readonly message: string
  readonly code: string
}

/** What became of an entry: made, replaced, right already, left alone, or removed since the snapshot does not have it. */
export type RestoreAction = 'restored' | 'updated' | 'unchanged' | 'kept' | 'deleted'

/** Told of everything as it happens; called for every entry, so it must be quick. */
export interface RestoreObserver {
  /** An entry is done, but for directories' metadata. `type` may be one that snapshots do not have where it is removed. */
  entry(
    path: string,
    entry: { readonly type: NodeType | 'socket'; readonly sizeBytes: number },
    action: RestoreAction,
  ): void
  /** So many more bytes are written, the last of them to `path`. */
  bytes(count: number, path: string): void
  issue(issue: RestoreIssue): void
}

export interface RestoreSettings extends AbortOptions {
  readonly repository: Repository
  readonly workers: number
  readonly observer: RestoreObserver
  readonly conflict: Conflict
  /** Nothing is written; the observer hears what would be. */
  readonly dryRun: boolean
  /** Reads every restored file back and compares it. */
  readonly verify: boolean
  /** So many leading names of each path are left away, and entries that have no more. */
  readonly stripComponents: number
  /** Owners by number only, even where the snapshot has names that this system knows. */
  readonly numericIds: boolean
  readonly xattrs: boolean
  readonly acls: boolean
  readonly flags: boolean
  /** Leaves out what patterns exclude; neither restored nor, by `mirror`, removed. */
  readonly select?: ((path: string) => Selected) | undefined
}

/** What all parts of one restore share. */
export class RestoreContext {
  readonly settings: RestoreSettings
  readonly rights: Rights
  readonly losses = new Losses()
  readonly tempNames = new TempNames()
  /** Undefined in a dry run into a folder that does not exist. */
  readonly folders: OpenFolders | undefined
  readonly load: LoadChunk
  /** The first path that needs system calls which Node does not have. */
  firstNative: string | undefined
  /** Different entries of the snapshot may get the same name, so that even in a directory of its own a file may meet another. */
  readonly mayCollide: boolean

  constructor(settings: RestoreSettings, rights: Rights, folders: OpenFolders | undefined) {
    this.settings = settings
    this.rights = rights
    this.folders = folders
    const { repository, signal, stripComponents, dryRun } = settings
    this.mayCollide = stripComponents > 0 || (!dryRun && folders !== undefined && this.#isCaseBlind(folders))
    this.load = (id) => repository.readChunk(id, { signal })
  }

  /** Whether names that differ only in case are one: as on macOS, on FAT, and in folders of ext4 that are told to. */
  #isCaseBlind(folders: OpenFolders): boolean {
    const at = `${folders.enter('')}/${this.tempNames.next()}`
    try {
      makeDirectory(at, 0o700)
    } catch {
      return true // a target that takes nothing; whatever is tried will say so
    }
    const isBlind = findFile(at.replace('.cairn-', '.CAIRN-')) !== undefined
    removeDirectory(at)
    return isBlind
  }

  done(path: string, node: Pick<TreeNode, 'sizeBytes'> & { type: NodeType | 'socket' }, action: RestoreAction): void {
    this.settings.observer.entry(path, node, action)
  }

  issue(path: string, message: string, code: string): void {
    this.settings.observer.issue({ path, message, code })
  }

  /**
   * Reports why an entry is not restored: stored data that is damaged or missing, or a refusal of the target, costs the entry;
   * any other error ends the run.
   *
   * @throws {CairnError} `TARGET_FAILED` when every other entry would meet the same
   */
  failed(path: string, error: unknown): void {
    if (isCairnError(error)) {
      if (error.code !== 'DATA_CORRUPT' && error.code !== 'NOT_FOUND') throw error
      return this.issue(path, error.message, 'DATA_CORRUPT')
    }
    const code = errnoOf(error)
    if (code === undefined) throw error
    this.refused(path, describeSystemError(error), code, error)
  }

  /** Like `failed`, for a system error that comes from another thread. */
  refused(path: string, message: string, code: string, cause?: unknown): void {
    if (isFatal(code)) {
      const hint = code === 'EIO' ? 'check the disk' : 'free some space or choose another target'
      throw new CairnError(
        'TARGET_FAILED',
        `Cannot restore ${toPrintable(path)}: ${message}; ${hint}, then run again`,
        { cause, details: { code } },
      )
    }
    this.issue(path, message, code)
  }

  reportLosses(): void {
    for (const loss of this.losses.take()) this.issue(loss.first, describeLoss(loss), loss.code)
  }
}
