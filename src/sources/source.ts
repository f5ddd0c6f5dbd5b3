/**
 * sources: what is backed up. A *source* is a sorted stream of entries; content that lies in files is read by the archiver's
 * worker threads, straight from where the entry says.
 */
import type { AbortOptions } from '../base/abort.ts'

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
  readonly linkTarget: string | undefined
  /** Where the content of a file can be read. */
  readonly systemPath: string
  /** A directory that is only on the way to what is backed up. */
  readonly ancestor: boolean
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

/**
 * Entries come in the order of a walk: a directory before what lies in it, and the names in a directory by their raw bytes.
 * They come in arrays of a few hundred, so that the cost of waiting does not count.
 */
export interface Source {
  /** What was asked for, as kept in the snapshot: absolute where it is a path. */
  readonly paths: readonly string[]
  /** Walks once. Goes on after issues. */
  entries(onIssue: (issue: SourceIssue) => void, options?: AbortOptions): AsyncIterable<SourceEntry[]>
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
