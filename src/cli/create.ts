import { Option } from 'commander'
import { CairnError } from '../base/errors.ts'
import { checkSnapshotName, DEFAULT_SNAPSHOT_NAME } from '../config/snapshot-name.ts'
import type { CreateResult, Detect } from '../operations/create.ts'
import type { PatternOption } from '../operations/patterns.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { addPipeOptions, describePipe, type PipeCommandOptions, pipeOf } from './create-pipe.ts'
import { createReport, type CreateReportOptions, parseFilter } from './create-report.ts'
import { EXIT_WARNINGS } from './exit-codes.ts'
import { collectTags, parseCount, parseDuration, parseSize } from './option-values.ts'
import { printable } from './output/text.ts'
import { orMakeDefault } from './new-repository.ts'
import { addPatternOptions } from './pattern-options.ts'
import { parseTimestamp } from './timestamp.ts'

interface CreateCommandOptions extends CreateReportOptions, PipeCommandOptions {
  readonly compression?: string
  readonly comment?: string
  readonly timestamp?: number
  readonly tag?: string[]
  readonly workers?: number
  readonly dryRun?: true
  readonly detect?: Detect
  readonly settle?: number
  readonly stableFor?: number
  readonly syncBefore?: true
  readonly checkpointInterval?: number
  readonly excludeCaches?: true
  readonly excludeIfPresent?: string[]
  readonly keepExcludeTags?: true
  readonly excludeLargerThan?: number
  readonly excludeNodump?: true
  readonly oneFileSystem?: true
  readonly ignoreFile?: string[]
  readonly includeFile?: string[]
  readonly numericIds?: true
  readonly atime?: true
  /** Absent unless given: commander sets its default `true` for `--no-…` before commands add their options. */
  readonly xattrs?: false
  readonly acls?: false
  readonly flags?: false
}

const HELP = `
With no repository named, the local default repository is used, and made on first use.
NAME may contain {hostname}, {user}, {now}, {now:%Y-%m-%d} and the like; without NAME
it is ${DEFAULT_SNAPSHOT_NAME}. A path with '::' in it is written after --, or as ./a::b.

Status letters of --list: A added, M modified, U unchanged, C changed while it was read,
E could not be read, d folder, s symbolic link, h another name of a file that came before,
f FIFO, c b device, i standard input or a command's output, x left out by a rule,
- would be saved (--dry-run).

An unchanged file is one with the same type, size, mtime, ctime and inode number as in the
previous snapshot; where a file system's numbers mean little (file servers, FUSE, FAT), one
with the same type, size and mtime and a few blocks of the same content. --detect chooses.

Examples:
  cairn backup ~/documents ~/photos
  cairn create --dry-run --list -e '*.o' --exclude-caches ~/src
  cairn create --ignore-file .gitignore --settle 300 --sync-before /mnt/nas
  cairn create --content-from-command /mnt/backups::shop-{now} -- pg_dump shop`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[PATHS...]', 'files and folders to save, or - for standard input; REPO::NAME may come first')
    .usage('[REPO::NAME] PATH... [OPTIONS]\n[REPO::NAME] - [OPTIONS]')
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
    .option('--filter <LETTERS>', 'print only entries with these status letters, like AME', parseFilter)
    .option('-n, --dry-run', 'save nothing; with --list, print what would be saved')
    .option('--workers <N>', 'number of worker threads (default: one per processor)', parseCount)
    .option(
      '-c, --checkpoint-interval <TIME>',
      'save what there is so far every TIME, 0 for never (default: 5m)',
      parseDuration('s'),
    )
    .optionsGroup('What is saved:')
  const patterns = addPatternOptions(command)
  command
    .option('--exclude-caches', 'leave out folders with a valid CACHEDIR.TAG')
    .option('--exclude-if-present <NAME>', 'leave out folders in which NAME lies (repeatable)', collect)
    .option('--keep-exclude-tags', 'of folders left out so, keep the folder and the tag')
    .option('--exclude-larger-than <SIZE>', 'leave out files larger than SIZE, like 500M', parseSize)
    .option('--exclude-nodump', "leave out what has chattr's flag d")
    .option('-x, --one-file-system', 'stay in one file system')
    .option('--ignore-file <NAME>', "leave out what files of this NAME say, by git's rules (repeatable)", collect)
    .option('--include-file <NAME>', 'save only what files of this NAME list, where one lies (repeatable)', collect)
    .option('--numeric-ids', 'store owners by number only')
    .option('--atime', 'store access times')
    .addOption(new Option('--no-xattrs', 'store no extended attributes'))
    .addOption(new Option('--no-acls', 'store no ACLs'))
    .addOption(new Option('--no-flags', 'store no file flags'))
  addPipeOptions(command)
  command
    .optionsGroup('What counts as changed:')
    .addOption(new Option('--detect <WAY>', 'how unchanged files are recognized').choices(DETECT).default('auto'))
    .option('--settle <TIME>', 'wait so long before looking: 300 or 300ms, 2s', parseDuration('ms'))
    .option('--stable-for <TIME>', 'save a file only once it has stayed the same so long', parseDuration('ms'))
    .option('--sync-before', 'have the system write everything to disk first')
  command
    .addHelpText('after', HELP)
    .action((values: string[], options: CreateCommandOptions) => run(context, values, patterns, options))
}

const DETECT = ['auto', 'ctime', 'mtime', 'partial-hash', 'full-hash'] as const satisfies readonly Detect[]

function collect(value: string, given: string[] = []): string[] {
  return [...given, value]
}

async function run(
  context: CommandContext,
  values: string[],
  patternOptions: readonly PatternOption[],
  options: CreateCommandOptions,
): Promise<void> {
  const { output } = context
  const selection = await context.select(values, 'paths')
  const { parsePatternOptions } = await context.world.operations.patterns()
  const patterns = parsePatternOptions(patternOptions)
  const paths = [...selection.rest, ...patterns.roots]
  const pipe = pipeOf(selection.rest, options)
  if (pipe && patterns.roots.length > 0)
    throw new CairnError(
      'INVALID_ARGUMENT',
      "Cannot save what a pipe gives together with folders: leave 'R' out of the patterns",
    )
  if (paths.length === 0) {
    const advice = values[0]?.includes('::')
      ? `if '${values[0]}' is one, write it after --`
      : "see 'cairn create --help'"
    throw new CairnError('INVALID_ARGUMENT', `Cannot create a snapshot: no file or folder to save was given; ${advice}`)
  }
  const name = selection.snapshot ?? (await context.expand(DEFAULT_SNAPSHOT_NAME))
  checkSnapshotName(name)

  const report = context.speaksBorg
    ? (await import('./borg/create-report.ts')).borgCreateReport(context, options, selection.location, paths)
    : createReport(output, options, selection.location)
  if (output.settings.verbose && !output.settings.json) {
    output.note(
      `cairn: saving ${pipe ? describePipe(pipe) : paths.map(printable).join(', ')} as ${printable(name)} in ${printable(selection.location)}`,
    )
  }
  const access = await context.access(selection.location)
  const source = {
    paths,
    skipMissing: context.asBorg, // as Borg, whose scripts name folders that not every machine has
    selection: {
      patterns: patterns.rules,
      ignoreFiles: options.ignoreFile ?? [],
      includeFiles: options.includeFile ?? [],
      excludeCaches: options.excludeCaches ?? false,
      excludeIfPresent: options.excludeIfPresent ?? [],
      keepExcludeTags: options.keepExcludeTags ?? false,
      excludeLargerThanBytes: options.excludeLargerThan,
      excludeNodump: options.excludeNodump ?? false,
      oneFileSystem: options.oneFileSystem ?? false,
    },
    numericIds: options.numericIds,
    atime: options.atime,
    settleMs: options.settle,
    syncBefore: options.syncBefore,
    listEntries: report.listsEntries,
    onEvent: report.onEvent,
  }
  if (options.dryRun) {
    if (pipe)
      throw new CairnError('INVALID_ARGUMENT', 'Cannot use --dry-run with what a pipe gives: it can be read once')
    const { dryRunCreate } = await context.world.operations.createDryRun()
    const result = await dryRunCreate(access, source)
    report.finishDryRun(result)
    if (result.issues > 0) context.exitCode = EXIT_WARNINGS
    return
  }
  const save = {
    name,
    nameIsDefault: selection.snapshot === undefined,
    compression: options.compression,
    comment: options.comment === undefined ? undefined : await context.expand(options.comment),
    timestampMs: options.timestamp,
    tags: options.tag,
    commandLine: ['cairn', ...context.argv],
    workers: options.workers,
    attributes: {
      xattrs: options.xattrs !== false,
      acls: options.acls !== false,
      flags: options.flags !== false,
    },
  }
  let result: CreateResult
  try {
    result = await orMakeDefault(context, selection, async () => {
      if (pipe) {
        const { createFromPipe } = await context.world.operations.createFromPipe()
        const { listEntries, onEvent } = source
        return createFromPipe(access, { ...save, ...pipe, listEntries, onEvent })
      }
      const { createSnapshot } = await context.world.operations.create()
      return createSnapshot(access, {
        ...source,
        ...save,
        detect: options.detect,
        stableForMs: options.stableFor,
        checkpointIntervalMs: options.checkpointInterval,
        countAhead: output.interactive && !output.settings.quiet,
      })
    })
  } finally {
    report.endProgress()
  }
  report.finish(result)
  if (result.issues + result.warnings > 0) context.exitCode = EXIT_WARNINGS
}
