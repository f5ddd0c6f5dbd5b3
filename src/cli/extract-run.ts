import { formatBytes } from '../base/sizes.ts'
import type { ExtractResult } from '../operations/extract.ts'
import type { CommandContext, Selection } from './context.ts'
import { EXIT_WARNINGS } from './exit-codes.ts'
import { formatDuration, plural } from './output/format.ts'
import { reportIssue } from './output/issue.ts'
import { Progress, statusFields, type ProgressMeter } from './output/progress.ts'
import { rawField } from './output/raw-json.ts'
import { printable } from './output/text.ts'
import { snapshotPaths } from './positionals.ts'

export interface ExtractCommandOptions {
  readonly list?: true
  readonly workers?: number
}

/** The common part of `extract` and `restore`: restores below `target` and reports. */
export async function runExtract(
  context: CommandContext,
  selection: Selection & { readonly snapshot: string },
  target: string,
  options: ExtractCommandOptions,
): Promise<void> {
  const { output, world } = context
  const { json, quiet, verbose } = output.settings
  const { extractSnapshot } = await world.operations.extract()
  const access = await context.access(selection.location)
  const listEntries = options.list === true || (json && verbose)

  if (verbose && !json) {
    output.note(
      `cairn: restoring ${printable(selection.snapshot)} of ${printable(selection.location)} into ${printable(target)}`,
    )
  }
  const progress = new Progress(output, statusJson)
  let result: ExtractResult
  try {
    result = await extractSnapshot(access, {
      snapshot: selection.snapshot,
      paths: snapshotPaths(selection.rest),
      target,
      workers: options.workers,
      listEntries,
      onEvent(event) {
        if (event.type === 'progress') progress.update(event)
        else if (event.type === 'issue') reportIssue(output, event, 'restore')
        else if (!listEntries) return
        else if (!json) output.line(printable(event.path))
        else {
          const item = rawField('item', event.path)
          output.json({ message_type: 'verbose_status', action: 'restored', ...item, size: event.sizeBytes })
        }
      },
    })
  } finally {
    progress.end()
  }

  if (json) output.json(summaryJson(result))
  else if (!quiet) {
    const where = target === '.' ? 'the current folder' : printable(target)
    output.line(
      `Restored ${plural(result.files, 'file')} (${formatBytes(result.bytes)}) of ${output.style('bold', printable(result.snapshot.name))} into ${where} in ${formatDuration(result.durationMs)}`,
    )
  }
  if (result.snapshot.incomplete && !json) {
    output.warning('this snapshot is incomplete: some source data could not be read when it was made')
  }
  if (result.issues > 0) {
    if (!json) output.warning(`not everything could be restored: ${plural(result.issues, 'problem')}, see above`)
    context.exitCode = EXIT_WARNINGS
  }
}

function statusJson(meter: ProgressMeter): object {
  const counters = meter.counters
  return {
    ...statusFields(meter),
    files_restored: counters?.filesDone ?? 0,
    bytes_restored: counters?.bytesDone ?? 0,
    error_count: counters?.issues ?? 0,
  }
}

function summaryJson(result: ExtractResult): object {
  return {
    message_type: 'summary',
    seconds_elapsed: result.durationMs / 1000,
    files_restored: result.files,
    dirs_restored: result.directories,
    others_restored: result.otherEntries,
    bytes_restored: result.bytes,
    snapshot_id: result.snapshot.id,
    snapshot_name: result.snapshot.name,
    incomplete: result.snapshot.incomplete,
    error_count: result.issues,
  }
}
