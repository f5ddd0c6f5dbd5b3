import { errnoOf } from '../base/errors.ts'
import { describeSystemError } from '../platform/files.ts'
import type { Hole } from '../base/hole.ts'
import { isAcl } from '../platform/xattrs.ts'
import { encodeAttachment, encodeHoles, encodeXattrs } from '../snapshot/attachment.ts'
import { type SaveChunk, encodeContent } from '../snapshot/content.ts'
import { type TreeNode, sameBytes } from '../snapshot/tree-node.ts'
import type { SourceEntry, SourceIssue, SourceXattr } from '../sources/source.ts'
import { readSourceXattrs } from '../sources/source-xattrs.ts'
import { CHANGED } from './protocol.ts'
import type { ReadFile } from './dispatcher.ts'

/** What is kept besides content, owner, mode and mtime. */
export interface KeptAttributes {
  readonly xattrs: boolean
  /** POSIX ACLs, which are extended attributes of their own kind. */
  readonly acls: boolean
  readonly flags: boolean
}

/** Makes nodes of entries. */
export class NodeBuilder {
  readonly #keep: KeptAttributes
  readonly #save: SaveChunk
  readonly #onIssue: (issue: SourceIssue) => void

  constructor(keep: KeptAttributes, save: SaveChunk, onIssue: (issue: SourceIssue) => void) {
    this.#keep = keep
    this.#save = save
    this.#onIssue = onIssue
  }

  /** Of a directory, or of an entry whose further attributes are known. */
  node(entry: SourceEntry, xattrs = entry.xattrs): TreeNode {
    const { name, type, mode, uid, gid, user, group, sizeBytes, mtimeNs, atimeNs, linkTarget, device, link, ancestor } =
      entry
    const node: Mutable<TreeNode> = { name, type, mode, uid, gid, user, group, sizeBytes, mtimeNs }
    if (linkTarget !== undefined) node.linkTarget = linkTarget
    if (ancestor) node.ancestor = ancestor
    if (link && !link.isFirst) node.hardLink = link.first
    if (device) node.device = device
    if (entry.flags !== 0 && this.#keep.flags) node.flags = entry.flags
    if (atimeNs !== undefined) node.atimeNs = atimeNs
    const kept = xattrs && this.#keptXattrs(xattrs)
    if (kept && kept.length > 0) node.xattrs = encodeAttachment(encodeXattrs(kept), this.#save)
    return node
  }

  /** Of an entry that is neither file nor directory, looking at its attributes; `onIncomplete` hears when they cannot be read. */
  special(entry: SourceEntry, onIncomplete: () => void): TreeNode {
    return this.node(entry, this.#readXattrs(entry, onIncomplete))
  }

  /** Of a file that was read. `sameContent`: it is that of `old`. */
  file(entry: SourceEntry, read: ReadFile, old: TreeNode | undefined): { node: TreeNode; sameContent: boolean } {
    const { refs, xattrs, mtimeNs, changed } = read
    const dataBytes = refs.reduce((sum, { bytes }) => sum + bytes, 0)
    const holes = holesWithin(read.holes, dataBytes)
    const node: Mutable<TreeNode> = this.node(entry, xattrs)
    if (refs.length > 0) node.content = encodeContent(refs, this.#save)
    if (holes.length > 0) node.holes = encodeAttachment(encodeHoles(holes), this.#save)
    node.sizeBytes = holes.reduce((sum, { length }) => sum + length, dataBytes)
    if (mtimeNs !== undefined) node.mtimeNs = mtimeNs
    if (changed === CHANGED.meanwhile) node.changed = true
    const sameContent =
      old?.type === 'file' &&
      !node.changed &&
      !old.changed &&
      sameBytes(node.content, old.content) &&
      sameBytes(node.holes, old.holes)
    return { node, sameContent }
  }

  /**
   * Of an unchanged entry: the parent's node itself, unless something beside the content differs.
   *
   * @param sameAttributes whether everything that is not in the entry is known to be the same
   * @param onIncomplete of `special`
   */
  takeOver(entry: SourceEntry, old: TreeNode, sameAttributes: boolean, onIncomplete: () => void): TreeNode {
    if (sameAttributes && isSame(entry, old) && this.#keepsAll) return old
    const isKnown = sameAttributes && (old.xattrs === undefined || this.#keepsAll)
    if (!isKnown) return { ...this.special(entry, onIncomplete), ...contentOf(old) }
    return { ...this.node(entry, undefined), ...(old.xattrs && { xattrs: old.xattrs }), ...contentOf(old) }
  }

  /** The node `old`, of another name of the file or of an earlier time, for this entry. */
  renamed({ name, link }: SourceEntry, old: TreeNode): TreeNode {
    const { hardLink: _, ...node } = old
    return { ...node, name, ...(link && !link.isFirst && { hardLink: link.first }) }
  }

  get #keepsAll(): boolean {
    return this.#keep.xattrs && this.#keep.acls && this.#keep.flags
  }

  #readXattrs(entry: SourceEntry, onIncomplete: () => void): readonly SourceXattr[] | undefined {
    if (!this.#keep.xattrs && !this.#keep.acls) return undefined
    try {
      return readSourceXattrs(entry.systemPath)
    } catch (error) {
      const code = errnoOf(error)
      if (code === undefined) throw error
      const message = `its extended attributes cannot be read: ${describeSystemError(error)}`
      this.#onIssue({ path: entry.path, systemPath: entry.systemPath, message, code })
      onIncomplete()
      return undefined
    }
  }

  #keptXattrs(xattrs: readonly SourceXattr[]): readonly SourceXattr[] {
    const { xattrs: others, acls } = this.#keep
    return xattrs.filter(({ name }) => (isAcl(name) ? acls : others))
  }
}

/** Whether all that the walk knows of an entry stands in the node. */
function isSame(entry: SourceEntry, old: TreeNode): boolean {
  return (
    old.mode === entry.mode &&
    old.uid === entry.uid &&
    old.gid === entry.gid &&
    old.user === entry.user &&
    old.group === entry.group &&
    (old.flags ?? 0) === entry.flags &&
    old.atimeNs === entry.atimeNs &&
    old.hardLink === (entry.link && !entry.link.isFirst ? entry.link.first : undefined)
  )
}

/** Holes up to the end of what was read: a file that became shorter meanwhile no longer has the others. */
function holesWithin(holes: readonly Hole[], dataBytes: number): readonly Hole[] {
  let skipped = 0
  const end = holes.findIndex(({ offset, length }) => {
    if (offset - skipped > dataBytes) return true
    skipped += length
    return false
  })
  return end < 0 ? holes : holes.slice(0, end)
}

function contentOf({ content, holes }: TreeNode): Pick<TreeNode, 'content' | 'holes'> {
  return { ...(content && { content }), ...(holes && { holes }) }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
