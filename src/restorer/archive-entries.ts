import { type AbortOptions, throwIfAborted } from '../base/abort.ts'
import { CairnError } from '../base/errors.ts'
import type { ChunkId } from '../base/ids.ts'
import { partsOfPath, toPrintable } from '../base/raw-name.ts'
import type { ArchiveEntry } from '../archives/archive-entry.ts'
import type { Repository } from '../repository/repository.ts'
import { decodeXattrs, readAttachment } from '../snapshot/attachment.ts'
import { toHoles } from '../snapshot/hole-table.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import { type Selected, walkTree } from '../snapshot/tree-walk.ts'
import { type ContentSource, holesOf } from './nodes.ts'
import { chunksOf, contentOf } from './stream-contents.ts'

export interface ArchiveEntriesOptions extends AbortOptions {
  readonly repository: Repository
  readonly tree: ChunkId
  /** The top itself, if it is to be an entry, `.`. */
  readonly root: TreeNode | undefined
  readonly paths: readonly string[]
  readonly select: ((path: string) => Selected) | undefined
  /** So many leading names of each path are left away, and entries that have no more. */
  readonly stripComponents: number
  /** Contents come without their holes; otherwise with zeros in their place. */
  readonly keepsHoles: boolean
  /** Further names of a file come as hard links; otherwise like the first. */
  readonly keepsHardLinks: boolean
}

/** An entry for an archive. */
export interface EntryToWrite {
  readonly entry: ArchiveEntry
  /** Of a file; to be read to its end before the next entry is asked for. */
  readonly content: AsyncIterable<Uint8Array> | undefined
  /** Path in the snapshot. */
  readonly path: string
  readonly isFile: boolean
  /** Further name of a file whose content has come already. */
  readonly isFurtherName: boolean
}

/**
 * What is selected of a tree, as entries of an archive, in the order of the snapshot. Directories of which nothing is known but what is
 * in them are left out; whoever reads the archive makes them.
 *
 * @throws {CairnError} `NOT_FOUND` when one of `paths` is not there; `INVALID_ARGUMENT` when `stripComponents` puts two entries in one
 *   place; `DATA_CORRUPT` at the first entry that is damaged, `CANCELLED`
 */
export async function* archiveEntries(options: ArchiveEntriesOptions): AsyncGenerator<EntryToWrite> {
  const { repository, tree, root, paths, select, stripComponents, signal } = options
  const source: ContentSource = { load: (id) => repository.readChunk(id, { signal }) }
  const links = new LinkNames(options)
  const places = stripComponents > 0 ? new Places() : undefined
  if (root) {
    const entry = await toEntry(source, root, '.', '.')
    yield { entry, content: undefined, path: '.', isFile: false, isFurtherName: false }
  }
  for await (const entries of walkTree(tree, paths, source.load, { select })) {
    for (const { node, path, included } of entries) {
      throwIfAborted(signal)
      if (!included || node.ancestor) continue
      const place = strip(path, stripComponents)
      if (place === '') continue
      places?.take(place, node.type === 'dir' ? `${path}/` : path)
      const firstName = links.of(node, place)
      const isFile = node.type === 'file'
      const known = { path, isFile, isFurtherName: firstName !== undefined }
      if (firstName !== undefined && options.keepsHardLinks) {
        const { xattrs: _xattrs, holes: _holes, ...plain } = node
        const entry = await toEntry(source, plain, path, place)
        const link = { ...entry, type: 'hardlink', linkTarget: firstName, sizeBytes: 0 } as const
        yield { ...known, entry: link, content: undefined }
      } else {
        const content = isFile ? contentFor(source, node, path, options.keepsHoles) : undefined
        yield { ...known, entry: await toEntry(source, node, path, place), content }
      }
    }
  }
}

async function* contentFor(
  source: ContentSource,
  node: TreeNode,
  path: string,
  keepsHoles: boolean,
): AsyncGenerator<Uint8Array> {
  if (keepsHoles) yield* chunksOf(source, node, await holesOf(source, node, path), path)
  else yield* contentOf(source, node, path)
}

async function toEntry(source: ContentSource, node: TreeNode, path: string, place: string): Promise<ArchiveEntry> {
  const { type, mode, uid, gid, user, group, sizeBytes, mtimeNs, atimeNs, linkTarget, device, flags } = node
  const what = `the attributes of ${toPrintable(path)}`
  const holes = await holesOf(source, node, path)
  return {
    path: place,
    type,
    mode: mode % 0o10000,
    uid,
    gid,
    user,
    group,
    sizeBytes: type === 'file' ? sizeBytes : 0,
    mtimeNs,
    atimeNs,
    linkTarget,
    device,
    flags,
    xattrs: node.xattrs && decodeXattrs(await readAttachment(node.xattrs, source.load, what), what),
    holes: holes && toHoles(holes),
  }
}

/** Where entries have come to: one would replace another there, and what is a link to that would have its content. */
class Places {
  readonly #taken = new Map<string, string>()

  /** @param path of a directory with a `/` behind it: directories may become one */
  take(place: string, path: string): void {
    const other = this.#taken.get(place)
    if (other === undefined) this.#taken.set(place, path)
    else if (!other.endsWith('/') || !path.endsWith('/'))
      throw new CairnError(
        'INVALID_ARGUMENT',
        `Cannot export ${toPrintable(path)}: without its first names it comes to where ${toPrintable(other)} is; export them one after the other`,
      )
  }
}

/** Finds what a further name of a file is a link to: its first name, or, where that is not selected, the first that is. */
class LinkNames {
  readonly #options: Pick<ArchiveEntriesOptions, 'paths' | 'select' | 'stripComponents'>
  readonly #others = new Map<string, string>()

  constructor(options: Pick<ArchiveEntriesOptions, 'paths' | 'select' | 'stripComponents'>) {
    this.#options = { ...options, paths: options.paths.map(normal) }
  }

  /** `undefined` for an entry that has its content itself. */
  of({ hardLink }: TreeNode, place: string): string | undefined {
    if (hardLink === undefined) return undefined
    const first = normal(hardLink)
    const firstPlace = strip(first, this.#options.stripComponents)
    if (firstPlace !== '' && isSelected(first, this.#options)) return firstPlace
    const known = this.#others.get(hardLink)
    if (known === undefined) this.#others.set(hardLink, place)
    return known
  }
}

/** Whether a walk with these options comes across an entry and takes it. */
function isSelected(path: string, { paths, select }: Pick<ArchiveEntriesOptions, 'paths' | 'select'>): boolean {
  if (paths.length > 0 && !paths.some((wanted) => path === wanted || path.startsWith(`${wanted}/`))) return false
  if (!select) return true
  if (!select(path).included) return false
  // Below what is left out as a whole, nothing is taken.
  for (let i = path.lastIndexOf('/'); i > 0; i = path.lastIndexOf('/', i - 1))
    if (!select(path.slice(0, i)).recurse) return false
  return true
}

/** A path as a walk gives it: decoded part by part. */
function normal(path: string): string {
  return partsOfPath(path).join('/')
}

function strip(path: string, components: number): string {
  return components === 0 ? path : path.split('/').slice(components).join('/')
}
