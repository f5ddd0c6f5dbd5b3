import type { FuseAttributes } from './wire.ts'

/** What the kernel has a number for. */
export interface FuseNode {
  /** Tells the node from all others as long as the file system is mounted; above 1. That of the root does not matter. */
  readonly id: bigint
}

/** A node with what stat(2) tells of it. */
export interface FuseFound<Node> {
  readonly node: Node
  readonly attributes: FuseAttributes
}

/** A name in a listing. */
export interface FuseListed<Node> {
  readonly name: string
  readonly inode: bigint
  /** Type bits of the mode suffice. */
  readonly mode: number
  /** The position behind it. */
  readonly next: number
  /** What it names, if that can be said without waiting. */
  readonly found: () => FuseFound<Node> | undefined
}

/**
 * A file system that is only read, as `FuseSession` asks for it. Names and paths are raw-name text.
 *
 * What a method throws is told to the program that asked: a system error by its number, anything else as `EIO`.
 */
export interface FuseFileSystem<Node extends FuseNode, File, Folder> {
  readonly root: Node
  /** Whether nodes may have POSIX ACLs that the kernel is to apply. */
  readonly hasAcls: boolean
  /** For how many seconds what is told of a node counts, and of a folder, what names it has. */
  validS(node: Node): number
  /** @throws `ENOENT` when the folder has no such name */
  find(folder: Node, name: string): Promise<FuseFound<Node>>
  get(node: Node): Promise<FuseFound<Node>>
  readLink(node: Node): Promise<string>
  readXattrs(node: Node): Promise<readonly { readonly name: string; readonly value: Uint8Array }[]>
  /** Bits as of `FS_IOC_GETFLAGS`. */
  readFlags(node: Node): Promise<number>
  open(file: Node): Promise<File>
  /** Pieces that together have `length` bytes, fewer only at the end of the file; good for the turn in which it resolves. */
  read(file: File, offset: number, length: number): Promise<readonly Uint8Array[]>
  /** Where data or a hole begins at or behind `offset`, which lies in the file; the end of the file is a hole. */
  seek(file: File, offset: number, what: 'data' | 'hole'): number | undefined
  openFolder(folder: Node): Promise<Folder>
  /** Some names from a position on, 0 at first; none at the end. */
  list(folder: Folder, position: number): Promise<Iterable<FuseListed<Node>>>
}
