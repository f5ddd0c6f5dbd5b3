import { CairnError } from '../base/errors.ts'
import { formatBytes } from '../base/sizes.ts'
import type { ExportEvent, ExportOptions, ExportResult } from '../operations/export.ts'
import type { PatternOption } from '../operations/patterns.ts'
import { addArchiveOptions, type ArchiveCommandOptions, parseTarFilter } from './archive-options.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { EXIT_WARNINGS } from './exit-codes.ts'
import { parseCount } from './option-values.ts'
import { formatDuration, plural } from './output/format.ts'
import { reportWarning } from './output/issue.ts'
import { ReaderGone } from './output/output.ts'
import { fileStatusFields, Progress } from './output/progress.ts'
import { rawField } from './output/raw-json.ts'
import { printable } from './output/text.ts'
import { addPatternOptions } from './pattern-options.ts'
import { pathsInSnapshot } from './positionals.ts'

interface ExportCommandOptions extends ArchiveCommandOptions {
  readonly force?: true
  readonly list?: true
  readonly stripComponents?: number
}

const HELP = `
FILE ends in .tar, .tar.gz, .tar.zst, .tar.xz, .tar.bz2, .tar.lz4 or .zip; - is standard output.
It gets its name when it is complete, and a FILE.meta.json beside it, for 'cairn verify FILE'.

A tar has everything that a snapshot has; to restore it with GNU tar:
tar --xattrs --xattrs-include='*' --acls --selinux -xpf FILE. Of a zip, cairn tells what is lost.

Examples:
  cairn export /mnt/disk/backups::monday monday.tar.zst
  cairn export /mnt/disk/backups::monday photos.zip home/ann/photos
  cairn export /mnt/disk/backups::monday - | tar -x -C /tmp/there`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[SNAPSHOT]', 'REPO::SNAPSHOT, or with -r or CAIRN_REPO just SNAPSHOT')
    .argument('[FILE]', 'the archive to write, or -')
    .argument('[PATHS...]', 'only these paths of the snapshot, and what is below them')
    .usage('REPO::SNAPSHOT FILE [PATH...] [OPTIONS]')
    .option('--list', 'print every path that is written')
    .option('--force', 'replace FILE if it is there')
    .option('--strip-components <N>', 'leave away the first N names of every path', parseCount)
  addArchiveOptions(command, 'the name of FILE')
  const patterns = addPatternOptions(command)
  command
    .addHelpText('after', HELP)
    .action((first: string | undefined, file: string | undefined, paths: string[], options: ExportCommandOptions) => {
      const values = [first, file].filter((value) => value !== undefined)
      return run(context, [...values, ...paths], patterns, options)
    })
}

async function run(
  context: CommandContext,
  values: readonly string[],
  patterns: readonly PatternOption[],
  options: ExportCommandOptions,
): Promise<void> {
  const { output, world } = context
  const selection = await context.select(values, 'snapshot')
  const [file, ...rest] = selection.rest
  const { snapshot } = selection
  if (snapshot === undefined || file === undefined) {
    const missing = snapshot === undefined ? 'no snapshot' : 'no file'
    throw new CairnError('INVALID_ARGUMENT', `Cannot export: ${missing} was named; write REPO::SNAPSHOT FILE`)
  }
  const { exportSnapshot } = await world.operations.export()
  const isStream = file === '-'
  if (isStream && (world.stdout as { isTTY?: boolean }).isTTY)
    throw new CairnError('INVALID_ARGUMENT', 'Cannot write an archive to a terminal: name a file, or pipe it somewhere')
  // What goes to standard output must be alone there.
  const listEntries = !isStream && (options.list === true || (output.settings.json && output.settings.verbose))
  const progress = new Progress(output, fileStatusFields)
  const given: ExportOptions = {
    snapshot,
    paths: pathsInSnapshot(rest),
    patterns,
    ...(await formatOf(context, file, options)),
    target: isStream ? { sink: standardOutput(context) } : { file, replace: options.force === true },
    stripComponents: options.stripComponents,
    listEntries,
    onEvent(event) {
      if (event.type === 'progress') progress.update(event)
      else if (event.type === 'warning') reportWarning(output, event)
      else if (output.settings.json) output.json(entryJson(event))
      else output.line(printable(event.path))
    },
  }
  let result: ExportResult
  try {
    result = await exportSnapshot(await context.access(selection.location), given)
  } finally {
    progress.end()
  }
  if (!isStream) report(context, file, result)
  if (result.snapshot.incomplete && !output.settings.json)
    output.warning('this snapshot is incomplete: some source data could not be read when it was made')
  if (result.unmatchedPatterns > 0) context.exitCode = EXIT_WARNINGS
}

async function formatOf(
  context: CommandContext,
  file: string,
  options: ExportCommandOptions,
): Promise<Pick<ExportOptions, 'format' | 'filter'>> {
  const { formatOfName } = await context.world.operations.archiveFormat()
  const byName = formatOfName(file)
  const format =
    options.format ?? byName?.format ?? (file === '-' || options.tarFilter !== undefined ? 'tar' : undefined)
  if (format === undefined) {
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot tell what ${printable(file)} is to be: its name ends in none of .tar, .tar.gz, .tar.zst, .zip …; say it with --format`,
    )
  }
  const filter = parseTarFilter(options.tarFilter)
  if (format === 'zip') {
    if (options.tarFilter === undefined) return { format }
    throw new CairnError('INVALID_ARGUMENT', 'Cannot use --tar-filter with a zip: it compresses by itself')
  }
  return { format, filter: filter === 'none' ? undefined : filter === 'auto' ? byName?.filter : filter }
}

function standardOutput({ output }: CommandContext): { write(bytes: Uint8Array): Promise<void>; end(): Promise<void> } {
  return {
    async write(bytes) {
      if (!(await output.bytes(Buffer.from(bytes)))) throw new ReaderGone()
    },
    end: async () => undefined,
  }
}

function report({ output }: CommandContext, file: string, result: ExportResult): void {
  const { json, quiet } = output.settings
  if (json) output.json(summaryJson(file, result))
  else if (!quiet) {
    output.line(
      `Exported ${plural(result.fileCount, 'file')} (${formatBytes(result.totalSize)}) of ${output.style('bold', printable(result.snapshot.name))} to ${printable(file)} (${formatBytes(result.archiveSize)}) in ${formatDuration(result.durationMs)}`,
    )
  }
}

function entryJson({ path, sizeBytes }: ExportEvent & { type: 'entry' }): object {
  return { message_type: 'verbose_status', action: 'exported', ...rawField('item', path), size: sizeBytes }
}

function summaryJson(file: string, result: ExportResult): object {
  return {
    message_type: 'summary',
    ...rawField('file', file),
    ...(result.sidecar === undefined ? {} : rawField('sidecar', result.sidecar)),
    checksum: result.checksum,
    file_count: result.fileCount,
    entry_count: result.entryCount,
    total_size: result.totalSize,
    archive_size: result.archiveSize,
    losses: result.losses,
    snapshot_id: result.snapshot.id,
    snapshot_name: result.snapshot.name,
    incomplete: result.snapshot.incomplete,
    total_duration: result.durationMs / 1000,
  }
}
