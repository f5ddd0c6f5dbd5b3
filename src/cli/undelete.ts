import { CairnError } from '../base/errors.ts'
import { checkSnapshotName } from '../config/snapshot-name.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { reportChanged } from './snapshot-arguments.ts'

interface UndeleteCommandOptions {
  readonly name?: string
}

const HELP = `
'cairn list --deleted' shows what can be brought back: what was deleted and whose space has not
been reclaimed. The snapshot gets a new id, and its old name unless another one has it by now.

Examples:
  cairn undelete /mnt/disk/backups::monday
  cairn undelete -r /mnt/disk/backups 3f2a --name monday-again`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[SNAPSHOT]', 'REPO::SNAPSHOT, or with -r or CAIRN_REPO just SNAPSHOT')
    .usage('REPO::SNAPSHOT [OPTIONS]')
    .option('--name <NAME>', 'name it so')
    .addHelpText('after', HELP)
    .action((first: string | undefined, options: UndeleteCommandOptions) =>
      run(context, first === undefined ? [] : [first], options),
    )
}

async function run(context: CommandContext, values: string[], options: UndeleteCommandOptions): Promise<void> {
  const { location, snapshot } = await context.select(values, 'snapshot')
  if (snapshot === undefined)
    throw new CairnError('INVALID_ARGUMENT', 'Cannot undelete: no snapshot was named; write REPO::SNAPSHOT')
  const name = options.name === undefined ? undefined : await context.expand(options.name)
  if (name !== undefined) checkSnapshotName(name)
  const { undeleteSnapshot } = await context.world.operations.undelete()
  const restored = await undeleteSnapshot(await context.access(location), { wanted: snapshot, name })
  reportChanged(context, 'undeleted', [restored])
}
