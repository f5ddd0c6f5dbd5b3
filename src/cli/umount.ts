import { rawField } from './output/raw-json.ts'
import type { DefineCommand } from './context.ts'

const HELP = `
Also takes away a mount whose process was killed ('Transport endpoint is not connected').

Examples:
  cairn umount /mnt/backups
  cairn umount --json ~/restored`

export const define: DefineCommand = (command, context) => {
  command
    .argument('<DIR>', 'folder on which snapshots are mounted')
    .usage('DIR [OPTIONS]')
    .addHelpText('after', HELP)
    .action(async (directory: string) => {
      const { output, world } = context
      const { unmountSnapshots } = await world.operations.mount()
      await unmountSnapshots(directory)
      if (output.settings.json) output.json({ message_type: 'unmounted', ...rawField('mount_point', directory) })
    })
}
