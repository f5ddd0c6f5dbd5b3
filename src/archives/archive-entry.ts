/**
 * archives: tar and zip, as bytes ⇄ entries. A reader takes bytes that anybody may have made, gives entries as they stand there,
 * and refuses what cannot be read without doubt; what their paths mean is decided above. A writer makes archives that other
 * programs restore from exactly, as far as the format can say it.
 */
import type { ByteSource } from '../base/byte-stream.ts'
import type { Hole } from '../base/hole.ts'

/** One entry of an archive. */
export interface ArchiveEntry {
  /** As it stands there: it may be absolute, hold `..`, or end in `/`. Raw-name text. */
  readonly path: string
  readonly type: 'file' | 'dir' | 'symlink' | 'hardlink' | 'fifo' | 'chardev' | 'blockdev'
  /** Permission bits 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Names of owner and group where there are any, else empty. */
  readonly user: string
  readonly group: string
  /** Length of a file, holes included. */
  readonly sizeBytes: number
  /** ns since 1970. */
  readonly mtimeNs: bigint
  readonly atimeNs?: bigint | undefined
  /** Of a symlink: where it points. Of a hard link: the path of the entry whose further name it is. Raw-name text. */
  readonly linkTarget?: string | undefined
  readonly device?: { readonly major: number; readonly minor: number } | undefined
  /** By their names as the system knows them, ACLs among them. */
  readonly xattrs?: readonly ArchiveXattr[] | undefined
  /** `FILE_FLAGS` of platform/file-flags.ts. */
  readonly flags?: number | undefined
  /** Ascending, never empty or adjacent. */
  readonly holes?: readonly Hole[] | undefined
}

export interface ArchiveXattr {
  /** Raw-name text. */
  readonly name: string
  readonly value: Uint8Array
}

/** An entry that is being read. */
export interface ReadEntry {
  readonly entry: ArchiveEntry
  /** Of a file: its bytes between holes, and how many. What is not read before the next entry is passed over, and verified. */
  readonly content?: ByteSource | undefined
  readonly contentBytes: number
}

/**
 * Entries in the order of the archive. `ARCHIVE_CORRUPT` where the archive is damaged, cut off, or says things that contradict each
 * other: what came before is then not to be trusted either.
 */
export interface ArchiveReader extends AsyncIterable<ReadEntry> {
  /** What was met and is not kept, once it has been read to the end. */
  readonly losses: Losses
}

/** What the other side cannot hold, by kind, with a count and the first path of each. */
export class Losses {
  readonly #kinds = new Map<string, { count: number; readonly first: string }>()

  /** @param kind for people, like `extended attributes` */
  add(kind: string, path: string): void {
    const known = this.#kinds.get(kind)
    if (known) known.count++
    else this.#kinds.set(kind, { count: 1, first: path })
  }

  *[Symbol.iterator](): Generator<{ readonly kind: string; readonly count: number; readonly first: string }> {
    for (const [kind, { count, first }] of this.#kinds) yield { kind, count, first }
  }
}

/** Writes an archive to where it is told. */
export interface ArchiveWriter {
  /** Whether it keeps holes; for one that does not, contents come with zeros in their place. */
  readonly keepsHoles: boolean
  /** Whether it keeps hard links; for one that does not, every name comes with its content. */
  readonly keepsHardLinks: boolean
  /** What was added and the format cannot hold. */
  readonly losses: Losses
  /** Adds an entry with its content, in pieces that are used up before the next one is asked for. */
  add(entry: ArchiveEntry, content?: AsyncIterable<Uint8Array>): Promise<void>
  /** Writes what comes last. The sink is not ended. */
  finish(): Promise<void>
}
