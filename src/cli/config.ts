import { CairnError } from '../base/errors.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { printable } from './output/text.ts'

interface ConfigCommandOptions {
  readonly list?: true
  readonly delete?: true
}

const HELP = `
Settings, for all runs on the repository from then on; sizes like 2G, 0 is off:
  additional_free_space   no backup stores what would leave less than this on
                          the disk, so that there is room to clean up
  storage_quota           no backup makes the repository larger than this
  append_only             1: nothing is deleted but hidden, and no space
                          reclaimed; clients of a server cannot change that
To be read only: version, id.

Examples:
  cairn config /mnt/disk/backups additional_free_space 2G
  cairn config /mnt/disk/backups additional_free_space
  cairn config /mnt/disk/backups --delete storage_quota
  cairn config -r /mnt/disk/backups --list`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[REPO]', 'the repository, unless -r or CAIRN_REPO names it')
    .argument('[SETTING]', 'what to print or change')
    .argument('[VALUE]', 'what to change it to')
    .usage('[REPO] SETTING [VALUE]\n[REPO] --list\n[REPO] --delete SETTING')
    .option('-l, --list', 'print all of the configuration')
    .option('-d, --delete', 'put SETTING back to its default')
    .addHelpText('after', HELP)
    .action((...args: unknown[]) => {
      const values = args.slice(0, 3).filter((value) => typeof value === 'string')
      return run(context, values, args[3] as ConfigCommandOptions)
    })
}

async function run(context: CommandContext, values: string[], options: ConfigCommandOptions): Promise<void> {
  const { output, world } = context
  // Where the repository is known from elsewhere, the first argument is a name: as it would be that of a snapshot.
  const { location, snapshot, rest } = await context.select(values, 'repository')
  const [name, value, ...more] = snapshot === undefined ? rest : [snapshot, ...rest]
  if (options.list && options.delete) throw usage('--list and --delete exclude each other')
  if (more.length > 0 || (options.list ? name : options.delete && value) !== undefined)
    throw usage('there are too many arguments')

  const operations = await world.operations.config()
  const access = await context.access(location)
  if (options.list) {
    const entries = await operations.listConfig(access)
    if (output.settings.json) output.json(Object.fromEntries(entries.map((entry) => [entry.name, entry.value])))
    else
      for (const line of ['[repository]', ...entries.map((entry) => `${entry.name} = ${entry.text}`)]) output.line(line)
  } else if (name === undefined) throw usage('no name is given')
  else if (options.delete) await operations.unsetConfig(access, name)
  else if (value === undefined) {
    const entry = await operations.getConfig(access, name)
    if (output.settings.json) output.json({ [entry.name]: entry.value })
    else output.line(printable(entry.text))
  } else await operations.setConfig(access, name, value)
}

function usage(found: string): CairnError {
  return new CairnError(
    'INVALID_ARGUMENT',
    `Cannot read the command: ${found}; write cairn config REPO SETTING [VALUE], or cairn config REPO --list`,
  )
}
