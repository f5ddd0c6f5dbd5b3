import { compareRawNames, partsOfPath } from '../base/raw-name.ts'
import type { ChunkId } from '../base/ids.ts'
import type { LoadChunk } from '../snapshot/content.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import { findNode, readTree } from '../snapshot/tree-reader.ts'
import type { RestoreContext } from './context.ts'
import type { RestoredFile } from './restored-file.ts'

/** An entry that further names of a file are linked to: its directory below the target, and its name in it. */
export interface LinkTarget {
  readonly folder: string
  readonly name: string
}

/** Paths that this run has not restored are remembered up to here; beyond, further names become files of their own. */
const MAX_REMEMBERED = 1_000_000

/**
 * Finds what a further name of a file is to be linked to. A node only names a path, and the target may have anything there: so it
 * has to be an entry of the snapshot, of the same type, that comes earlier in the walk and that this run has restored.
 */
export class HardLinks {
  readonly #context: RestoreContext
  readonly #tree: ChunkId
  readonly #paths: readonly string[]
  /** Files of this window; looked up by path only where there are links. */
  #window: RestoredFile[] = []
  #byPath: Map<string, RestoredFile> | undefined
  /** By first names that were not restored: the further one that was restored by itself, and its path. */
  readonly #instead = new Map<string, LinkTarget & { readonly path: string }>()
  /** Not restored: they failed, or something else is in their place. */
  readonly #missing = new Set<string>()
  /** The directory looked into last: what is asked for mostly lies together, and in order. */
  #looked: { readonly folder: string; readonly reader: FolderReader | undefined } | undefined

  constructor(context: RestoreContext, options: { readonly tree: ChunkId; readonly paths: readonly string[] }) {
    this.#context = context
    this.#tree = options.tree
    this.#paths = options.paths.map((path) => partsOfPath(path).join('/'))
  }

  /** A file is under way until it is done, at the latest with `windowDone`. */
  begun(file: RestoredFile): void {
    this.#window.push(file)
    this.#byPath?.set(file.path, file)
  }

  windowDone(): void {
    this.#window = []
    this.#byPath = undefined
  }

  /** An entry is not restored, or not as it should be. */
  missing(path: string): void {
    if (this.#missing.size < MAX_REMEMBERED) this.#missing.add(path)
  }

  /** `path`, a further name of `first`, is restored by itself or about to be: those to come are linked to it. */
  restoredAlone(first: string, path: string, target: LinkTarget): void {
    this.#instead.set(first, { ...target, path })
  }

  /** What to link `path` to, be it there or under way; `undefined` when it has to be restored by itself. */
  async find(first: string, path: string, node: TreeNode): Promise<LinkTarget | { file: RestoredFile } | undefined> {
    const parts = partsOfPath(first)
    const firstPath = parts.join('/')
    const instead = this.#instead.get(first)
    if (instead) {
      const file = this.#underWay(instead.path)
      if (file) return { file }
      return this.#missing.has(instead.path) ? undefined : instead
    }
    if (this.#missing.size >= MAX_REMEMBERED) {
      this.#context.losses.count('link', 'SKIPPED', 'more entries than can be remembered were left alone', () => path)
      return undefined
    }
    if (this.#missing.has(firstPath)) return undefined
    if (!comesBefore(parts, partsOfPath(path)) || !this.#isWanted(firstPath)) return undefined
    const pending = this.#underWay(firstPath)
    if (pending) return { file: pending }
    const found = await this.#look(parts)
    if (found?.type !== node.type || found.hardLink !== undefined) return undefined
    if (node.type === 'file' && found.sizeBytes !== node.sizeBytes) return undefined
    const place = parts.slice(this.#context.settings.stripComponents)
    const name = place.pop()
    return name === undefined ? undefined : { folder: place.join('/'), name }
  }

  #underWay(path: string): RestoredFile | undefined {
    this.#byPath ??= new Map(this.#window.map((file) => [file.path, file]))
    const file = this.#byPath.get(path)
    return file?.isDone ? undefined : file
  }

  #isWanted(path: string): boolean {
    const { select } = this.#context.settings
    if (this.#paths.length > 0 && !this.#paths.some((wanted) => isAtOrBelow(path, wanted))) return false
    if (!select) return true
    if (!select(path).included) return false
    // Below what is left out as a whole, nothing is taken.
    for (let i = path.lastIndexOf('/'); i > 0; i = path.lastIndexOf('/', i - 1))
      if (!select(path.slice(0, i)).recurse) return false
    return true
  }

  async #look(parts: readonly string[]): Promise<TreeNode | undefined> {
    const folders = parts.slice(0, -1)
    const folder = folders.join('/')
    if (this.#looked?.folder !== folder) {
      let tree: ChunkId | undefined = this.#tree
      for (const part of folders) tree = tree && (await findNode(tree, part, this.#context.load))?.tree
      this.#looked = { folder, reader: tree && new FolderReader(tree, this.#context.load) }
    }
    return this.#looked.reader?.find(parts.at(-1) ?? '')
  }
}

/** Finds nodes of one directory, quickly when they are asked for in order; keeps one chunk of the tree at a time. */
class FolderReader {
  readonly #tree: ChunkId
  readonly #load: LoadChunk
  #chunks: AsyncGenerator<TreeNode[]>
  #nodes = new Map<string, TreeNode>()
  #first: string | undefined
  #last: string | undefined

  constructor(tree: ChunkId, load: LoadChunk) {
    this.#tree = tree
    this.#load = load
    this.#chunks = readTree(tree, load)
  }

  async find(name: string): Promise<TreeNode | undefined> {
    if (this.#first !== undefined && compareRawNames(name, this.#first) < 0) {
      this.#chunks = readTree(this.#tree, this.#load)
      this.#last = undefined
    }
    while (this.#last === undefined || compareRawNames(name, this.#last) > 0) {
      const { value } = await this.#chunks.next()
      if (!value) return undefined
      this.#nodes = new Map((value as TreeNode[]).map((node) => [node.name, node]))
      this.#first = value.at(0)?.name
      this.#last = value.at(-1)?.name
    }
    return this.#nodes.get(name)
  }
}

function isAtOrBelow(path: string, above: string): boolean {
  return above === '' || path === above || path.startsWith(`${above}/`)
}

/** Whether a path comes before another one in the walk; one that is above the other is a directory. */
function comesBefore(a: readonly string[], b: readonly string[]): boolean {
  for (const [i, name] of a.entries()) {
    const order = compareRawNames(name, b[i] ?? '')
    if (order !== 0) return order < 0
  }
  return false
}
