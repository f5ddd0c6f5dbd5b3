import { closeFile, createFile, statOpenFile, truncateFile } from '../platform/files.ts'
import type { RestoreContext } from './context.ts'
import { openShared } from './file-writer.ts'
import type { LossKind } from './losses.ts'
import { setFlags, setMetadata } from './metadata.ts'
import { discard, place } from './placing.ts'
import type { RestoredFile } from './restored-file.ts'

/** Files that several jobs write to: made before the first, finished or removed after the last. */
export class SharedFiles {
  readonly #context: RestoreContext
  readonly #files = new Set<RestoredFile>()

  constructor(context: RestoreContext) {
    this.#context = context
  }

  /** Makes a file under a temporary name; it is `failed` when that cannot be done. */
  make(file: RestoredFile): void {
    const { folders, tempNames } = this.#context
    try {
      const tempName = tempNames.next()
      const fd = createFile(`${folders?.enter(file.folder.place)}/${tempName}`, 0o600)
      try {
        const { inode, device } = statOpenFile(fd)
        file.shared = { tempName, inode, device }
        this.#files.add(file)
        truncateFile(fd, file.node.sizeBytes)
      } finally {
        closeFile(fd)
      }
    } catch (error) {
      file.failed = true
      this.#context.failed(file.path, error)
    }
  }

  /** Gives a file its name, or removes it when it has failed; nothing for one that is not shared. Throws the system error. */
  complete(file: RestoredFile): void {
    const { shared, metadata, placement, folder, node } = file
    if (!shared) return
    const { folders, rights, losses } = this.#context
    this.#files.delete(file)
    const here = folders?.enter(folder.place)
    const temp = `${here}/${shared.tempName}`
    if (file.failed) return discard(temp)
    const lose = (kind: LossKind, error: unknown): void => losses.add(kind, error, () => file.path)
    const fd = openShared(temp, shared)
    try {
      setMetadata(fd, metadata, rights, lose)
      place(temp, `${here}/${node.name}`, placement)
      setFlags(fd, metadata, rights, lose)
    } catch (error) {
      discard(temp)
      throw error
    } finally {
      closeFile(fd)
    }
  }

  /** Removes all that are not complete. */
  tidy(): void {
    const { folders } = this.#context
    for (const { folder, shared } of this.#files) {
      try {
        if (shared) discard(`${folders?.enter(folder.place)}/${shared.tempName}`)
      } catch {
        // its folder is gone
      }
    }
  }
}
