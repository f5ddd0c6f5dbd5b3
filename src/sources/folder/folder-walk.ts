import { errnoOf } from '../../base/errors.ts'
import { handlePath, openDirectory } from '../../platform/directory-handle.ts'
import { type FileSystemKind, fileSystemKind } from '../../platform/file-systems.ts'
import { closeFile, describeSystemError, listDirectory, readLink } from '../../platform/files.ts'
import { EntryStat } from '../../platform/statx.ts'
import { readSourceXattrs } from '../source-xattrs.ts'
import { type BatchFolder, BatchWriter, type EntryBatch, type NewEntry } from './entry-batch.ts'
import type { FolderRules, Selection } from './selection.ts'

/** Entries an array of the walk has at most: enough to make waiting cheap, few enough to keep the main thread responsive. */
const BATCH_ENTRIES = 512
/** Directories kept open at most; deeper ones are gone back to by their paths. */
const MAX_OPEN = 128

const DIRECTORY = 4
const SYMLINK = 10
const SOCKET = 12

/** What a walk starts from: a path of the system, and the one it has in the snapshot (empty: its content lies at the top). */
export interface WalkRoot {
  readonly systemPath: string
  readonly path: string
}

/** A directory and the names in it that are still to be visited: what one walk can leave to another. */
export interface WalkPart {
  readonly folder: BatchFolder
  readonly names: readonly string[]
  readonly fileSystem: number
  readonly rootFileSystem: number
  readonly kind: FileSystemKind
  readonly rules: FolderRules
  readonly tentative: boolean
}

interface Frame extends WalkPart {
  readonly fd: number
  names: string[]
  next: number
}

/**
 * Walks one root, or a part of one, depth first and without recursion, so that neither depth nor width costs more than the open
 * directories. Looks at files by their open directory, so what is swapped for a symlink meanwhile is not followed.
 */
export class FolderWalk {
  readonly #stack: Frame[] = []
  readonly #selection: Selection
  readonly #stat = new EntryStat()
  readonly #batch = new BatchWriter(BATCH_ENTRIES)
  #root: WalkRoot | undefined

  constructor(start: WalkRoot | WalkPart, selection: Selection) {
    this.#selection = selection
    if ('systemPath' in start) this.#root = start
    else this.#resume(start)
  }

  /** The next entries; `done` when there are no more. */
  next(): { readonly batch: EntryBatch; readonly done: boolean } {
    const root = this.#root
    this.#root = undefined
    if (root) this.#visitRoot(root)
    while (!this.#batch.full) {
      const frame = this.#stack.at(-1)
      if (!frame) break
      const name = frame.names[frame.next++]
      if (name === undefined) this.#close()
      else this.#visit(frame, name)
    }
    return { batch: this.#batch.take(), done: this.#stack.length === 0 }
  }

  /** Gives away what comes last of this walk, for another thread to go on with; `undefined` when there is too little left. */
  split(): WalkPart | undefined {
    for (const [i, frame] of this.#stack.entries()) {
      const left = frame.names.length - frame.next
      // What the innermost directory has left is halved; of any other, the directory below is this walk's share.
      const keep = i === this.#stack.length - 1 ? Math.ceil(left / 2) : 0
      if (left - keep < 2) continue
      const names = frame.names.slice(frame.next + keep)
      frame.names = frame.names.slice(0, frame.next + keep)
      const { folder, fileSystem, rootFileSystem, kind, rules, tentative } = frame
      return { folder, names, fileSystem, rootFileSystem, kind, rules, tentative }
    }
    return undefined
  }

  /** Gives back what is open, wherever the walk is. */
  close(): void {
    while (this.#stack.length > 0) this.#close()
  }

  #visitRoot({ systemPath, path }: WalkRoot): void {
    try {
      this.#stat.readPath(systemPath)
      const fileSystem = this.#stat.fileSystem
      const kind = fileSystemKind(systemPath)
      const rules = this.#selection.noRules
      if (path === '') {
        const folder = { systemPath, path, depth: 1 }
        this.#open({ folder, fileSystem, rootFileSystem: fileSystem, kind, rules, tentative: false }, undefined)
        return
      }
      const parts = path.split('/')
      const folder = {
        systemPath: systemPath.slice(0, systemPath.lastIndexOf('/')) || '/',
        path: parts.slice(0, -1).join('/'),
        depth: parts.length,
      }
      const name = parts.at(-1) as string
      const part = { folder, names: [], fileSystem, rootFileSystem: fileSystem, kind, rules, tentative: false }
      // Patterns are about what was named too: a shell may have done it for a person who wrote `*`.
      const decision = this.#selection.decide(path)
      if (decision.included || decision.recurse) this.#take(part, name, path, systemPath, decision)
      else this.#exclude(path)
    } catch (error) {
      this.#report(path, systemPath, error)
    }
  }

  #visit(frame: Frame, name: string): void {
    const { folder } = frame
    const path = folder.path === '' ? name : `${folder.path}/${name}`
    const systemPath = join(folder.systemPath, name)
    try {
      const decision = this.#selection.decide(path)
      if (!decision.included && !decision.recurse) return this.#exclude(path)
      if (frame.fd >= 0) this.#stat.readAt(frame.fd, name, systemPath)
      else this.#stat.readPath(systemPath)
      this.#take(frame, name, path, systemPath, decision)
    } catch (error) {
      // Gone between listing and looking: nothing is missing that could have been saved.
      if (errnoOf(error) !== 'ENOENT') this.#report(path, systemPath, error)
    }
  }

  /** Adds the entry that was just looked at, and goes into it if it is a directory. */
  #take(
    part: WalkPart,
    name: string,
    path: string,
    systemPath: string,
    { included, recurse }: { readonly included: boolean; readonly recurse: boolean },
  ): void {
    const stat = this.#stat
    const type = stat.typeCode
    const isDirectory = type === DIRECTORY
    const wanted = included
      ? this.#selection.decideFound(part.rules, path, { isDirectory, sizeBytes: stat.sizeBytes, flags: stat.flags })
      : 'below'
    if (wanted === 'none' || (wanted === 'below' && !(isDirectory && recurse))) return this.#exclude(path)
    if (type === SOCKET) {
      this.#batch.issue({ path, systemPath, message: 'sockets cannot be backed up; it is left out', code: 'SKIPPED' })
      return
    }
    const { folder, kind } = part
    const entry: NewEntry = { stat, name, folder, kind, tentative: wanted === 'below', extras: undefined }
    if (isDirectory) {
      const { fileSystem } = stat
      const inside = {
        ...part,
        folder: { systemPath, path, depth: folder.depth + 1 },
        fileSystem,
        tentative: entry.tentative,
      }
      if (fileSystem !== part.fileSystem) inside.kind = fileSystemKind(systemPath)
      this.#open(inside, entry)
    } else if (type === SYMLINK) {
      this.#batch.add({ ...entry, extras: { linkTarget: readLink(systemPath) } })
    } else if (type === 2 || type === 6) {
      this.#batch.add({ ...entry, extras: { device: { major: stat.deviceMajor, minor: stat.deviceMinor } } })
    } else {
      this.#batch.add(entry)
    }
  }

  /** Opens a directory, adds its entry, if it has one, and makes its names the next to be visited. */
  #open(part: Omit<WalkPart, 'names'>, entry: NewEntry | undefined): void {
    const { folder, rootFileSystem, fileSystem } = part
    const { systemPath, path } = folder
    let fd = -1
    try {
      const above = this.#stack.at(-1)
      const inAbove = entry && above && above.fd >= 0
      fd = openDirectory(inAbove ? join(handlePath(above.fd, above.folder.systemPath), entry.name) : systemPath)
      const xattrs = entry && readSourceXattrs(fd)
      const handle = handlePath(fd, systemPath)
      const names = listDirectory(handle)
      const { rules, tagged } = this.#selection.enter(part.rules, path, names, handle)
      if (tagged && tagged.keep.length === 0) {
        this.#exclude(path)
        return
      }
      if (entry) this.#batch.add({ ...entry, extras: xattrs && { xattrs } })
      if (this.#selection.oneFileSystem && fileSystem !== rootFileSystem) return
      const keepOpen = this.#stack.length < MAX_OPEN
      this.#stack.push({ ...part, rules, names: tagged ? [...tagged.keep] : names, next: 0, fd: keepOpen ? fd : -1 })
      if (keepOpen) fd = -1
    } catch (error) {
      if (entry) this.#batch.add(entry)
      this.#report(path, systemPath, error)
    } finally {
      if (fd >= 0) closeFile(fd)
    }
  }

  #resume(part: WalkPart): void {
    let fd = -1
    try {
      fd = openDirectory(part.folder.systemPath)
    } catch {
      // looking at its names by their paths reports what is wrong
    }
    this.#stack.push({ ...part, names: [...part.names], next: 0, fd })
  }

  #close(): void {
    const frame = this.#stack.pop()
    if (frame && frame.fd >= 0) closeFile(frame.fd)
  }

  #exclude(path: string): void {
    if (this.#selection.listExcluded) this.#batch.exclude(path)
  }

  #report(path: string, systemPath: string, error: unknown): void {
    this.#batch.issue({ path, systemPath, message: describeSystemError(error), code: errnoOf(error) ?? 'INTERNAL' })
  }
}

function join(folder: string, name: string): string {
  return folder.endsWith('/') ? folder + name : `${folder}/${name}`
}
