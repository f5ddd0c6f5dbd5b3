/**
 * mount: what a repository holds as a file system that is only read. A `Folder` at the top is either one snapshot, or has all of
 * them in it (`snapshots-folder.ts`); everything below is read from trees when somebody looks (`snapshot-view.ts`,
 * `tree-entry.ts`), and contents are decoded by worker threads, ahead of who reads (`segment-cache.ts`, `file-content.ts`).
 * `fuse-adapter.ts` shows it to the kernel, `webdav/` to programs on this machine.
 *
 * Nothing in here writes, and nothing follows a symlink: what a snapshot says, it says about itself.
 */
import { childId } from './entry-id.ts'
import type { FileContent } from './file-content.ts'
import type { NodeXattr } from '../snapshot/attachment.ts'
import type { NodeType } from '../snapshot/tree-node.ts'

/** What is told of an entry, as of stat(2). */
export interface EntryStat {
  /** The same for all names of a file. */
  readonly inode: bigint
  readonly type: NodeType
  /** Permission bits. */
  readonly mode: number
  readonly linkCount: number
  readonly uid: number
  readonly gid: number
  readonly sizeBytes: number
  /** What of it is no hole. */
  readonly dataBytes: number
  readonly mtimeNs: bigint
  readonly atimeNs: bigint
  readonly device: { readonly major: number; readonly minor: number } | undefined
}

/** Something that a mount shows at one place. */
export interface Entry {
  /** Of its place; the same from mount to mount. */
  readonly id: bigint
  readonly type: NodeType
  /** It stays as it is as long as the repository is mounted. */
  readonly isLasting: boolean
  stat(): Promise<EntryStat>
  readXattrs(): Promise<readonly NodeXattr[]>
  /** `FILE_FLAGS` of platform/file-flags.ts. */
  readFlags(): Promise<number>
}

export interface Folder extends Entry {
  readonly type: 'dir'
  find(name: string): Promise<Entry | undefined>
  /** What is in it now. */
  open(): Promise<Listing>
}

export interface FileEntry extends Entry {
  readonly type: 'file'
  open(): Promise<FileContent>
}

export interface SymlinkEntry extends Entry {
  readonly type: 'symlink'
  readTarget(): Promise<string>
  /** What it leads to, where this mount made it itself; those of snapshots are followed by nobody here. */
  readonly leadsTo?: Entry | undefined
}

export function isFolder(entry: Entry): entry is Folder {
  return entry.type === 'dir'
}

export function isFile(entry: Entry): entry is FileEntry {
  return entry.type === 'file'
}

export function isSymlink(entry: Entry): entry is SymlinkEntry {
  return entry.type === 'symlink'
}

/** A name in a listing. */
export interface Listed {
  readonly name: string
  readonly entry: Entry
  /** Of the entry; the same as its stat says. */
  readonly inode: bigint
  /** The position behind it. */
  readonly next: number
  /** What the entry's `stat` resolves to, if that takes no waiting. */
  readonly statNow: () => EntryStat | undefined
}

/** An open folder. */
export interface Listing {
  /** Some names from a position on, 0 at first; none at the end. Never waits for longer than one chunk of a tree takes. */
  from(position: number): Promise<Iterable<Listed>>
}

/** A listing that is known as a whole. */
export class FixedListing implements Listing {
  readonly #entries: readonly (readonly [name: string, entry: Entry])[]

  constructor(entries: Iterable<readonly [name: string, entry: Entry]>) {
    this.#entries = [...entries]
  }

  async from(position: number): Promise<Iterable<Listed>> {
    return this.#listed(position)
  }

  *#listed(position: number): Generator<Listed> {
    for (let i = position; i < this.#entries.length; i++) {
      const [name, entry] = this.#entries[i] as readonly [string, Entry]
      yield { name, entry, inode: entry.id, next: i + 1, statNow: notNow }
    }
  }
}

function notNow(): undefined {
  return undefined
}

/** What folders and links have that the mount itself makes. */
export interface MadeStat {
  readonly uid: number
  readonly gid: number
  readonly mtimeNs: bigint
}

/** An entry that no snapshot has. */
export abstract class MadeEntry {
  readonly id: bigint
  abstract readonly type: NodeType
  abstract readonly isLasting: boolean
  readonly #made: MadeStat

  constructor(parentId: bigint, name: string, made: MadeStat) {
    this.id = childId(parentId, name)
    this.#made = made
  }

  protected get made(): MadeStat {
    return this.#made
  }

  async stat(): Promise<EntryStat> {
    const { uid, gid, mtimeNs } = this.made
    return {
      inode: this.id,
      type: this.type,
      mode: this.type === 'dir' ? 0o755 : 0o777,
      linkCount: 1,
      uid,
      gid,
      sizeBytes: 0,
      dataBytes: 0,
      mtimeNs,
      atimeNs: mtimeNs,
      device: undefined,
    }
  }

  async readXattrs(): Promise<readonly NodeXattr[]> {
    return []
  }

  async readFlags(): Promise<number> {
    return 0
  }
}
