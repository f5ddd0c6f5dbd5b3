import { CairnError } from '../base/errors.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { collectTags } from './option-values.ts'
import {
  type SelectionOptions,
  accessForChanges,
  addSelectionOptions,
  readSelection,
  reportChanged,
} from './snapshot-arguments.ts'

interface TagCommandOptions extends SelectionOptions {
  readonly add?: string[]
  readonly remove?: string[]
  readonly set?: string[]
}

const HELP = `
Options can be repeated, and take several tags with commas between them. --set '' takes all away.

Examples:
  cairn tag /mnt/disk/backups::monday --add before-upgrade,keep
  cairn tag /mnt/disk/backups -a 'web-*' --remove nightly --add web
  cairn tag -r /mnt/disk/backups latest --set ''`

export const define: DefineCommand = (command, context) => {
  addSelectionOptions(command)
    .option('--add <TAG>', 'add a tag', collectTags)
    .option('--remove <TAG>', 'take a tag away', collectTags)
    .option('--set <TAG>', 'replace all tags', collectTags)
    .addHelpText('after', HELP)
    .action((first: string | undefined, more: string[], options: TagCommandOptions) =>
      run(context, first === undefined ? [] : [first, ...more], options),
    )
}

async function run(context: CommandContext, values: string[], options: TagCommandOptions): Promise<void> {
  const { add, remove, set } = options
  const { location, selection } = await readSelection(
    context,
    values,
    options,
    () => 'Cannot change tags: no snapshot was named; write REPO::SNAPSHOT, or REPO -a GLOB',
  )
  if (!add && !remove && !set)
    throw new CairnError('INVALID_ARGUMENT', 'Cannot change tags: want --add, --remove or --set')
  if (set && (add ?? remove))
    throw new CairnError(
      'INVALID_ARGUMENT',
      'Cannot change tags: --set replaces all, so --add and --remove do not go with it',
    )
  const { changeTags } = await context.world.operations.labels()
  const access = await accessForChanges(context, location)
  reportChanged(context, 'tagged', await changeTags(access, selection, { add, remove, set }))
}
