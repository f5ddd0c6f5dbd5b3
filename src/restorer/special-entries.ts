import { errnoOf } from '../base/errors.ts'
import { FILE_FLAGS, setFileFlags } from '../platform/file-flags.ts'
import { type FileStat, findFile, makeHardLink, makeSymlink, readLink } from '../platform/files.ts'
import { OpenFolders } from '../platform/open-folder.ts'
import { type SpecialFileType, deviceNumbers, makeSpecialFile } from '../platform/special-files.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import type { RestoreContext } from './context.ts'
import type { Folder, Folders } from './folders.ts'
import type { LossKind } from './losses.ts'
import { type Metadata, setMetadata } from './metadata.ts'
import { discard, place } from './placing.ts'
import type { Placement } from './protocol.ts'

/**
 * Makes what is no file and no directory: symlinks, FIFOs, devices, further names of a file. They have no descriptor to work on, so
 * in a directory that somebody else may write to they are made in a private one (`Folders.stage`) and moved when complete.
 */
export class SpecialEntries {
  readonly #context: RestoreContext
  readonly #folders: Folders
  /** Where an entry goes, where it is made, and where one that gets a further name lies: a step may need all three. */
  readonly #here: OpenFolders
  readonly #stage: OpenFolders
  readonly #there: OpenFolders

  constructor(context: RestoreContext, folders: Folders, here: OpenFolders) {
    this.#context = context
    this.#folders = folders
    this.#here = here
    this.#stage = new OpenFolders(here.root)
    this.#there = new OpenFolders(here.root)
  }

  close(): void {
    this.#stage.close()
    this.#there.close()
  }

  /** Makes a symlink, FIFO or device. Throws the system error; a device that may not be made is a loss, and the result `false`. */
  make(folder: Folder, node: TreeNode, path: string, metadata: Metadata, placement: Placement): boolean {
    const { rights, losses } = this.#context
    const isDevice = node.type === 'chardev' || node.type === 'blockdev'
    const lose = (kind: LossKind, error: unknown): void => losses.add(kind, error, () => path)
    try {
      this.#place(folder, node.name, placement, (at) => {
        if (node.type === 'symlink') makeSymlink(node.linkTarget ?? '', at)
        else makeSpecialFile(at, node.type as SpecialFileType, 0o600, node.device ?? { major: 0, minor: 0 })
        try {
          setMetadata(at, metadata, rights, lose)
        } catch (error) {
          discard(at)
          throw error
        }
        return true
      })
      return true
    } catch (error) {
      const code = errnoOf(error)
      if (node.type === 'symlink' || !(code === 'ENOTSUP' || (isDevice && code === 'EPERM'))) throw error
      losses.add('device', error, () => path)
      return false
    }
  }

  /**
   * Gives an entry of this run a further name; whether it was the entry that it should be. A link follows no symlink, and of what
   * somebody may have put in the entry's place it is taken back.
   */
  link(
    existing: { readonly folder: string; readonly name: string },
    folder: Folder,
    node: TreeNode,
    placement: Placement,
  ): boolean {
    const from = (): string => `${this.#there.enter(existing.folder)}/${existing.name}`
    const before = findFile(from())
    if (before?.type !== node.type || (node.type === 'file' && before.sizeBytes !== node.sizeBytes)) return false
    // Nothing that is immutable gets another name.
    const locked = this.#context.rights.flags && before.type === 'file' ? (node.flags ?? 0) & LOCKS : 0
    if (locked) setFileFlags(from(), 0)
    try {
      return this.#place(folder, node.name, placement, (at) => {
        makeHardLink(from(), at)
        const after = findFile(at)
        if (after?.inode === before.inode && after.device === before.device) return true
        discard(at)
        return false
      })
    } finally {
      if (locked) setFileFlags(from(), node.flags ?? 0)
    }
  }

  /** Lets `make` make an entry and puts it in its place, unless it says that it did not. */
  #place(folder: Folder, name: string, placement: Placement, make: (at: string) => boolean): boolean {
    if (folder.state === 'made' && placement === 'replace') return make(`${this.#here.enter(folder.place)}/${name}`)
    const at = `${this.#folders.stage(folder, this.#stage)}/${name}`
    if (!make(at)) return false
    try {
      place(at, `${this.#here.enter(folder.place)}/${name}`, placement)
    } finally {
      discard(at) // also what `rename` leaves of two names of one file
    }
    return true
  }

  /** Whether a symlink, FIFO or device is what the node says, so far as it can be seen without touching it. */
  isSame(folder: Folder, node: TreeNode, metadata: Metadata, found: FileStat): boolean {
    if (found.type !== node.type || found.linkCount > 1 || node.xattrs || node.atimeNs !== undefined) return false
    if (found.uid !== metadata.uid || found.gid !== metadata.gid || found.mtimeNs !== node.mtimeNs) return false
    if (node.type === 'symlink') return readLink(`${this.#here.enter(folder.place)}/${node.name}`) === node.linkTarget
    if (found.mode !== metadata.mode) return false
    const { major, minor } = deviceNumbers(found.rdev)
    return node.type === 'fifo' || (major === node.device?.major && minor === node.device.minor)
  }
}

const LOCKS = FILE_FLAGS.IMMUTABLE | FILE_FLAGS.APPEND
