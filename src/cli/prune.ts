import path from 'node:path'
import { InvalidArgumentError, Option } from 'commander'
import { CairnError } from '../base/errors.ts'
import type { GroupField, SnapshotFilter } from '../operations/prune.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import {
  collectTags,
  parseGroupBy,
  parseInterval,
  parseKeepCount,
  type PolicyOptions,
  RULE_OPTIONS,
  toPolicy,
} from './prune-options.ts'
import { type PruneReportOptions, reportDecision, reportPruned } from './prune-report.ts'

interface PruneCommandOptions extends PolicyOptions, PruneReportOptions {
  readonly stats?: true
  readonly allowDeleteAll?: true
  readonly prefix?: string
  readonly globArchives?: string
  readonly host?: string[]
  readonly tag?: string[][]
  readonly path?: string[]
  readonly groupBy?: GroupField[]
}

const HELP = `
Rules go from fine to coarse, as in Borg: --keep-daily 7 keeps the last snapshot of each of
the 7 latest days that have any, in local time, and what a rule keeps does not count for the
next, so numbers add up. As long as a rule has room, the oldest snapshot stays too. N = -1
is all. --keep-within 30d keeps all younger than 30 days (H, d, w, m of 31 and y of 365 days).

With --policy kopia rules overlap, and reach back N hours, days, weeks, months or years from
the newest snapshot, whether there are snapshots in all of them or not.

Checkpoints of interrupted backups count for no rule: the newest one stays until there is a
newer snapshot of the same paths. Deleting frees no space yet; that is what compact does.

Examples:
  cairn prune /mnt/disk/backups --list --dry-run --keep-daily 7 --keep-weekly 4
  cairn prune /mnt/disk/backups --prefix '{hostname}-' -d 7 -w 4 -m 6 -y -1
  cairn prune -r /mnt/disk/backups --keep-within 2d -m 12 --group-by host,paths
  cairn prune -r /mnt/disk/backups --policy kopia --keep-latest 5 --keep-daily 7`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[REPO]', 'the repository, unless -r or CAIRN_REPO names it')
    .usage('[REPO] --keep-… [OPTIONS]')
    .option('--list', 'print each snapshot and why it is kept or deleted')
    .option('-n, --dry-run', 'delete nothing; with --list, print what would be done')
    .option('--allow-delete-all', 'go on when no snapshot would be left')
    .optionsGroup('What is kept:')
    .option('--keep-within <INTERVAL>', 'all younger than this, like 48H or 30d', parseInterval)
  for (const { flags, help } of RULE_OPTIONS) command.option(flags, help, parseKeepCount)
  command
    .option('--keep-tag <TAG>', 'all with this tag; a,b: with both (repeatable)', collectTags)
    .addOption(new Option('--policy <NAME>', 'whose rules these are').choices(['borg', 'kopia']).default('borg'))
    .optionsGroup('Which snapshots are looked at:')
    .addOption(new Option('-P, --prefix <PREFIX>', 'names that begin so').conflicts('globArchives'))
    .option('-a, --glob-archives <GLOB>', 'names that match wholly, like vm-*-daily')
    .option('--host <HOST>', 'of this host (repeatable)', collect)
    .option('--tag <TAG>', 'with this tag; a,b: with both (repeatable)', collectTags)
    .option('--path <PATH>', 'of this path (repeatable: of all of them)', collect)
    .option('--group-by <FIELDS>', 'apply the rules to each host, paths, tags by itself', parseGroupBy)
    // In Borg's words; here the sum is printed anyway.
    .addOption(new Option('-s, --stats').hideHelp())
    .addHelpText('after', HELP)
    .action((value: string | undefined, options: PruneCommandOptions) => run(context, value, options))
}

function collect(value: string, given: string[] = []): string[] {
  if (value === '') throw new InvalidArgumentError('It must not be empty.')
  return [...given, value]
}

async function run(context: CommandContext, value: string | undefined, options: PruneCommandOptions): Promise<void> {
  const { output, world } = context
  const { location, snapshot } = await context.select(value === undefined ? [] : [value], 'location')
  if (snapshot !== undefined) {
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot prune the one snapshot '${snapshot}': prune works on a repository; choose snapshots with --prefix or --glob-archives`,
    )
  }
  if (options.keep13weekly !== undefined && options.keep3monthly !== undefined) {
    throw new CairnError(
      'INVALID_ARGUMENT',
      'Cannot prune: --keep-13weekly and --keep-3monthly exclude each other; choose one kind of quarters',
    )
  }
  const policy = toPolicy(options)
  const filter = await toFilter(context, options)
  const { pruneSnapshots } = await world.operations.prune()
  const borg = context.speaksBorg && !output.settings.json ? await import('./borg/deletions.ts') : undefined
  const result = await pruneSnapshots(await context.access(location), {
    policy,
    filter,
    groupBy: options.groupBy,
    dryRun: options.dryRun,
    allowDeleteAll: options.allowDeleteAll,
    onEvent: (event) =>
      borg ? borg.reportBorgDecision(context, event, options) : reportDecision(output, event, options),
  })
  if (borg) borg.reportBorgSizes(context, result.sizes, options)
  else reportPruned(output, result, options)
}

async function toFilter(context: CommandContext, options: PruneCommandOptions): Promise<SnapshotFilter> {
  const expand = async (text: string | undefined): Promise<string | undefined> =>
    text === undefined ? undefined : context.expand(text)
  return {
    prefix: await expand(options.prefix),
    glob: await expand(options.globArchives),
    hosts: options.host,
    tags: options.tag,
    paths: options.path?.map((given) => path.resolve(given)),
  }
}
