import { CairnError } from '../base/errors.ts'
import { checkSnapshotName, DEFAULT_SNAPSHOT_NAME } from '../config/snapshot-name.ts'
import type { CreateResult } from '../operations/create.ts'
import { addArchiveOptions, type ArchiveCommandOptions, parseTarFilter } from './archive-options.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { createReport, type CreateReportOptions, parseFilter } from './create-report.ts'
import { EXIT_WARNINGS } from './exit-codes.ts'
import { orMakeDefault } from './new-repository.ts'
import { collectTags, parseCount } from './option-values.ts'
import { printable } from './output/text.ts'
import { splitLocation } from './positionals.ts'
import { parseTimestamp } from './timestamp.ts'

interface ImportCommandOptions extends CreateReportOptions, ArchiveCommandOptions {
  readonly compression?: string
  readonly comment?: string
  readonly timestamp?: number
  readonly tag?: string[]
  readonly workers?: number
  readonly ignoreZeros?: true
  readonly atime?: true
  readonly numericIds?: true
}

const HELP = `
FILE is a tar, plain or compressed with gzip or zstd, or with xz, bzip2 or lz4 where that program is
installed; or a zip. - reads a tar from standard input. REPO::NAME may come first too, as in Borg.

Every file is stored by itself, as 'cairn create' would after extracting. What would lead out of the
archive is left out; one that is damaged or cut off is refused, and so is one that is not what the
FILE.meta.json beside it says: nothing is saved then.

Examples:
  cairn import monday.tar.zst /mnt/disk/backups::monday
  docker export web | cairn import - /mnt/disk/backups::web-{now}`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[FILE]', 'the archive to read, or -')
    .argument('[REPO]', 'REPO::NAME of the snapshot to make')
    .usage('FILE [REPO::NAME] [OPTIONS]')
    .option('-C, --compression <ALGORITHM>', 'none, lz4, zstd[,LEVEL], zlib[,LEVEL] or lzma[,LEVEL]')
    .option('--comment <TEXT>', 'note to keep with the snapshot')
    .option(
      '--timestamp <TIME>',
      'time of the snapshot: 2026-11-21T13:44:05, or of a file',
      parseTimestamp(context.asBorg ? 'utc' : 'local'),
    )
    .option('--tag <TAG>', 'tag to give it, or several with commas between them (repeatable)', collectTags)
    .option('-s, --stats', 'end with sizes: original, compressed, deduplicated')
    .option('--list', 'print every entry with a status letter')
    .option('--filter <LETTERS>', 'print only entries with these status letters, like AE', parseFilter)
    .option('--workers <N>', 'number of worker threads (default: one per processor)', parseCount)
    .option('--ignore-zeros', 'read on behind the end mark of a tar: for several put together')
    .option('--numeric-ids', 'store owners by number only')
    .option('--atime', 'store access times')
  addArchiveOptions(command, 'its content')
  command
    .addHelpText('after', HELP)
    .action((first: string | undefined, second: string | undefined, options: ImportCommandOptions) =>
      run(context, [first, second], options),
    )
}

async function run(
  context: CommandContext,
  words: readonly (string | undefined)[],
  options: ImportCommandOptions,
): Promise<void> {
  const { output } = context
  const given = words.filter((word) => word !== undefined)
  // The one that names a repository or a snapshot, in whatever order; otherwise the first is the file.
  const named = given.findIndex((word) => splitLocation(word).repository !== word)
  const repository = given[named < 0 ? 1 : named]
  const file = given[named === 0 ? 1 : 0]
  if (file === undefined) throw new CairnError('INVALID_ARGUMENT', 'Cannot import: no archive was named')
  const selection = await context.select(repository === undefined ? [] : [repository], 'snapshot')
  if (selection.rest.length > 0) {
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot import to ${printable(repository ?? '')}: write REPO::NAME, or -r REPO and the name`,
    )
  }
  const name = selection.snapshot ?? (await context.expand(DEFAULT_SNAPSHOT_NAME))
  checkSnapshotName(name)
  const report = createReport(output, options, selection.location)
  const access = await context.access(selection.location)
  let result: CreateResult
  try {
    result = await orMakeDefault(context, selection, async () => {
      const { importArchive } = await context.world.operations.import()
      return importArchive(access, {
        file,
        format: options.format,
        filter: parseTarFilter(options.tarFilter),
        ignoreZeros: options.ignoreZeros,
        atime: options.atime,
        numericIds: options.numericIds,
        name,
        nameIsDefault: selection.snapshot === undefined,
        compression: options.compression,
        comment: options.comment === undefined ? undefined : await context.expand(options.comment),
        timestampMs: options.timestamp,
        tags: options.tag,
        commandLine: ['cairn', ...context.argv],
        workers: options.workers,
        listEntries: report.listsEntries,
        onEvent: report.onEvent,
      })
    })
  } finally {
    report.endProgress()
  }
  report.finish(result)
  if (result.issues + result.warnings > 0) context.exitCode = EXIT_WARNINGS
}
