import { CairnError } from '../base/errors.ts'
import type { RepositoryAccess } from '../operations/repository-access.ts'
import type { EntryInfo } from '../operations/snapshot-info.ts'
import { showDespiteDamage } from './damage.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { formatMode, formatTime, nsToMs } from './output/format.ts'
import { printable } from './output/text.ts'
import { nodeJson, snapshotJson } from './output/record-json.ts'
import { snapshotLine } from './output/snapshot-line.ts'
import { snapshotPaths } from './positionals.ts'

interface ListCommandOptions {
  readonly short?: true
  readonly deleted?: true
}

const HELP = `
With -r or CAIRN_REPO, the first argument is a snapshot: a name, the beginning of an id,
or 'latest'. Without, it is the repository ('latest' and '::NAME' are of the default one).

Examples:
  cairn list                                    snapshots of the default repository
  cairn list /mnt/disk/backups
  cairn list /mnt/disk/backups::monday home/ann/documents
  cairn list -r /mnt/disk/backups latest --short`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[REPO]', 'REPO lists snapshots, REPO::SNAPSHOT its entries')
    .argument('[PATHS...]', 'only entries at or below these paths')
    .usage('[REPO | REPO::SNAPSHOT [PATH...]] [OPTIONS]')
    .option('--short', 'print only names or paths')
    .option('--deleted', "list what was deleted and can still be brought back by 'cairn undelete'")
    .addHelpText('after', HELP)
    .action((first: string | undefined, paths: string[], options: ListCommandOptions) =>
      run(context, first === undefined ? [] : [first, ...paths], options),
    )
}

async function run(context: CommandContext, values: string[], options: ListCommandOptions): Promise<void> {
  const selection = await context.select(values, 'repository')
  const { snapshot } = selection
  if (options.deleted && snapshot !== undefined)
    throw new CairnError('INVALID_ARGUMENT', "Cannot list what is in a deleted snapshot: 'cairn undelete' it first")
  await showDespiteDamage(context, selection.location, (access) =>
    snapshot === undefined
      ? listSnapshots(context, access, options)
      : listEntries(context, access, snapshot, snapshotPaths(selection.rest), options),
  )
}

async function listSnapshots(
  context: CommandContext,
  access: RepositoryAccess,
  options: ListCommandOptions,
): Promise<void> {
  const { output, world } = context
  const operations = await world.operations.list()
  const { snapshots } = await operations.listSnapshots(access, { deleted: options.deleted })
  if (output.settings.json) {
    output.json(snapshots.map(snapshotJson))
    return
  }
  for (const snapshot of snapshots) {
    output.line(options.short ? printable(snapshot.name) : snapshotLine(snapshot))
    await output.ready()
  }
  if (snapshots.length === 0) {
    const none = options.deleted ? 'no deleted snapshots' : 'no snapshots yet'
    output.note(`cairn: repository ${printable(access.location)} has ${none}`)
  }
}

async function listEntries(
  context: CommandContext,
  access: RepositoryAccess,
  snapshot: string,
  paths: readonly string[],
  options: ListCommandOptions,
): Promise<void> {
  const { output, world } = context
  const operations = await world.operations.list()
  const { json } = output.settings
  await operations.listEntries(access, snapshot, paths, {
    onSnapshot(found) {
      if (json) output.json({ message_type: 'snapshot', ...snapshotJson(found) })
    },
    async onEntry(entry) {
      if (json) output.json(nodeJson(entry))
      else output.line(options.short ? printable(entry.path) : entryLine(entry))
      await output.ready()
    },
  })
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
