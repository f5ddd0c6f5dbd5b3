import { Option } from 'commander'
import type { DefineCommand, CommandContext } from './context.ts'
import { freedByCompact } from './output/format.ts'
import { snapshotLine } from './output/snapshot-line.ts'
import {
  type SelectionOptions,
  accessForChanges,
  addSelectionOptions,
  readSelection,
  reportChanged,
} from './snapshot-arguments.ts'
import { addOrderOptions } from './snapshot-options.ts'

interface DeleteCommandOptions extends SelectionOptions {
  readonly dryRun?: true
  readonly list?: true
  readonly force?: true
  readonly stats?: true
}

const HELP = `
Deleting frees nothing by itself: 'cairn undelete' brings a snapshot back until 'cairn compact'
has reclaimed its space. All snapshots are looked up first; if one is unknown or pinned, none is
deleted. SNAPSHOT is a name, the beginning of an id, or 'latest'.

Examples:
  cairn delete /mnt/disk/backups::monday
  cairn delete -r /mnt/disk/backups monday tuesday
  cairn delete /mnt/disk/backups -a 'web-2025-*' --dry-run --list`

export const define: DefineCommand = (command, context) => {
  addOrderOptions(addSelectionOptions(command))
    .option('-n, --dry-run', 'delete nothing; with --list, print what would be deleted')
    .option('--list', 'print each snapshot that is deleted')
    .option('--force', 'delete pinned snapshots too')
    // In Borg's words; here the sum is printed anyway.
    .addOption(new Option('-s, --stats').hideHelp())
    .addHelpText('after', HELP)
    .action((first: string | undefined, more: string[], options: DeleteCommandOptions) =>
      run(context, first === undefined ? [] : [first, ...more], options),
    )
}

async function run(context: CommandContext, values: string[], options: DeleteCommandOptions): Promise<void> {
  const { output, world } = context
  const { location, selection } = await readSelection(
    context,
    values,
    options,
    (repository) =>
      `Cannot delete the whole repository ${repository}: this command deletes snapshots; name them (REPO::SNAPSHOT), or choose all with -a '*'. To be rid of the repository for good, remove that place itself`,
  )
  const { dryRun = false, list = false, force = false } = options
  const { deleteSnapshots } = await world.operations.delete()
  const borg = context.speaksBorg && !output.settings.json ? await import('./borg/deletions.ts') : undefined
  const { snapshots, reclaimableBytes, sizes } = await deleteSnapshots(await accessForChanges(context, location), {
    selection,
    dryRun,
    force,
    onDeleted: (deletion) => {
      if (borg) borg.reportBorgDeletion(context, deletion, options)
      else if (list && !output.settings.json) output.line(snapshotLine(deletion.snapshot))
    },
  })
  borg?.reportBorgSizes(context, sizes, options)
  const freed = freedByCompact(reclaimableBytes)
  const advice = dryRun ? `; ${freed} then` : `; ${freed}, and until then 'cairn undelete' brings it back`
  reportChanged(context, dryRun ? 'would delete' : 'deleted', snapshots, advice)
  if (output.settings.json) {
    output.json({
      message_type: 'summary',
      dry_run: dryRun,
      snapshots_deleted: snapshots.length,
      reclaimable_bytes: reclaimableBytes,
    })
  }
}
