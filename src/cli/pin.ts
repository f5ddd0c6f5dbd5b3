import type { CommandContext, DefineCommand } from './context.ts'
import {
  type SelectionOptions,
  accessForChanges,
  addSelectionOptions,
  readSelection,
  reportChanged,
} from './snapshot-arguments.ts'

const HELP = `
A pinned snapshot survives every policy of 'cairn prune', and 'cairn delete' refuses it.

Examples:
  cairn pin /mnt/disk/backups::before-upgrade
  cairn pin -r /mnt/disk/backups -a '*-release'`

export const define: DefineCommand = (command, context) => {
  addSelectionOptions(command)
    .addHelpText('after', HELP)
    .action((first: string | undefined, more: string[], options: SelectionOptions) =>
      runPin(context, first === undefined ? [] : [first, ...more], options, true),
    )
}

export async function runPin(
  context: CommandContext,
  values: string[],
  options: SelectionOptions,
  isPinned: boolean,
): Promise<void> {
  const verb = isPinned ? 'pin' : 'unpin'
  const { location, selection } = await readSelection(
    context,
    values,
    options,
    () => `Cannot ${verb}: no snapshot was named; write REPO::SNAPSHOT, or REPO -a GLOB`,
  )
  const { pinSnapshots } = await context.world.operations.labels()
  const access = await accessForChanges(context, location)
  reportChanged(context, `${verb}ned`, await pinSnapshots(access, selection, isPinned))
}
