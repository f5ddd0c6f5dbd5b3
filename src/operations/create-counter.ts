import type { Clock } from '../base/clock.ts'
import type { ArchiveObserver, EntryStatus } from '../archiver/archiver.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import type { SourceEntry, SourceIssue, SourceTotals, WalkObserver } from '../sources/source.ts'
import type { CreateEvent } from './create.ts'
import { Throttle } from './throttle.ts'

export interface CounterOptions {
  readonly listEntries?: boolean | undefined
  readonly onEvent?: ((event: CreateEvent) => void) | undefined
}

/** Counts what walk and archiver report, and passes it on. */
export class CreateCounter implements ArchiveObserver, WalkObserver {
  readonly #options: CounterOptions
  readonly #throttle: Throttle
  /** What the run will about come to. */
  totals: SourceTotals | undefined
  issues = 0
  /** Warnings that make a run end with warnings. */
  warnings = 0
  #filesNew = 0
  #filesChanged = 0
  #filesUnmodified = 0
  #directories = 0
  #otherEntries = 0
  #bytes = 0
  #entries = 0
  /** Bytes of large files that are not read wholly yet: together, and each. */
  #bytesAhead = 0
  readonly #partlyRead = new Map<string, number>()
  /** Paths of what there was something to complain about, when entries are listed. */
  readonly #complaints = new Set<string>()

  constructor(options: CounterOptions, clock: Clock) {
    this.#options = options
    this.#throttle = new Throttle(clock)
  }

  stats(): Pick<
    Snapshot['stats'],
    'filesNew' | 'filesChanged' | 'filesUnmodified' | 'directories' | 'otherEntries' | 'originalBytes'
  > {
    return {
      filesNew: this.#filesNew,
      filesChanged: this.#filesChanged,
      filesUnmodified: this.#filesUnmodified,
      directories: this.#directories,
      otherEntries: this.#otherEntries,
      originalBytes: this.#bytes,
    }
  }

  entry(status: EntryStatus, { path, sizeBytes, type, link }: SourceEntry): void {
    if (type === 'dir') this.#directories++
    else if (type !== 'file') this.#otherEntries++
    else if (status === 'A' || status === 'h' || status === 'i') this.#filesNew++
    else if (status === 'M' || status === 'C') this.#filesChanged++
    else if (status === 'U') this.#filesUnmodified++
    // A file with several names takes its space once.
    if (type === 'file' && status !== 'E' && (!link || link.isFirst)) this.#bytes += sizeBytes
    if (this.#partlyRead.size > 0) {
      this.#bytesAhead -= this.#partlyRead.get(path) ?? 0
      this.#partlyRead.delete(path)
    }
    // A folder is an entry whether it can be looked into or not; that it cannot is known before.
    this.list(status === 'd' && this.#complaints.has(path) ? 'E' : status, path, sizeBytes, type)
    // Looking at the clock costs more than all else here, and an entry that is not read takes a microsecond.
    if (status !== 'U' || (++this.#entries & 31) === 0) this.#progress(path)
  }

  /** Lists an entry without counting it. */
  list(status: EntryStatus | 'x' | '-', path: string, sizeBytes: number, fileType?: SourceEntry['type']): void {
    const { onEvent, listEntries } = this.#options
    if (listEntries) onEvent?.({ type: 'entry', status, path, sizeBytes, ...(fileType && { fileType }) })
  }

  excluded(path: string): void {
    this.list('x', path, 0)
  }

  bytes({ path }: { path: string }, count: number): void {
    this.#partlyRead.set(path, (this.#partlyRead.get(path) ?? 0) + count)
    this.#bytesAhead += count
    this.#progress(path)
  }

  #progress(currentPath: string): void {
    const { onEvent } = this.#options
    if (!onEvent || !this.#throttle.isDue()) return
    onEvent({
      type: 'progress',
      filesDone: this.#filesNew + this.#filesChanged + this.#filesUnmodified,
      bytesDone: this.#bytes + this.#bytesAhead,
      filesTotal: this.totals?.files,
      bytesTotal: this.totals?.bytes,
      issues: this.issues,
      currentPath,
    })
  }

  issue(issue: SourceIssue): void {
    this.report('read', issue)
  }

  report(during: 'scan' | 'read', { path, systemPath, message, code }: SourceIssue): void {
    if (this.#options.listEntries) this.#complaints.add(path)
    if (code !== 'SKIPPED') this.issues++
    this.#options.onEvent?.({ type: 'issue', during, path: systemPath, message, code })
  }

  warning(message: string, code = 'WARNING'): void {
    // What a platform does not have is worth saying, but no reason to ask for attention every time.
    if (code !== 'UNSUPPORTED') this.warnings++
    this.#options.onEvent?.({ type: 'warning', message, code })
  }
}
