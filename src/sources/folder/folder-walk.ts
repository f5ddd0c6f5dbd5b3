import { errnoOf } from '../../base/errors.ts'
import { handlePath, openDirectory, openDirectoryBelow, pathIn } from '../../platform/directory-handle.ts'
import { type FileSystemKind, fileSystemKind } from '../../platform/file-systems.ts'
import { FILE_TYPE_CODES } from '../../platform/file-type.ts'
import { closeFile, describeSystemError, listDirectory, readLink } from '../../platform/files.ts'
import { EntryStat } from '../../platform/statx.ts'
import type { PatternDecision } from '../patterns.ts'
import { readSourceXattrs } from '../source-xattrs.ts'
import { type BatchFolder, BatchWriter, type EntryBatch, type NewEntry } from './entry-batch.ts'
import type { FolderRules, Selection } from './selection.ts'

/** Entries an array of the walk has at most: enough to make waiting cheap, few enough to keep the main thread responsive. */
const BATCH_ENTRIES = 512
/** After this time the entries found so far are passed on: where each takes a round trip, other threads shall soon have their share. */
const BATCH_MS = 20
/** Directories kept open at most, the innermost ones; to those above the walk goes back by `..`. */
const MAX_OPEN = 128

/** What a walk starts from: a path of the system, and the one it has in the snapshot (empty: its content lies at the top). */
export interface WalkRoot {
  readonly systemPath: string
  readonly path: string
}

/** A directory and the names in it that are still to be visited: what one walk can leave to another. */
export interface WalkPart {
  readonly folder: BatchFolder
  readonly names: readonly string[]
  /** Path of the root: no symlink below it is followed. */
  readonly rootPath: string
  readonly rootFileSystem: number
  readonly fileSystem: number
  readonly kind: FileSystemKind
  readonly rules: FolderRules
}

interface Place {
  readonly name: string
  readonly path: string
  readonly systemPath: string
  /** Where it can be looked at: its path, or a way that nobody can lead elsewhere. */
  readonly at: string
}

interface Frame extends WalkPart {
  /** -1 while too many directories below are open. */
  fd: number
  /** Known once `fd` was closed. */
  inode: bigint
  names: readonly string[]
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
  readonly #batch: BatchWriter
  #root: WalkRoot | undefined

  constructor(start: WalkRoot | WalkPart, selection: Selection, batchEntries = BATCH_ENTRIES) {
    this.#selection = selection
    this.#batch = new BatchWriter(batchEntries)
    if ('systemPath' in start) this.#root = start
    else this.#resume(start)
  }

  /** The next entries, perhaps none; `done` when there are no more. */
  next(): { readonly batch: EntryBatch; readonly done: boolean } {
    const root = this.#root
    this.#root = undefined
    if (root) this.#visitRoot(root)
    const until = performance.now() + BATCH_MS
    while (!this.#batch.full && performance.now() < until) {
      const frame = this.#stack.at(-1)
      if (!frame) break
      const name = frame.names[frame.next++]
      if (name === undefined) this.#leave()
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
      // Even a single name, for all that is left in the directories below comes before it.
      if (left === keep) continue
      const names = frame.names.slice(frame.next + keep)
      frame.names = frame.names.slice(0, frame.next + keep)
      const { folder, rootPath, rootFileSystem, fileSystem, kind, rules } = frame
      return { folder, names, rootPath, rootFileSystem, fileSystem, kind, rules }
    }
    return undefined
  }

  /** Gives back what is open, wherever the walk is. */
  close(): void {
    for (const { fd } of this.#stack.splice(0)) if (fd >= 0) closeFile(fd)
  }

  #visitRoot({ systemPath, path }: WalkRoot): void {
    try {
      const decision = this.#selection.decide(path) // roots too, as in Borg
      if (!decision.included && !decision.recurse) return this.#exclude(path)
      this.#stat.readPath(systemPath)
      const fileSystem = this.#stat.fileSystem
      const part = {
        names: [],
        rootPath: systemPath,
        rootFileSystem: fileSystem,
        fileSystem,
        kind: fileSystemKind(systemPath),
        rules: this.#selection.noRules,
      }
      if (path === '') return this.#open({ ...part, folder: { systemPath, path, depth: 1 } }, systemPath, undefined)
      const parts = path.split('/')
      const folder = {
        systemPath: systemPath.slice(0, systemPath.lastIndexOf('/')) || '/',
        path: parts.slice(0, -1).join('/'),
        depth: parts.length,
      }
      const name = parts.at(-1) as string
      this.#take({ ...part, folder }, { name, path, systemPath, at: systemPath }, decision)
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
      this.#stat.readAt(frame.fd, name, systemPath)
      this.#take(frame, { name, path, systemPath, at: pathIn(frame.fd, name, systemPath) }, decision)
    } catch (error) {
      // Gone between listing and looking: nothing is missing that could have been saved.
      if (errnoOf(error) !== 'ENOENT') this.#report(path, systemPath, error)
    }
  }

  /** Adds the entry that was just looked at, and goes into it if it is a directory. */
  #take(part: WalkPart, { name, path, systemPath, at }: Place, { included, recurse }: PatternDecision): void {
    const stat = this.#stat
    const type = stat.typeCode
    const isDirectory = type === FILE_TYPE_CODES.dir
    const wanted = included
      ? this.#selection.decideFound(part.rules, path, { isDirectory, sizeBytes: stat.sizeBytes, flags: stat.flags })
      : 'below'
    if (wanted === 'none' || (wanted === 'below' && !(isDirectory && recurse))) return this.#exclude(path)
    const { folder, kind, rootFileSystem } = part
    const entry: NewEntry = { stat, name, folder, kind, tentative: wanted === 'below', extras: undefined }
    if (isDirectory) {
      const { fileSystem } = stat
      // Not even opened: it may be on a file server that does not answer.
      if (this.#selection.oneFileSystem && fileSystem !== rootFileSystem) return this.#batch.add(entry)
      const inside = { ...part, folder: { systemPath, path, depth: folder.depth + 1 }, fileSystem }
      if (fileSystem !== part.fileSystem) inside.kind = fileSystemKind(systemPath)
      this.#open(inside, at, entry)
    } else if (type === FILE_TYPE_CODES.symlink) {
      this.#batch.add({ ...entry, extras: { linkTarget: readLink(at) } })
    } else if (type === FILE_TYPE_CODES.chardev || type === FILE_TYPE_CODES.blockdev) {
      this.#batch.add({ ...entry, extras: { device: { major: stat.deviceMajor, minor: stat.deviceMinor } } })
    } else if (type === FILE_TYPE_CODES.file || type === FILE_TYPE_CODES.fifo) {
      this.#batch.add(entry)
    } else {
      const what = type === FILE_TYPE_CODES.socket ? 'sockets' : 'files of this type'
      this.#batch.issue({ path, systemPath, message: `${what} cannot be backed up; it is left out`, code: 'SKIPPED' })
    }
  }

  /** Opens the directory that can be found `at` a path, adds its entry, if it has one, and makes its names the next to be visited. */
  #open(part: Omit<WalkPart, 'names'>, at: string, entry: NewEntry | undefined): void {
    const { systemPath, path } = part.folder
    let fd = -1
    try {
      fd = openDirectory(at)
      const handle = handlePath(fd, systemPath)
      const names = listDirectory(handle)
      const { rules, tagged } = this.#selection.enter(part.rules, path, names, handle)
      if (tagged && tagged.keep.length === 0) {
        this.#exclude(path)
        return
      }
      if (entry) this.#batch.add({ ...entry, extras: this.#xattrs(fd, path, systemPath) })
      this.#push({ ...part, rules, names: tagged ? tagged.keep : names, next: 0, fd, inode: 0n })
      fd = -1
    } catch (error) {
      if (entry && errnoOf(error) === 'ENOENT') return // gone, like a file that is gone
      if (entry) this.#batch.add(entry)
      this.#report(path, systemPath, error)
    } finally {
      if (fd >= 0) closeFile(fd)
    }
  }

  #xattrs(fd: number, path: string, systemPath: string): NewEntry['extras'] {
    try {
      const xattrs = readSourceXattrs(fd)
      return xattrs && { xattrs }
    } catch (error) {
      this.#report(path, systemPath, error, 'its extended attributes cannot be read: ')
      return undefined
    }
  }

  #resume(part: WalkPart): void {
    const { systemPath, path } = part.folder
    try {
      const fd = openDirectoryBelow(part.rootPath, systemPath)
      this.#stack.push({ ...part, next: 0, fd, inode: 0n })
    } catch (error) {
      this.#report(path, systemPath, error)
    }
  }

  #push(frame: Frame): void {
    this.#stack.push(frame)
    const outer = this.#stack.at(-1 - MAX_OPEN)
    if (!outer || outer.fd < 0) return
    this.#stat.readOpen(outer.fd)
    outer.inode = this.#stat.inode
    closeFile(outer.fd)
    outer.fd = -1
  }

  /** Goes back to the directory above, which may have to be opened again: it must be the one it was. */
  #leave(): void {
    const { fd } = this.#stack.pop() as Frame
    const above = this.#stack.at(-1)
    if (above && above.fd < 0) this.#reopen(above, fd)
    if (fd >= 0) closeFile(fd)
  }

  #reopen(frame: Frame, below: number): void {
    const { systemPath, path } = frame.folder
    let fd = -1
    try {
      fd = below < 0 ? openDirectoryBelow(frame.rootPath, systemPath) : openDirectory(pathIn(below, '..', systemPath))
      this.#stat.readOpen(fd)
      if (this.#stat.inode !== frame.inode || this.#stat.fileSystem !== frame.fileSystem) throw movedAway()
      frame.fd = fd
    } catch (error) {
      if (fd >= 0) closeFile(fd)
      this.#report(path, systemPath, error)
      frame.names = []
    }
  }

  #exclude(path: string): void {
    if (this.#selection.listExcluded) this.#batch.exclude(path)
  }

  #report(path: string, systemPath: string, error: unknown, what = ''): void {
    const message = what + describeSystemError(error)
    this.#batch.issue({ path, systemPath, message, code: errnoOf(error) ?? 'INTERNAL' })
  }
}

function movedAway(): Error {
  return Object.assign(new Error('it was moved while it was read; what was still to come of it is missing'), {
    code: 'ESTALE',
  })
}

function join(folder: string, name: string): string {
  return folder.endsWith('/') ? folder + name : `${folder}/${name}`
}
