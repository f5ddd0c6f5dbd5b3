import { errnoOf } from '../base/errors.ts'
import {
  type FileStat,
  describeSystemError,
  findFile,
  listDirectory,
  makeDirectory,
  removeDirectory,
  removeFile,
  setMode,
  statFile,
} from '../platform/files.ts'
import type { OpenFolders } from '../platform/open-folder.ts'
import { readFileFlags, setFileFlags } from '../platform/file-flags.ts'
import { isAcl, readXattrs, removeXattr } from '../platform/xattrs.ts'
import { systemError } from '../platform/system-error.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import { decide } from './conflict.ts'
import type { RestoreContext } from './context.ts'
import type { LossKind } from './losses.ts'
import { type Metadata, setFlags, setMetadata } from './metadata.ts'
import { removeLeftover } from './leftovers.ts'
import { makeAccessible, removeTree } from './remove-tree.ts'

/** A directory of the snapshot, from when the walk enters it until everything below it is done. */
export interface Folder {
  readonly parent: Folder | undefined
  /** In the snapshot, and below the target. */
  readonly path: string
  readonly place: string
  /** `undefined` for the target itself, where the snapshot knows nothing of it. */
  readonly node: TreeNode | undefined
  /** Set when all is done; `undefined` for one that is only on the way to what was backed up. */
  metadata: Metadata | undefined
  /**
   * `later`: made when something is restored into it; `made` by this run, so that nobody else can write there yet; `found`
   * there; `absent` in a dry run; `failed`: nothing can be restored into it.
   */
  state: 'later' | 'made' | 'found' | 'absent' | 'failed'
  /** Names that were in it when it was found. */
  readonly names: Set<string>
  /** Those of them that the snapshot has not: to be removed when it is done. `undefined` where nothing is removed. */
  extra: Set<string> | undefined
  /** Something made in it takes on attributes that it should not have. */
  bequeaths: boolean
  /** What is made in it belongs to this process; and nobody else gets at it. */
  isPlain: boolean
  isPrivate: boolean
  /** Which directory it was when this run began to write into it, where somebody else could put another in its place. */
  identity: Pick<FileStat, 'inode' | 'device'> | undefined
  /** A directory of this run in it, which nobody else can write to. */
  staging: string | undefined
  /** Mode to go back to, when it was changed only to get in. */
  modeBefore: number | undefined
  /** Entries below it that are not done, and one for the walk. */
  pending: number
}

/** Makes directories when something goes into them, and finishes each as soon as everything below it is done. */
export class Folders {
  readonly #context: RestoreContext
  readonly #staged = new Set<Folder>()

  constructor(context: RestoreContext) {
    this.#context = context
  }

  /** A directory that the walk has come to; it is made by `prepare`. Its creator releases it when the walk has left it. */
  begin(
    fields: Pick<Folder, 'parent' | 'path' | 'place' | 'node' | 'metadata'> & { readonly mirrored: boolean },
  ): Folder {
    const { mirrored, ...rest } = fields
    if (rest.parent) rest.parent.pending++
    return {
      ...rest,
      state: 'later',
      names: new Set(),
      extra: mirrored ? new Set() : undefined,
      bequeaths: false,
      isPlain: false,
      isPrivate: false,
      identity: undefined,
      staging: undefined,
      modeBefore: undefined,
      pending: 1,
    }
  }

  /** Makes the directory, and those above it, unless that was done; whether something can be restored into it. */
  prepare(folder: Folder): boolean {
    if (folder.state !== 'later') return folder.state !== 'failed'
    if (folder.parent && !this.prepare(folder.parent)) {
      folder.state = 'failed'
      return false
    }
    folder.parent?.extra?.delete(nameOf(folder.place))
    try {
      folder.state = folder.parent ? this.#make(folder, folder.parent) : this.#findRoot(folder)
    } catch (error) {
      folder.state = 'failed'
      this.#context.failed(folder.path, error)
    }
    const { node, path } = folder
    if (node && !node.ancestor && folder.state !== 'failed') this.#context.done(path, node, 'restored')
    return folder.state !== 'failed'
  }

  #findRoot(folder: Folder): Folder['state'] {
    const { folders } = this.#context
    if (!folders) return 'absent'
    this.#look(folder, folders)
    return 'found'
  }

  #make(folder: Folder, parent: Folder): Folder['state'] {
    const { folders, settings } = this.#context
    const { node, path, place } = folder
    const name = nameOf(place)
    if (parent.state === 'absent' || !folders) return 'absent'
    const at = `${folders.enter(parent.place)}/${name}`
    let found = parent.state === 'found' && parent.names.has(name) ? findFile(at) : undefined
    if (found && found.type !== 'dir' && node) {
      const decision = decide(settings.conflict, node, found)
      if (decision === 'refuse') throw systemError('EEXIST', 'mkdir', at)
      if (decision === 'keep') {
        this.#context.done(path, node, 'kept')
        return 'failed'
      }
      if (settings.dryRun) return 'absent'
      removeFile(at) // a directory cannot take its place in one step
      found = undefined
    }
    if (settings.dryRun && !found) return 'absent'
    if (!found && this.#makeNew(folder, parent, at)) return 'made'
    if (!settings.dryRun) folder.modeBefore = makeAccessible(at)
    this.#look(folder, folders)
    return 'found'
  }

  /** Whether there was none; what came to be there after the directory above was listed is shared if it is a directory. */
  #makeNew(folder: Folder, parent: Folder, at: string): boolean {
    const mode = folder.node?.ancestor ? 0o755 : 0o700
    try {
      makeDirectory(at, mode)
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST' || findFile(at)?.type !== 'dir') throw error
      return false
    }
    if (parent.bequeaths) this.#disinherit(folder, at)
    // Where nobody else can write, it stays what it is.
    if (parent.state === 'made') folder.isPlain = parent.isPlain
    else {
      const stat = statFile(at)
      folder.identity = stat
      // Not where the file system gives files to whom it likes, or the directory above passes on its group.
      const { uid, gid } = this.#context.rights
      folder.isPlain = stat.uid === uid && stat.gid === gid && stat.mode === mode
    }
    folder.isPrivate = folder.isPlain && mode === 0o700
    return true
  }

  /** What the directory above gave to a new one goes, so that it does not pass it on. */
  #disinherit(folder: Folder, at: string): void {
    const { losses } = this.#context
    try {
      for (const { name } of readXattrs(at)) if (isAcl(name)) removeXattr(at, name)
      if (readFileFlags(at) !== 0) setFileFlags(at, 0)
      setMode(at, folder.node?.ancestor ? 0o755 : 0o700)
    } catch (error) {
      losses.add('acl', error, () => folder.path)
    }
  }

  /** Takes note of what is in a directory, and removes what killed restores left there. */
  #look(folder: Folder, folders: OpenFolders): void {
    const { tempNames, settings, rights } = this.#context
    const here = folders.enter(folder.place)
    folder.identity = statFile(`${here}/.`)
    for (const name of listDirectory(`${here}/.`)) {
      const isLeftover = tempNames.isLeftover(name) && !settings.dryRun
      if (!isLeftover || !removeLeftover(folders, folder.place, name, rights.uid)) folder.names.add(name)
    }
    if (folder.extra) folder.extra = new Set(folder.names)
    folder.bequeaths =
      !settings.dryRun && (readXattrs(`${here}/.`).some(({ name }) => isAcl(name)) || readFileFlags(`${here}/.`) !== 0)
  }

  /** The path of a directory, in this one, that nobody else can write to: for what cannot be made and changed by descriptor. */
  stage(folder: Folder, folders: OpenFolders): string {
    const { tempNames } = this.#context
    if (folder.staging === undefined) {
      const name = tempNames.next()
      makeDirectory(`${folders.enter(folder.place)}/${name}`, 0o700)
      folder.staging = name
      this.#staged.add(folder)
    }
    const here = folders.enter(placeIn(folder, folder.staging))
    const { uid, mode, type } = statFile(`${here}/.`)
    // Somebody may have put a directory of his own in its place.
    if (type === 'dir' && uid === this.#context.rights.uid && (mode & 0o77) === 0) return here
    throw systemError('ESTALE', 'open', folder.place)
  }

  /** Something below the folder is done; with the last of it, so is the folder. */
  release(folder: Folder): void {
    for (let at: Folder | undefined = folder; at && --at.pending === 0; at = at.parent) this.#finish(at)
  }

  #finish(folder: Folder): void {
    const { folders, settings } = this.#context
    if (!folders || (folder.state !== 'made' && folder.state !== 'found')) return
    try {
      if (folder.identity) this.#requireSame(folders.enter(folder.place), folder)
      this.#unstage(folder)
      if (folder.extra) this.#removeExtra(folder, folders)
      if (!settings.dryRun) this.#setMetadata(folder, this.#pathOf(folder, folders))
    } catch (error) {
      this.#context.failed(folder.path, error)
    }
  }

  #requireSame(here: string, { identity, place }: Folder): void {
    const { inode, device } = statFile(`${here}/.`)
    if (inode !== identity?.inode || device !== identity.device) throw systemError('ESTALE', 'open', place)
  }

  /** By way of the directory above, where that is this run's own: it need not be opened for that. */
  #pathOf({ place, parent }: Folder, folders: OpenFolders): string {
    if (parent?.state === 'made') return `${folders.enter(parent.place)}/${nameOf(place)}`
    return `${folders.enter(place)}/.`
  }

  #removeExtra(folder: Folder, folders: OpenFolders): void {
    const { settings } = this.#context
    for (const name of folder.extra ?? []) {
      removeTree(folders, folder.place, name, pathIn(folder, name), this.removal(settings.dryRun))
    }
  }

  /** How `mirror` removes. */
  removal(dryRun: boolean): Parameters<typeof removeTree>[4] {
    const { settings } = this.#context
    return {
      dryRun,
      mayRemove: (path) => settings.select?.(path).included ?? true,
      removed: (path, type) => this.#context.done(path, { type, sizeBytes: 0 }, 'deleted'),
      failed: (path, error) => this.#context.failed(path, error),
    }
  }

  #setMetadata(folder: Folder, path: string): void {
    const { metadata, modeBefore, state } = folder
    if (!metadata && modeBefore === undefined) return
    const { rights, losses } = this.#context
    const lose = (kind: LossKind, error: unknown): void => losses.add(kind, error, () => folder.path)
    if (!metadata) return setMode(path, modeBefore as number)
    const wanted = state === 'found' ? { ...metadata, clean: true } : metadata
    setMetadata(path, wanted, rights, lose, state === 'found' ? statFile(path) : undefined)
    setFlags(path, wanted, rights, lose)
  }

  #unstage(folder: Folder): void {
    const { folders } = this.#context
    if (folder.staging === undefined || !folders) return
    folders.forget(placeIn(folder, folder.staging))
    removeDirectory(`${folders.enter(folder.place)}/${folder.staging}`)
    folder.staging = undefined
    this.#staged.delete(folder)
  }

  /** After an error that ended the run: leaves nothing temporary behind. */
  tidy(): void {
    for (const folder of this.#staged) {
      try {
        this.#unstage(folder)
      } catch (error) {
        this.#context.issue(folder.path, `a temporary folder is left: ${describeSystemError(error)}`, 'SKIPPED')
      }
    }
  }
}

export function nameOf(place: string): string {
  return place.slice(place.lastIndexOf('/') + 1)
}

export function placeIn({ place }: Pick<Folder, 'place'>, name: string): string {
  return place === '' ? name : `${place}/${name}`
}

export function pathIn({ path }: Folder, name: string): string {
  return path === '' ? name : `${path}/${name}`
}
