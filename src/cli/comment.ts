import { CairnError } from '../base/errors.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { accessForChanges, reportChanged } from './snapshot-arguments.ts'

const HELP = `
The comment replaces the one that there is; an empty one takes it away. It may contain {hostname},
{now} and the like, as in 'cairn create'.

Examples:
  cairn comment /mnt/disk/backups::monday 'before the upgrade'
  cairn comment -r /mnt/disk/backups latest ''`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[SNAPSHOT]', 'REPO::SNAPSHOT, or with -r or CAIRN_REPO just SNAPSHOT')
    .argument('[TEXT]', 'its comment from now on')
    .usage('REPO::SNAPSHOT TEXT [OPTIONS]')
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
  const [text, ...more] = rest
  if (snapshot === undefined || text === undefined || more.length > 0)
    throw new CairnError('INVALID_ARGUMENT', 'Cannot comment: want a snapshot and a text; write REPO::SNAPSHOT TEXT')
  const { changeComment } = await context.world.operations.labels()
  const access = await accessForChanges(context, location)
  const comment = await context.expand(text)
  reportChanged(context, 'commented', await changeComment(access, { wanted: [snapshot] }, comment))
}
