import { CairnError } from '../base/errors.ts'
import type { RepositoryAccess } from '../operations/repository-access.ts'
import type { EntryInfo, SnapshotInfo } from '../operations/snapshot-info.ts'
import type { SnapshotList } from '../operations/list.ts'
import type { PatternOption } from '../operations/patterns.ts'
import { showDespiteDamage } from './damage.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { formatMode, formatTime, nsToMs } from './output/format.ts'
import { printable } from './output/text.ts'
import { nodeJson, snapshotJson } from './output/record-json.ts'
import { snapshotLine } from './output/snapshot-line.ts'
import { addPatternOptions } from './pattern-options.ts'
import { pathsInSnapshot } from './positionals.ts'
import {
  addSnapshotOptions,
  choosesSnapshots,
  type SnapshotOptions,
  toSnapshotFilter,
  toSnapshotOrder,
} from './snapshot-options.ts'

interface ListCommandOptions extends SnapshotOptions {
  readonly short?: true
  readonly deleted?: true
  readonly format?: string
  readonly jsonLines?: true
}

const HELP = `
With -r or CAIRN_REPO, the first argument is a snapshot: a name, the beginning of an id,
or 'latest'. Without, it is the repository ('latest' and '::NAME' are of the default one).

A format is Borg's: text with {KEY}, {KEY:<36}, {time:%Y-%m-%d}. A wrong key tells all there are,
such as archive, id, time, comment of snapshots; mode, user, size, mtime, path, sha256 of entries.

Examples:
  cairn list /mnt/disk/backups --last 3
  cairn list /mnt/disk/backups::monday home/ann/documents
  cairn list -r /mnt/disk/backups latest --short --exclude '*.o'
  cairn list /mnt/disk/backups::monday --format '{sha256}  {path}{NL}'`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[REPO[::SNAPSHOT]]', 'REPO lists snapshots, REPO::SNAPSHOT its entries')
    .argument('[PATHS...]', 'only entries at or below these paths')
    .usage('[REPO | REPO::SNAPSHOT [PATH...]] [OPTIONS]')
    .option('--short', 'print only names or paths')
    .option('--format <FORMAT>', "print what FORMAT says, in Borg's notation")
    .option('--json-lines', "print entries in Borg's JSON, one a line")
    .option('--deleted', "list what was deleted and can still be brought back by 'cairn undelete'")
    .optionsGroup('Which snapshots are listed:')
  addSnapshotOptions(command).optionsGroup('Which entries are listed:')
  const patterns = addPatternOptions(command)
  command
    .addHelpText('after', HELP)
    .action((first: string | undefined, paths: string[], options: ListCommandOptions) =>
      run(context, first === undefined ? [] : [first, ...paths], options, patterns),
    )
}

async function run(
  context: CommandContext,
  values: string[],
  options: ListCommandOptions,
  patterns: readonly PatternOption[],
): Promise<void> {
  const selection = await context.select(values, 'repository')
  const { snapshot } = selection
  const problem = problemOf(options, patterns, snapshot !== undefined)
  if (problem !== undefined) throw new CairnError('INVALID_ARGUMENT', `Cannot list: ${problem}`)
  await showDespiteDamage(context, selection.location, (access) =>
    snapshot === undefined
      ? listSnapshots(context, access, options)
      : listEntries(context, access, snapshot, pathsInSnapshot(selection.rest), options, patterns),
  )
}

function problemOf(
  options: ListCommandOptions,
  patterns: readonly PatternOption[],
  isSnapshot: boolean,
): string | undefined {
  if (isSnapshot && options.deleted) return "a deleted snapshot cannot be looked into; 'cairn undelete' it first"
  if (isSnapshot && choosesSnapshots(options))
    return 'a snapshot is named, so none are to be chosen by options; leave them out'
  if (!isSnapshot && options.jsonLines) return '--json-lines is for entries; name a snapshot, or use --json'
  if (!isSnapshot && patterns.length > 0) return 'patterns choose entries of a snapshot; name one'
  return undefined
}

async function listSnapshots(
  context: CommandContext,
  access: RepositoryAccess,
  options: ListCommandOptions,
): Promise<void> {
  const { output, world, asBorg } = context
  const operations = await world.operations.list()
  const show = options.format === undefined && !asBorg ? undefined : await borgSnapshots(context, access, options)
  const list = await operations.listSnapshots(access, {
    deleted: options.deleted,
    filter: await toSnapshotFilter(context, options),
    order: toSnapshotOrder(options),
  })
  if (show) return show(list)
  const { snapshots } = list
  if (output.settings.json) {
    output.json(snapshots.map(snapshotJson))
    return
  }
  for (const snapshot of snapshots) {
    output.line(options.short ? printable(snapshot.name) : snapshotLine(snapshot))
    await output.ready()
  }
  if (snapshots.length === 0) {
    const none = choosesSnapshots(options)
      ? 'no such snapshots'
      : options.deleted
        ? 'no deleted snapshots'
        : 'no snapshots yet'
    output.note(`cairn: repository ${printable(access.location)} has ${none}`)
  }
}

/** Prints snapshots as Borg does, in the format given or its own. */
async function borgSnapshots(
  { output, common }: CommandContext,
  access: RepositoryAccess,
  { format, short }: ListCommandOptions,
): Promise<(list: SnapshotList) => Promise<void>> {
  const [{ keysOf, parseFormat }, keys, { borgRepositoryJson, documentText }] = await Promise.all([
    import('./borg/format-string.ts'),
    import('./borg/snapshot-keys.ts'),
    import('./borg/documents.ts'),
  ])
  const parts = parseFormat(format ?? (short ? '{archive}{NL}' : keys.SNAPSHOT_FORMAT), keys.SNAPSHOT_KEYS)
  return async ({ snapshots, lastSnapshot, ...repository }) => {
    if (common.json) {
      const archives = snapshots.map((snapshot) => keys.borgSnapshotJson(snapshot, keysOf(parts)))
      const document = borgRepositoryJson({
        ...repository,
        location: access.location,
        lastModified: lastSnapshot?.endedAt,
      })
      return output.text(documentText({ archives, ...document }))
    }
    for (const snapshot of snapshots) {
      output.text(keys.formatSnapshot(snapshot, parts))
      await output.ready()
    }
  }
}

async function listEntries(
  context: CommandContext,
  access: RepositoryAccess,
  snapshot: string,
  paths: readonly string[],
  options: ListCommandOptions,
  patterns: readonly PatternOption[],
): Promise<void> {
  const { output, world, asBorg } = context
  const operations = await world.operations.list()
  const { json } = output.settings
  if (options.format !== undefined || options.jsonLines || (asBorg && !json)) {
    const { borgEntries } = await import('./borg/list-entries.ts')
    const { visitor, needs } = borgEntries(output, options)
    await operations.listEntries(access, snapshot, paths, visitor, { patterns, ...needs })
    return
  }
  const visitor = {
    onSnapshot(found: SnapshotInfo): void {
      if (json) output.json({ message_type: 'snapshot', ...snapshotJson(found) })
    },
    async onEntry(entry: EntryInfo): Promise<void> {
      if (json) output.json(nodeJson(entry))
      else output.line(options.short ? printable(entry.path) : entryLine(entry))
      await output.ready()
    },
  }
  await operations.listEntries(access, snapshot, paths, visitor, { patterns })
}

/**
 * One line as `borg list REPO::NAME` and `ls -l` print it: `-rw-r--r-- ann    staff      1234 Sat, 2026-11-21 13:44:05 a/b`. A
 * device has its numbers in place of a size; `h` and `link to` mark another name of a file that came before.
 */
export function entryLine(entry: EntryInfo): string {
  const { device, hardLink, linkTarget } = entry
  const user = (printable(entry.user) || String(entry.uid)).padEnd(6)
  const group = (printable(entry.group) || String(entry.gid)).padEnd(6)
  const size = (device ? `${device.major},${device.minor}` : String(entry.sizeBytes)).padStart(8)
  const mode = formatMode(entry.type, entry.mode)
  const target =
    (hardLink === undefined ? '' : ` link to ${printable(hardLink)}`) +
    (linkTarget === undefined ? '' : ` -> ${printable(linkTarget)}`)
  const mark = entry.changed ? ' (changed while it was read)' : ''
  const shownMode = hardLink === undefined ? mode : `h${mode.slice(1)}`
  return `${shownMode} ${user} ${group} ${size} ${formatTime(nsToMs(entry.mtimeNs))} ${printable(entry.path)}${target}${mark}`
}
