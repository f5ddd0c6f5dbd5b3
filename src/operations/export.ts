import path from 'node:path'
import type { ArchiveWriter } from '../archives/archive-entry.ts'
import type { ArchiveFormat, TarFilter } from '../archives/archive-format.ts'
import { TarWriter } from '../archives/tar-writer.ts'
import { ZipWriter } from '../archives/zip-writer.ts'
import type { ByteSink } from '../base/byte-stream.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { CairnError } from '../base/errors.ts'
import { toPrintable } from '../base/raw-name.ts'
import { formatBytes } from '../base/sizes.ts'
import { OutputFile } from '../platform/output-file.ts'
import type { Repository } from '../repository/repository.ts'
import { type EntryToWrite, archiveEntries } from '../restorer/archive-entries.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { ChecksumSink, explainTarget, filteredSink } from './archive-output.ts'
import { type ExtractSelection, openSnapshot, selectEntries } from './extract.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import { encodeSidecar, sidecarPath } from './sidecar.ts'
import { type SnapshotInfo, toSnapshotInfo } from './snapshot-info.ts'
import { Throttle } from './throttle.ts'
import { VERSION } from './version.ts'

export type ExportEvent =
  | {
      readonly type: 'progress'
      readonly filesDone: number
      readonly bytesDone: number
      readonly filesTotal: number | undefined
      readonly bytesTotal: number | undefined
      readonly issues: number
      readonly currentPath: string
    }
  | { readonly type: 'entry'; readonly path: string; readonly sizeBytes: number }
  /** Something that the format cannot hold, or a pattern that nothing matches. */
  | { readonly type: 'warning'; readonly message: string; readonly code: 'LOST' | 'NOT_FOUND' }

export interface ExportOptions extends ExtractSelection {
  readonly format: ArchiveFormat
  /** How a tar archive is compressed. */
  readonly filter?: TarFilter | undefined
  /** A file, with its sidecar, or wherever a sink leads. */
  readonly target: { readonly file: string; readonly replace: boolean } | { readonly sink: ByteSink }
  readonly stripComponents?: number | undefined
  readonly listEntries?: boolean | undefined
  readonly onEvent?: ((event: ExportEvent) => void) | undefined
}

export interface ExportResult {
  readonly snapshot: SnapshotInfo
  /** Names of regular files, and the bytes in the archive for them: in a tar once for a file of several names. */
  readonly fileCount: number
  readonly totalSize: number
  readonly entryCount: number
  readonly archiveSize: number
  /** SHA-256 of the archive. */
  readonly checksum: string
  /** Of a file. */
  readonly sidecar: string | undefined
  /** What the format could not hold. */
  readonly losses: readonly { readonly kind: string; readonly count: number; readonly first: string }[]
  readonly unmatchedPatterns: number
  readonly durationMs: number
}

/**
 * Writes a snapshot, or paths of it, as an archive. A file gets its name when it is complete and on the disk, and then its sidecar;
 * an error, and be it a single chunk that is damaged, leaves nothing of it, and one that was there as it was.
 *
 * @throws {CairnError} `NOT_FOUND`, `INVALID_ARGUMENT`, `DATA_CORRUPT`; `TARGET_FAILED` when the file is there already, another export to
 *   it is in progress, or the file system refuses
 */
export async function exportSnapshot(access: RepositoryAccess, options: ExportOptions): Promise<ExportResult> {
  const { target } = options
  return withRepository(access, async (repository) => {
    const run = new ExportRun(access, options, repository)
    if ('sink' in target) return await run.write(target.sink)
    return await explainTarget(target.file, async () => {
      const { replace } = target
      using file = new OutputFile(target.file, { replace, nowMs: systemClock.now() })
      const result = await run.write(file, file.freeBytes)
      const sidecar = sidecarPath(target.file)
      await file.commit({ path: path.resolve(sidecar), text: run.sidecarOf(result) })
      return { ...result, sidecar }
    })
  })
}

class ExportRun {
  readonly #access: RepositoryAccess
  readonly #options: ExportOptions
  readonly #repository: Repository
  readonly #clock: Clock
  readonly #startedAtMs: number
  readonly #throttle: Throttle
  readonly #selection: ReturnType<typeof selectEntries>
  #snapshot: Snapshot | undefined
  #files = 0
  #bytes = 0
  #entries = 0

  constructor(access: RepositoryAccess, options: ExportOptions, repository: Repository) {
    this.#access = access
    this.#options = options
    this.#repository = repository
    this.#clock = access.clock ?? systemClock
    this.#startedAtMs = this.#clock.now()
    this.#throttle = new Throttle(this.#clock)
    this.#selection = selectEntries(options)
  }

  /** @param freeBytes room that there is for the archive, if that is known */
  async write(target: ByteSink, freeBytes?: number): Promise<ExportResult> {
    const { format, filter, stripComponents = 0, snapshot: wanted } = this.#options
    const { paths, patterns } = this.#selection
    const snapshot = await openSnapshot(this.#access, this.#repository, wanted)
    this.#snapshot = snapshot
    const isWhole = paths.length === 0 && !patterns && stripComponents === 0
    if (isWhole && format === 'tar' && filter === undefined) this.#requireRoom(snapshot, freeBytes)
    const checksum = new ChecksumSink(target)
    await using filtered = filteredSink(checksum, filter, this.#access)
    const writer: ArchiveWriter = format === 'zip' ? new ZipWriter(filtered.sink) : new TarWriter(filtered.sink)
    const entries = archiveEntries({
      repository: this.#repository,
      tree: snapshot.tree,
      root: isWhole ? snapshot.root : undefined,
      paths,
      select: patterns && ((entry) => patterns.decide(entry)),
      stripComponents,
      keepsHoles: writer.keepsHoles,
      keepsHardLinks: writer.keepsHardLinks,
      signal: this.#access.signal,
    })
    for await (const next of entries) {
      const { entry, content, isFurtherName } = next
      await writer.add(entry, content && this.#watch(content, next.path, isWhole))
      if (isFurtherName && !writer.keepsHardLinks)
        writer.losses.add('hard links, written as files of their own', next.path)
      this.#count(next, !isFurtherName || !writer.keepsHardLinks)
    }
    await writer.finish()
    await filtered.sink.end()
    const losses = [...writer.losses]
    const unmatched = patterns?.unmatched() ?? []
    for (const loss of losses) this.#warn('LOST', describeLoss(loss, format))
    for (const pattern of unmatched) this.#warn('NOT_FOUND', `nothing in the snapshot matches ${toPrintable(pattern)}`)
    return {
      snapshot: toSnapshotInfo(snapshot, this.#repository.index),
      fileCount: this.#files,
      totalSize: this.#bytes,
      entryCount: this.#entries,
      archiveSize: checksum.bytes,
      checksum: checksum.checksum,
      sidecar: undefined,
      losses,
      unmatchedPatterns: unmatched.length,
      durationMs: this.#clock.now() - this.#startedAtMs,
    }
  }

  sidecarOf({ checksum, archiveSize, fileCount, totalSize, entryCount }: ExportResult): string {
    const { id = '', name = '' } = this.#snapshot ?? {}
    return encodeSidecar({
      checksum,
      archiveSize,
      fileCount,
      totalSize,
      entryCount,
      createdAt: new Date(this.#clock.now()).toISOString(),
      snapshot: { id, name, repository: this.#repository.id },
      program: `cairn ${VERSION}`,
    })
  }

  /** Headers and padding come on top, but this is what is sure. */
  #requireRoom({ stats }: Snapshot, freeBytes = Number.POSITIVE_INFINITY): void {
    if (stats.originalBytes <= freeBytes) return
    throw new CairnError(
      'TARGET_FAILED',
      `Cannot write the archive: it takes ${formatBytes(stats.originalBytes)}, and there are ${formatBytes(freeBytes)} left; free some space, or compress it (.tar.zst)`,
      { details: { code: 'ENOSPC' } },
    )
  }

  #count({ entry, path: entryPath, isFile }: EntryToWrite, hasContent: boolean): void {
    const { onEvent, listEntries } = this.#options
    this.#entries++
    if (isFile) this.#files++
    if (isFile && hasContent) this.#bytes += entry.sizeBytes
    if (listEntries) onEvent?.({ type: 'entry', path: entryPath, sizeBytes: entry.sizeBytes })
  }

  /** The same pieces; people see that it goes on. */
  async *#watch(content: AsyncIterable<Uint8Array>, currentPath: string, isWhole: boolean): AsyncGenerator<Uint8Array> {
    const { onEvent } = this.#options
    const stats = isWhole ? this.#snapshot?.stats : undefined
    let done = 0
    for await (const piece of content) {
      yield piece
      done += piece.length
      if (!onEvent || !this.#throttle.isDue()) continue
      onEvent({
        type: 'progress',
        filesDone: this.#files,
        bytesDone: this.#bytes + done,
        filesTotal: stats && stats.filesNew + stats.filesChanged + stats.filesUnmodified,
        bytesTotal: stats?.originalBytes,
        issues: 0,
        currentPath,
      })
    }
  }

  #warn(code: 'LOST' | 'NOT_FOUND', message: string): void {
    this.#options.onEvent?.({ type: 'warning', code, message })
  }
}

function describeLoss(
  { kind, count, first }: { readonly kind: string; readonly count: number; readonly first: string },
  format: ArchiveFormat,
): string {
  const others = count === 1 ? '' : ` and of ${count - 1} ${count === 2 ? 'other' : 'others'}`
  return `${format} cannot hold ${kind}: lost of ${toPrintable(first)}${others}`
}
