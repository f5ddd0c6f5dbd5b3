import { CairnError } from '../base/errors.ts'
import { toPrintable } from '../base/raw-name.ts'
import { groupId, userId } from '../platform/owners.ts'
import { decodeHoles, decodeXattrs, type NodeXattr, readAttachment } from '../snapshot/attachment.ts'
import { type ChunkRef, readContent, readInlineContent } from '../snapshot/content.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import type { RestoreContext } from './context.ts'
import { type HoleTable, holeBytes, toHoleTable } from '../snapshot/hole-table.ts'
import type { Metadata } from './metadata.ts'

/** Reads what nodes say of the entry, as far as it has to be looked up or lies in chunks of its own. */

/** More holes than any file needs; what claims more would only use memory. */
const MAX_HOLES_BYTES = 8 << 20

/** What is to be set. Damaged attributes cost themselves, and not the content. */
export async function metadataOf(
  context: RestoreContext,
  node: TreeNode,
  path: string,
  clean: boolean,
): Promise<Metadata> {
  let xattrs: readonly NodeXattr[] | undefined
  try {
    if (node.xattrs) {
      context.firstNative ??= path
      xattrs = await xattrsOf(context, node.xattrs, path)
    }
  } catch (error) {
    context.failed(path, error)
  }
  return toMetadata(context, node, xattrs, clean)
}

/** Without waiting: `undefined` for a node whose attributes lie in chunks. Hot path. */
export function plainMetadata(
  context: RestoreContext,
  node: TreeNode,
  path: string,
  clean: boolean,
): Metadata | undefined {
  if (node.flags || (node.type !== 'file' && node.type !== 'symlink')) context.firstNative ??= path
  return node.xattrs ? undefined : toMetadata(context, node, undefined, clean)
}

function toMetadata(
  { settings }: RestoreContext,
  node: TreeNode,
  xattrs: readonly NodeXattr[] | undefined,
  clean: boolean,
): Metadata {
  const { user, group } = node
  const named = !settings.numericIds
  const metadata: Metadata = {
    mode: node.type === 'symlink' ? undefined : node.mode % 0o10000,
    uid: (named && user !== '' ? userId(user) : undefined) ?? node.uid,
    gid: (named && group !== '' ? groupId(group) : undefined) ?? node.gid,
    mtimeNs: node.mtimeNs,
  }
  const { atimeNs, flags } = node
  if (atimeNs === undefined && !flags && !xattrs && !clean) return metadata
  return { ...metadata, atimeNs, flags, xattrs, clean }
}

async function xattrsOf({ load, settings }: RestoreContext, field: Uint8Array, path: string): Promise<NodeXattr[]> {
  if (!settings.xattrs && !settings.acls) return []
  const what = `the attributes of ${toPrintable(path)}`
  return decodeXattrs(await readAttachment(field, load, what), what)
}

/** Where chunks are read from. */
export type ContentSource = Pick<RestoreContext, 'load'>

/** @throws {CairnError} `DATA_CORRUPT` */
export async function holesOf({ load }: ContentSource, node: TreeNode, path: string): Promise<HoleTable | undefined> {
  if (!node.holes) return undefined
  const what = `the holes of ${toPrintable(path)}`
  const holes = decodeHoles(await readAttachment(node.holes, load, what, MAX_HOLES_BYTES), node.sizeBytes, what)
  return holes.length > 0 ? toHoleTable(holes) : undefined
}

/** The chunks of content that needs no list chunks, without waiting; `undefined` when it has some. @throws {CairnError} `DATA_CORRUPT` */
export function inlineRefs(
  node: TreeNode,
  holes: HoleTable | undefined,
  path: string,
): readonly ChunkRef[] | undefined {
  const refs = node.content ? readInlineContent(node.content, contentOf(path)) : []
  if (!refs) return undefined
  const meter = new ContentMeter(node, holes)
  for (const ref of refs) meter.count(ref)
  meter.end()
  return refs
}

/**
 * The chunks of any content, in order, as they are read. Ends as soon as they claim more than the file has, so that lists of lists
 * without end come to one.
 *
 * @throws {CairnError} `DATA_CORRUPT`
 */
export async function* eachRef(
  { load }: ContentSource,
  node: TreeNode,
  holes: HoleTable | undefined,
  path: string,
): AsyncGenerator<ChunkRef> {
  const meter = new ContentMeter(node, holes)
  if (node.content) {
    for await (const ref of readContent(node.content, load, contentOf(path))) {
      meter.count(ref)
      yield ref
    }
  }
  meter.end()
}

function contentOf(path: string): string {
  return `the content of ${toPrintable(path)}`
}

/** Compares what chunks claim with what the node says. */
class ContentMeter {
  readonly #node: TreeNode
  readonly #wanted: number
  #bytes = 0

  constructor(node: TreeNode, holes: HoleTable | undefined) {
    this.#node = node
    this.#wanted = node.sizeBytes - holeBytes(holes)
  }

  count({ bytes }: ChunkRef): void {
    this.#bytes += bytes
    if (bytes === 0) throw this.#damaged('an empty chunk')
    if (this.#bytes > this.#wanted) throw this.#damaged(`more than ${this.#wanted} bytes`)
  }

  end(): void {
    if (this.#bytes !== this.#wanted) throw this.#damaged(`${this.#bytes} bytes`)
  }

  #damaged(found: string): CairnError {
    return new CairnError(
      'DATA_CORRUPT',
      `its content has ${found}, its node says ${this.#wanted} of ${this.#node.sizeBytes}`,
    )
  }
}
