import type { AbortOptions } from '../base/abort.ts'
import type { ByteSource } from '../base/byte-stream.ts'
import type { Hole } from '../base/hole.ts'
import type { SourceEntry, WalkObserver } from './source.ts'

/** An entry of a source that is read once, from its beginning to its end: standard input, a command's output, an archive. */
export interface Arrival {
  /** An empty path is the top itself. Its `link`, `sparse` and `systemPath` mean nothing. */
  readonly entry: SourceEntry
  /** Of a file: its bytes, but for those in holes. To be read to the end before the next entry is asked for. */
  readonly content?: ByteSource | undefined
  /** How many bytes that is, where it is known before. */
  readonly contentBytes?: number | undefined
  readonly holes?: readonly Hole[] | undefined
  /** It is another name of the entry that came before under this path. */
  readonly otherNameOf?: string | undefined
}

/** Entries in any order; one may come again, and the last one counts. Directories on the way need not come at all. */
export interface StreamedSource {
  /** What was asked for, as kept in the snapshot. */
  readonly paths: readonly string[]
  /** The content has no name of its own: it is what a pipe gave. */
  readonly isPipe: boolean
  /**
   * Reads once, beginning now. To be iterated to its end or disposed of.
   *
   * @throws {CairnError} `SOURCE_FAILED`, `ARCHIVE_CORRUPT` when the source ends before its time or makes no sense: then nothing of it
   *   is to be trusted
   */
  arrive(observer: WalkObserver, options?: AbortOptions): Arrivals
}

export interface Arrivals extends AsyncIterable<Arrival>, AsyncDisposable {}
