/**
 * sources: what is backed up. A *source* is a sorted stream of entries; content that lies in files is read by the archiver's
 * worker threads, straight from where the entry says.
 */
import type { AbortOptions } from '../base/abort.ts'
import type { FileSystemKind } from '../platform/file-systems.ts'

/** One entry, in the words of snapshot/tree-node.ts, and how to come by its content. */
export interface SourceEntry {
  /** Path inside the snapshot, without leading `/`; raw-name text. */
  readonly path: string
  /** Last part of `path`. */
  readonly name: string
  /** Number of parts of `path`. */
  readonly depth: number
  readonly type: 'file' | 'dir' | 'symlink' | 'fifo' | 'chardev' | 'blockdev'
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly user: string
  readonly group: string
  readonly sizeBytes: number
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  readonly inode: bigint
  /** ns since 1970; only if access times were asked for. */
  readonly atimeNs: bigint | undefined
  readonly linkTarget: string | undefined
  /** Of a file with several names. */
  readonly link: LinkedName | undefined
  /** Of a device. */
  readonly device: { readonly major: number; readonly minor: number } | undefined
  /** Extended attributes of a directory that has some; those of anything else are read when it turns out to be new or changed. */
  readonly xattrs: readonly SourceXattr[] | undefined
  /** `FILE_FLAGS` of platform/file-flags.ts. */
  readonly flags: number
  /** The file takes less space than its size needs, so it may have holes. */
  readonly sparse: boolean
  /** What its times and inode number are worth. */
  readonly fileSystemKind: FileSystemKind
  /** Where the content of a file can be read. */
  readonly systemPath: string
  /** A directory that is only on the way to what is backed up. */
  readonly ancestor: boolean
}

/** One of several names of a file. */
export interface LinkedName {
  /** Tells the file from others of the walk that have several names. */
  readonly file: number
  /** Path, inside the snapshot, of the first of them in the walk. */
  readonly first: string
  readonly isFirst: boolean
  /** No more names come. */
  readonly isLast: boolean
}

export interface SourceXattr {
  /** With its namespace; raw-name text. */
  readonly name: string
  readonly value: Uint8Array
}

/** Something that could not be read, or is left out with a reason. */
export interface SourceIssue {
  /** Path inside the snapshot. */
  readonly path: string
  /** Where it is on the system, for messages; raw-name text. */
  readonly systemPath: string
  readonly message: string
  /** The system's error name, or a code of base/errors.ts. */
  readonly code: string
}

export interface WalkObserver {
  issue(issue: SourceIssue): void
  /** A rule leaves this path out; called only if the source was opened with `listExcluded`. */
  excluded(path: string): void
}

/**
 * Entries in the order of a walk: a directory before what lies in it, and the names in a directory by their raw bytes. They come
 * in arrays of a few hundred, so that the cost of waiting does not count. To be disposed of, wherever it was left.
 */
export interface SourceWalk extends AsyncIterable<SourceEntry[]>, AsyncDisposable {}

export interface Source {
  /** What was asked for, as kept in the snapshot: absolute where it is a path. */
  readonly paths: readonly string[]
  /** The folder whose content lies at the top of the snapshot, when it is one by itself. */
  readonly root?: SourceEntry | undefined
  /** Walks once, beginning now. Goes on after issues. */
  walk(observer: WalkObserver, options?: AbortOptions): SourceWalk
  /** Counts what a walk would find, in a thread of its own, until it is done or disposed of. A stream has no such thing. */
  count?(): SourceCount
}

export interface SourceTotals {
  /** Regular files, and the bytes in them. */
  readonly files: number
  readonly bytes: number
}

export interface SourceCount extends AsyncDisposable {
  /** Rejects when counting was disposed of first. */
  readonly totals: Promise<SourceTotals>
}
