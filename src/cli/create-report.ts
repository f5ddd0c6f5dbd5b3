import { InvalidArgumentError } from 'commander'
import { formatBytes } from '../base/sizes.ts'
import type { DryRunResult } from '../operations/create-dry-run.ts'
import type { CreateEvent, CreateResult, EntryStatus } from '../operations/create.ts'
import { formatCount, formatDuration, plural } from './output/format.ts'
import { reportIssue, reportWarning } from './output/issue.ts'
import type { Output } from './output/output.ts'
import { fileStatusFields, Progress, type ProgressMeter } from './output/progress.ts'
import { rawField } from './output/raw-json.ts'
import { totalsJson } from './output/record-json.ts'
import { archiveStats } from './output/stats-block.ts'
import { printable } from './output/text.ts'

/** restic's words for the letters that have one. */
const ACTIONS: Partial<Record<EntryStatus | 'x' | '-', string>> = {
  A: 'new',
  M: 'modified',
  C: 'modified',
  U: 'unchanged',
}

/** The options of `create` that decide what is printed. */
export interface CreateReportOptions {
  readonly stats?: true
  readonly list?: true
  /** Status letters of the entries to print; implies `list`. */
  readonly filter?: string
}

/** Status letters of interop with Borg; more than this version uses, so that scripts for Borg run. */
const STATUS_LETTERS = 'AMUCEdbchsfi-x'

/** The value of `--filter`. */
export function parseFilter(value: string): string {
  const unknown = Array.from(value).find((letter) => !STATUS_LETTERS.includes(letter))
  if (value === '' || unknown !== undefined) {
    throw new InvalidArgumentError(`Status letters are ${STATUS_LETTERS}.`)
  }
  return value
}

export interface CreateReport {
  readonly listsEntries: boolean
  readonly onEvent: (event: CreateEvent) => void
  endProgress(): void
  finish(result: CreateResult): void
  finishDryRun(result: DryRunResult): void
}

/** Tells a person or (`--json`) a program how a backup goes and what came out of it. */
export function createReport(output: Output, options: CreateReportOptions, location: string): CreateReport {
  const { json, quiet, verbose } = output.settings
  const progress = new Progress(output, statusJson)
  const listsEntries = options.list === true || options.filter !== undefined || (json && verbose)

  return {
    listsEntries,
    onEvent(event) {
      if (event.type === 'progress') {
        progress.update(event)
      } else if (event.type === 'issue') {
        reportIssue(output, event, event.during)
      } else if (event.type === 'warning') {
        reportWarning(output, event)
      } else if (event.type === 'checkpoint') {
        if (json) output.json({ message_type: 'verbose_status', action: 'checkpoint', snapshot_id: event.id })
        else if (verbose) output.note(`cairn: checkpoint ${event.id.slice(0, 8)} saved`)
      } else if (listsEntries && (options.filter?.includes(event.status) ?? true)) {
        if (json) output.json(entryJson(event))
        else output.line(`${event.status} ${printable(event.path)}`)
      }
    },
    endProgress() {
      progress.end()
    },
    finish(result) {
      if (json) output.json(summaryJson(result))
      else if (options.stats) output.sums(archiveStats(result, location))
      else if (!quiet) {
        for (const line of summaryLines(result, location, output)) output.line(line)
      }
      if (result.issues > 0 && !json) {
        output.warning(`the snapshot is incomplete: ${plural(result.issues, 'problem')}, see above`)
      }
    },
    finishDryRun({ files, directories, bytes, issues, durationMs }) {
      if (json) {
        output.json({
          message_type: 'summary',
          dry_run: true,
          total_files_processed: files,
          dirs_total: directories,
          total_bytes_processed: bytes,
          error_count: issues,
          total_duration: durationMs / 1000,
        })
      } else if (!quiet) {
        output.line(`Would save ${plural(files, 'file')} in ${plural(directories, 'folder')}, ${formatBytes(bytes)}`)
      }
    },
  }
}

function summaryLines({ snapshot, durationMs }: CreateResult, location: string, output: Output): string[] {
  const { stats } = snapshot
  const files = `${formatCount(stats.filesNew)} new, ${formatCount(stats.filesChanged)} changed, ${formatCount(stats.filesUnmodified)} unmodified`
  return [
    `Saved ${output.style('bold', printable(snapshot.name))} (${snapshot.id.slice(0, 8)}) to ${printable(location)}`,
    `  files: ${files}`,
    `  size:  ${formatBytes(stats.originalBytes)}, ${formatBytes(stats.deduplicatedBytes)} added to the repository`,
    `  time:  ${formatDuration(durationMs)}`,
    ...(output.settings.verbose
      ? [`  chunks: ${formatCount(stats.chunksNew)} new of ${formatCount(stats.chunksTotal)}`]
      : []),
  ]
}

function entryJson(event: CreateEvent & { type: 'entry' }): object {
  const action = ACTIONS[event.status]
  return {
    message_type: 'verbose_status',
    ...(action === undefined ? {} : { action }),
    status: event.status,
    ...rawField('item', event.path),
    data_size: event.sizeBytes,
  }
}

function statusJson(meter: ProgressMeter): object {
  const counters = meter.counters
  return {
    ...fileStatusFields(meter),
    error_count: counters?.issues ?? 0,
    ...(counters?.currentPath ? { current_files: [counters.currentPath.toWellFormed()] } : {}),
  }
}

/** restic's field names where the meaning is the same; sizes in bytes, durations in seconds. */
function summaryJson({ snapshot, totals, repositoryId, issues, warnings, durationMs }: CreateResult): object {
  const { stats } = snapshot
  return {
    message_type: 'summary',
    files_new: stats.filesNew,
    files_changed: stats.filesChanged,
    files_unmodified: stats.filesUnmodified,
    dirs_total: stats.directories,
    others_total: stats.otherEntries,
    data_blobs: stats.chunksNew,
    tree_blobs: stats.treeChunksNew,
    data_added: stats.addedBytes,
    data_added_packed: stats.deduplicatedBytes,
    total_files_processed: stats.filesNew + stats.filesChanged + stats.filesUnmodified,
    total_bytes_processed: stats.originalBytes,
    backup_start: snapshot.startedAt,
    backup_end: snapshot.endedAt,
    total_duration: durationMs / 1000,
    snapshot_id: snapshot.id,
    snapshot_name: snapshot.name,
    repository_id: repositoryId,
    incomplete: snapshot.incomplete,
    error_count: issues,
    warning_count: warnings,
    original_size: stats.originalBytes,
    compressed_size: stats.compressedBytes,
    deduplicated_size: stats.deduplicatedBytes,
    repository_stats: totalsJson(totals),
  }
}
