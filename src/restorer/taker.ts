import { errnoOf } from '../base/errors.ts'
import { type FileStat, findFile, listDirectory, removeDirectory } from '../platform/files.ts'
import { systemError } from '../platform/system-error.ts'
import type { ChunkId } from '../base/ids.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import type { TreeEntry } from '../snapshot/tree-walk.ts'
import { decide } from './conflict.ts'
import type { RestoreAction, RestoreContext } from './context.ts'
import type { Crew } from './crew.ts'
import { Files } from './files.ts'
import type { RestoredFile } from './restored-file.ts'
import { type Folder, Folders, placeIn } from './folders.ts'
import { HardLinks, type LinkTarget } from './hard-links.ts'
import type { Metadata } from './metadata.ts'
import { holesOf, metadataOf, plainMetadata } from './nodes.ts'
import type { Placement } from './protocol.ts'
import { removeTree } from './remove-tree.ts'
import { SpecialEntries } from './special-entries.ts'

/** Where an entry that is no directory goes, and how. */
interface Task {
  readonly path: string
  readonly node: TreeNode
  readonly folder: Folder
  readonly placement: Placement
  readonly action: RestoreAction
  /** What is in its place. */
  readonly found: FileStat | undefined
}

interface TakerOptions {
  readonly tree: ChunkId
  readonly root: TreeNode | undefined
  readonly paths: readonly string[]
}

/** Takes the entries of a walk one by one: decides what becomes of each, and has it done. */
export class Taker {
  readonly #context: RestoreContext
  readonly #folders: Folders
  readonly #files: Files
  readonly #links: HardLinks
  readonly #special: SpecialEntries | undefined
  /** Directories that the walk is in. Those that are stripped away stand for the target. */
  readonly #stack: { readonly path: string; readonly folder: Folder; readonly isOwn: boolean }[] = []
  /** Further names whose first was not restored after all. */
  #alone: Task[] = []
  readonly #options: TakerOptions

  constructor(options: TakerOptions, context: RestoreContext, crew: Crew) {
    this.#options = options
    this.#context = context
    this.#folders = new Folders(context)
    this.#files = new Files(context, this.#folders, crew, (file, isRestored) => this.#fileDone(file, isRestored))
    this.#links = new HardLinks(context, options)
    this.#special = context.folders && new SpecialEntries(context, this.#folders, context.folders)
  }

  /** Comes before the first entry: what there is to know of the target itself. */
  async begin(): Promise<void> {
    const { conflict, stripComponents } = this.#context.settings
    const isWhole = this.#options.paths.length === 0 && stripComponents === 0
    const root = isWhole ? this.#options.root : undefined
    const mirrored = conflict === 'mirror' && root !== undefined
    const metadata = root && (await metadataOf(this.#context, root, '', false))
    const folder = this.#folders.begin({ parent: undefined, path: '', place: '', node: undefined, metadata, mirrored })
    this.#stack.push({ path: '', folder, isOwn: true })
    this.#folders.prepare(folder)
  }

  get differing(): readonly string[] {
    return this.#files.differing
  }

  async take(entry: TreeEntry): Promise<void> {
    const { path, node } = entry
    this.#leaveTo(path.slice(0, Math.max(0, path.lastIndexOf('/'))))
    const { folder } = this.#stack.at(-1) as { folder: Folder }
    const place = this.#placeOf(path)
    if (node.type === 'dir') return this.#takeFolder(entry, folder, place)
    if (place === undefined) return
    try {
      const task = this.#folders.prepare(folder) ? this.#decide(path, node, folder) : undefined
      if (!task) this.#links.missing(path)
      else if (node.hardLink === undefined) await this.#restore(task)
      else await this.#restoreLink(task, node.hardLink)
    } catch (error) {
      this.#failed(path, error)
    }
  }

  async #takeFolder(entry: TreeEntry, parent: Folder, place: string | undefined): Promise<void> {
    const { path, node, included, whole } = entry
    if (place === undefined) return void this.#stack.push({ path, folder: parent, isOwn: false })
    const mirrored = this.#context.settings.conflict === 'mirror' && whole && included && !node.ancestor
    const metadata = node.ancestor ? undefined : await this.#metadataOf(node, path, false)
    const folder = this.#folders.begin({ parent, path, place, node, metadata, mirrored })
    this.#stack.push({ path, folder, isOwn: true })
    if (included && !this.#folders.prepare(folder)) entry.skip()
  }

  /** A directory whose tree cannot be read (to its end): what it has too much is not known. */
  unreadable(path: string, error: unknown): void {
    const folder = this.#stack.find((level) => level.path === path)?.folder
    if (folder) folder.extra = undefined
    this.#context.failed(path, error)
  }

  #leaveTo(path: string): void {
    for (let top = this.#stack.at(-1); top && top.path !== path; top = this.#stack.at(-1)) {
      this.#stack.pop()
      if (top.isOwn) this.#folders.release(top.folder)
    }
  }

  #placeOf(path: string): string | undefined {
    const { stripComponents } = this.#context.settings
    let start = 0
    for (let i = 0; i < stripComponents; i++) {
      start = path.indexOf('/', start) + 1
      if (start === 0) return undefined
    }
    return path.slice(start)
  }

  /** What is to be done with an entry; `undefined` when nothing is, which then has been told. */
  #decide(path: string, node: TreeNode, folder: Folder): Task | undefined {
    const { folders, settings, mayCollide } = this.#context
    const { conflict } = settings
    folder.extra?.delete(node.name)
    const isThere = folder.state === 'found' && folder.names.has(node.name)
    const at = isThere ? `${folders?.enter(folder.place)}/${node.name}` : ''
    const found = isThere ? findFile(at) : undefined
    const decision = decide(conflict, node, found)
    if (decision === 'refuse') throw systemError('EEXIST', 'open', at)
    if (decision === 'keep') {
      this.#context.done(path, node, 'kept')
      return undefined
    }
    if (found?.type === 'dir') this.#clear(folder, node.name, path)
    const overwrites = decision === 'replace' || conflict === 'overwrite' || conflict === 'mirror'
    const placement = overwrites || (folder.state === 'made' && !mayCollide) ? 'replace' : 'exclusive'
    return { path, node, folder, placement, action: found ? 'updated' : 'restored', found }
  }

  /** Removes a directory that is in the way: an empty one, or by `mirror` any. Throws the system error when it stays. */
  #clear(folder: Folder, name: string, path: string): void {
    const { folders, settings } = this.#context
    if (!folders) return
    const { conflict, dryRun } = settings
    const isGone =
      conflict === 'mirror'
        ? removeTree(folders, folder.place, name, path, this.#folders.removal(dryRun))
        : dryRun && listDirectory(`${folders.enter(placeIn(folder, name))}/.`).length === 0
    if (conflict !== 'mirror' && !dryRun) removeDirectory(`${folders.enter(folder.place)}/${name}`)
    else if (!isGone) throw systemError('ENOTEMPTY', 'rmdir', placeIn(folder, name))
  }

  async #restore(task: Task): Promise<void> {
    const { node, path, folder, found } = task
    const clean = folder.bequeaths || found !== undefined
    const metadata = await this.#metadataOf(node, path, clean)
    if (node.type !== 'file') return this.#makeSpecial(task, metadata)
    const holes = node.holes ? await holesOf(this.#context, node, path) : undefined
    const { placement, action } = task
    const file: RestoredFile = {
      path,
      node,
      folder,
      metadata,
      holes,
      placement,
      action,
      jobsLeft: 0,
      plan: 0,
      failed: false,
      shared: undefined,
      checks: 0,
      isDone: false,
      waiting: undefined,
    }
    folder.pending++
    this.#links.begun(file)
    const mayBeRight = found?.type === 'file' && found.sizeBytes === node.sizeBytes && found.linkCount === 1
    await this.#files.add(file, mayBeRight)
  }

  #metadataOf(node: TreeNode, path: string, clean: boolean): Metadata | Promise<Metadata> {
    return plainMetadata(this.#context, node, path, clean) ?? metadataOf(this.#context, node, path, clean)
  }

  #makeSpecial(task: Task, metadata: Metadata): void {
    const { folder, node, path, placement, action, found } = task
    const special = this.#special
    if (found && special?.isSame(folder, node, metadata, found)) return this.#done(task, 'unchanged')
    if (this.#context.settings.dryRun || special?.make(folder, node, path, metadata, placement))
      return this.#done(task, action)
    this.#links.missing(path)
  }

  /** Restores a further name of a file: as a link if there is what it says, by itself otherwise. */
  async #restoreLink(task: Task, first: string): Promise<void> {
    const target = await this.#links.find(first, task.path, task.node)
    if (!target) {
      this.#links.restoredAlone(first, task.path, placeOf(task))
      await this.#restore(task)
    } else if ('file' in target) {
      task.folder.pending++
      ;(target.file.waiting ??= []).push((isRestored) => {
        if (!isRestored || !this.#link(task, placeOf(target.file))) this.#alone.push(task)
        else this.#folders.release(task.folder)
      })
    } else if (!this.#link(task, target)) await this.#restore(task)
  }

  /** Whether the entry is linked, or failed for a reason that restoring it by itself would not avoid. */
  #link(task: Task, target: LinkTarget): boolean {
    const { path, folder, node, placement, action } = task
    try {
      if (!this.#context.settings.dryRun && !this.#special?.link(target, folder, node, placement)) return false
      this.#done(task, action)
    } catch (error) {
      if (CANNOT_LINK.has(errnoOf(error) ?? '')) {
        this.#context.losses.add('link', error, () => path)
        return false
      }
      this.#failed(path, error)
    }
    return true
  }

  #fileDone(file: RestoredFile, isRestored: boolean): void {
    if (!isRestored) this.#links.missing(file.path)
    for (const tell of file.waiting ?? []) tell(isRestored)
  }

  #done({ path, node }: Task, action: RestoreAction): void {
    this.#context.done(path, node, action)
  }

  #failed(path: string, error: unknown): void {
    this.#links.missing(path)
    this.#context.failed(path, error)
  }

  async flushIfFull(): Promise<void> {
    if (this.#files.isFull) await this.#flush()
  }

  async #flush(): Promise<void> {
    await this.#files.flush()
    this.#links.windowDone()
    while (this.#alone.length > 0) {
      const tasks = this.#alone
      this.#alone = []
      for (const task of tasks) {
        try {
          await this.#restoreLink(task, task.node.hardLink ?? '')
        } catch (error) {
          this.#failed(task.path, error)
        }
        this.#folders.release(task.folder)
      }
      await this.#files.flush()
      this.#links.windowDone()
    }
  }

  /** Comes after the last entry. */
  async finish(): Promise<void> {
    while (this.#stack.length > 1) this.#leaveTo(this.#stack.at(-2)?.path ?? '')
    await this.#flush()
    this.#folders.release((this.#stack.pop() as { folder: Folder }).folder)
  }

  /** After an error that ended the run: leaves nothing temporary behind. */
  tidy(): void {
    this.#files.tidy()
    this.#folders.tidy()
  }

  close(): void {
    this.#special?.close()
  }
}

function placeOf({ folder, node }: Pick<Task, 'folder' | 'node'>): LinkTarget {
  return { folder: folder.place, name: node.name }
}

/** A file system without hard links, one that has no room for more of them on a file, or one that ends between the two. */
const CANNOT_LINK = new Set(['EPERM', 'EMLINK', 'EXDEV', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])
