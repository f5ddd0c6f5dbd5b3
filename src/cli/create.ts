import { InvalidArgumentError } from 'commander'
import { CairnError, isCairnError } from '../base/errors.ts'
import { checkSnapshotName, DEFAULT_SNAPSHOT_NAME } from '../config/snapshot-name.ts'
import type { CreateOptions, CreateResult } from '../operations/create.ts'
import type { RepositoryAccess } from '../operations/repository-access.ts'
import type { CommandContext, DefineCommand, Selection } from './context.ts'
import { createReport, type CreateReportOptions } from './create-report.ts'
import { EXIT_WARNINGS } from './exit-codes.ts'
import { parseCount } from './option-values.ts'
import { printable } from './output/text.ts'

interface CreateCommandOptions extends CreateReportOptions {
  readonly compression?: string
  readonly comment?: string
  readonly workers?: number
}

/** Status letters of interop with Borg; more than this version uses, so that scripts for Borg run. */
const STATUS_LETTERS = 'AMUCEdbchsfi-x'

const HELP = `
With no repository named, the local default repository is used, and made on first use.
NAME may contain {hostname}, {user}, {now}, {now:%Y-%m-%d} and the like; without NAME
it is ${DEFAULT_SNAPSHOT_NAME}. A path with '::' in it is written after --, or as ./a::b.

Status letters of --list: A added, M modified, U unchanged, C changed while it was read,
E could not be read, d folder, s symbolic link.

Examples:
  cairn backup ~/documents ~/photos
  cairn create /mnt/disk/backups::monday ~/documents
  cairn create -r /mnt/disk/backups --compression zstd,9 --stats ~/documents
  cairn create --list --filter AME '/mnt/disk/backups::{hostname}-{now}' /etc /home`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[PATHS...]', 'files and folders to save; REPO::NAME may come first')
    .usage('[REPO::NAME] PATH... [OPTIONS]')
    .option('-C, --compression <ALGORITHM>', 'none, lz4, zstd[,LEVEL], zlib[,LEVEL] or lzma[,LEVEL]')
    .option('--comment <TEXT>', 'note to keep with the snapshot')
    .option('-s, --stats', 'end with sizes: original, compressed, deduplicated')
    .option('--list', 'print every entry with a status letter')
    .option('--filter <LETTERS>', 'print only entries with these status letters, like AME', parseFilter)
    .option('--workers <N>', 'number of worker threads (default: one per processor)', parseCount)
    .addHelpText('after', HELP)
    .action((values: string[], options: CreateCommandOptions) => run(context, values, options))
}

async function run(context: CommandContext, values: string[], options: CreateCommandOptions): Promise<void> {
  const { output } = context
  const selection = await context.select(values, 'paths')
  if (selection.rest.length === 0) {
    const advice = values[0]?.includes('::')
      ? `if '${values[0]}' is one, write it after --`
      : "see 'cairn create --help'"
    throw new CairnError('INVALID_ARGUMENT', `Cannot create a snapshot: no file or folder to save was given; ${advice}`)
  }
  const name = selection.snapshot ?? (await context.expand(DEFAULT_SNAPSHOT_NAME))
  checkSnapshotName(name)

  const report = createReport(output, options, selection.location)
  if (output.settings.verbose && !output.settings.json) {
    const paths = selection.rest.map(printable).join(', ')
    output.note(`cairn: saving ${paths} as ${printable(name)} in ${printable(selection.location)}`)
  }
  const access = await context.access(selection.location)
  let result: CreateResult
  try {
    result = await create(context, access, selection, {
      name,
      nameIsDefault: selection.snapshot === undefined,
      paths: selection.rest,
      compression: options.compression,
      comment: options.comment === undefined ? undefined : await context.expand(options.comment),
      commandLine: ['cairn', ...context.argv],
      workers: options.workers,
      listEntries: report.listsEntries,
      countAhead: output.interactive && !output.settings.quiet,
      onEvent: report.onEvent,
    })
  } finally {
    report.endProgress()
  }
  report.finish(result)
  if (result.issues > 0) context.exitCode = EXIT_WARNINGS
}

async function create(
  context: CommandContext,
  access: RepositoryAccess,
  selection: Selection,
  options: CreateOptions,
): Promise<CreateResult> {
  const { createSnapshot } = await context.world.operations.create()
  try {
    return await createSnapshot(access, options)
  } catch (error) {
    if (!selection.isDefault || !isCairnError(error, 'REPOSITORY_NOT_FOUND')) throw error
    const { makeDefaultRepository } = await import('./new-repository.ts')
    await makeDefaultRepository(context)
    return createSnapshot(access, options)
  }
}

function parseFilter(value: string): string {
  const unknown = Array.from(value).find((letter) => !STATUS_LETTERS.includes(letter))
  if (value === '' || unknown !== undefined) {
    throw new InvalidArgumentError(`Status letters are ${STATUS_LETTERS}.`)
  }
  return value
}
