import { CairnError } from '../base/errors.ts'
import { checkSnapshotName } from '../config/snapshot-name.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { printable } from './output/text.ts'
import { accessForChanges, reportChanged } from './snapshot-arguments.ts'

const HELP = `
The id stays. NEW may contain {hostname}, {now} and the like, as in 'cairn create'.

Examples:
  cairn rename /mnt/disk/backups::monday before-upgrade
  cairn rename -r /mnt/disk/backups latest before-upgrade`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[SNAPSHOT]', 'REPO::SNAPSHOT, or with -r or CAIRN_REPO just SNAPSHOT')
    .argument('[NEW]', 'its name from now on')
    .usage('REPO::SNAPSHOT NEW [OPTIONS]')
    .addHelpText('after', HELP)
    .action((first: string | undefined, second: string | undefined) =>
      run(
        context,
        [first, second].filter((value) => value !== undefined),
      ),
    )
}

async function run(context: CommandContext, values: string[]): Promise<void> {
  const { location, snapshot, rest } = await context.select(values, 'snapshot')
  const [wanted, ...more] = rest
  if (snapshot === undefined || wanted === undefined || more.length > 0)
    throw new CairnError('INVALID_ARGUMENT', 'Cannot rename: want a snapshot and a name; write REPO::SNAPSHOT NEW')
  const name = await context.expand(wanted)
  checkSnapshotName(name)
  const { renameSnapshot } = await context.world.operations.rename()
  const before = await renameSnapshot(await accessForChanges(context, location), snapshot, name)
  if (context.output.settings.json) reportChanged(context, 'renamed', [{ ...before, name }])
  else context.output.note(`cairn: renamed ${printable(before.name)} to ${printable(name)}`)
}
