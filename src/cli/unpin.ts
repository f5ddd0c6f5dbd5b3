import type { DefineCommand } from './context.ts'
import { runPin } from './pin.ts'
import { type SelectionOptions, addSelectionOptions } from './snapshot-arguments.ts'

const HELP = `
Examples:
  cairn unpin /mnt/disk/backups::before-upgrade
  cairn unpin -r /mnt/disk/backups -a '*-release'`

export const define: DefineCommand = (command, context) => {
  addSelectionOptions(command)
    .addHelpText('after', HELP)
    .action((first: string | undefined, more: string[], options: SelectionOptions) =>
      runPin(context, first === undefined ? [] : [first, ...more], options, false),
    )
}
