import { formatBytes } from '../base/sizes.ts'
import type { ExtractEvent, ExtractResult, PatternOption } from '../operations/extract.ts'
import type { CommandContext, Selection } from './context.ts'
import { showDespiteDamage } from './damage.ts'
import { EXIT_WARNINGS } from './exit-codes.ts'
import { toExtractOptions, type ExtractCommandOptions } from './extract-options.ts'
import { formatCount, formatDuration, plural } from './output/format.ts'
import { reportIssue } from './output/issue.ts'
import { Progress, statusFields, type ProgressMeter } from './output/progress.ts'
import { rawField } from './output/raw-json.ts'
import { printable } from './output/text.ts'
import { pathsInSnapshot } from './positionals.ts'

interface RunOptions extends ExtractCommandOptions {
  readonly patterns: readonly PatternOption[]
}

/** The common part of `extract` and `restore`: restores below `target` and reports. */
export async function runExtract(
  context: CommandContext,
  selection: Selection & { readonly snapshot: string },
  target: string,
  options: RunOptions,
): Promise<void> {
  const { output, world } = context
  const { json, verbose } = output.settings
  if (options.stdout) return printContents(context, selection, options)
  const given = toExtractOptions(options, options.patterns)
  const { extractSnapshot } = await world.operations.extract()
  // Where nothing is replaced, all that is listed is restored.
  const withActions = !context.speaksBorg && (options.dryRun === true || options.conflict !== 'fail')
  const listEntries = options.list === true || (json && verbose)

  if (verbose && !json) {
    output.note(
      `cairn: restoring ${printable(selection.snapshot)} of ${printable(selection.location)} into ${printable(target)}`,
    )
  }
  await showDespiteDamage(context, selection.location, async (access) => {
    const progress = new Progress(output, statusJson)
    let result: ExtractResult
    try {
      result = await extractSnapshot(access, {
        ...given,
        snapshot: selection.snapshot,
        paths: pathsInSnapshot(selection.rest),
        target,
        listEntries,
        onEvent(event) {
          if (event.type === 'progress') progress.update(event)
          else if (event.type === 'issue') reportIssue(output, event, 'restore')
          else if (!listEntries) return
          else if (json) output.json(entryJson(event))
          else if (withActions) output.line(`${event.action.padEnd(9)} ${printable(event.path)}`)
          else output.listing(printable(event.path))
        },
      })
    } finally {
      progress.end()
    }
    reportResult(context, target, options, result)
  })
}

function reportResult(context: CommandContext, target: string, options: RunOptions, result: ExtractResult): void {
  const { output } = context
  const { json, quiet } = output.settings
  if (json) output.json(summaryJson(result))
  else if (!quiet) {
    const where = target === '.' ? 'the current folder' : printable(target)
    const verb = options.dryRun ? 'Would restore' : 'Restored'
    const bytes = options.dryRun ? '' : ` (${formatBytes(result.bytes)})`
    output.sums([
      `${verb} ${plural(result.files, 'file')}${bytes} of ${output.style('bold', printable(result.snapshot.name))} into ${where} in ${formatDuration(result.durationMs)}${othersOf(result)}`,
    ])
  }
  if (result.snapshot.incomplete && !json) {
    output.warning('this snapshot is incomplete: some source data could not be read when it was made')
  }
  if (result.issues > 0) {
    if (!json) output.warning(`not everything could be restored: ${plural(result.issues, 'problem')}, see above`)
    context.exitCode = EXIT_WARNINGS
  }
}

/** Writes contents to standard output; a reader that has gone is no error. */
async function printContents(
  context: CommandContext,
  selection: Selection & { readonly snapshot: string },
  { patterns }: RunOptions,
): Promise<void> {
  const { extractContents } = await context.world.operations.extract()
  const { snapshot } = selection
  await showDespiteDamage(context, selection.location, (access) =>
    extractContents(access, { snapshot, paths: pathsInSnapshot(selection.rest), patterns }, (piece) =>
      context.output.bytes(piece),
    ),
  )
}

/** What became of entries that were not restored. */
function othersOf(result: ExtractResult): string {
  const parts = [
    [result.filesUnchanged, 'unchanged'],
    [result.entriesKept, 'kept'],
    [result.entriesDeleted, 'deleted'],
  ] as const
  return parts.flatMap(([count, what]) => (count > 0 ? [`, ${formatCount(count)} ${what}`] : [])).join('')
}

function entryJson({ path, sizeBytes, action }: ExtractEvent & { type: 'entry' }): object {
  return { message_type: 'verbose_status', action, ...rawField('item', path), size: sizeBytes }
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
    files_unchanged: result.filesUnchanged,
    files_skipped: result.entriesKept,
    files_deleted: result.entriesDeleted,
    bytes_restored: result.bytes,
    bytes_skipped: result.bytesUnchanged,
    snapshot_id: result.snapshot.id,
    snapshot_name: result.snapshot.name,
    incomplete: result.snapshot.incomplete,
    error_count: result.issues,
  }
}
