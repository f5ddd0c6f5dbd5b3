import { CairnError } from '../base/errors.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { printable } from './output/text.ts'

const HELP = `
It is there for scripts made for Borg. Nothing here is ever locked: PROGRAM runs at once, what it
reads of the repository may change meanwhile, and its exit code is passed on.

Examples:
  cairn with-lock /mnt/disk/backups du -sh /mnt/disk/backups
  cairn with-lock -r /mnt/disk/backups sh -c 'sync; date'`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[REPO]', 'the repository, unless -r names it')
    .argument('[PROGRAM...]', 'the program to run, and its arguments')
    .usage('[REPO] PROGRAM [ARGUMENTS...]')
    .passThroughOptions()
    .addHelpText('after', HELP)
    .action((first: string | undefined, words: string[]) => run(context, first === undefined ? [] : [first, ...words]))
}

async function run(context: CommandContext, values: readonly string[]): Promise<void> {
  const { output, world } = context
  const places = context.common.repo === undefined ? 1 : 0
  const { location } = await context.select(values.slice(0, places), 'location')
  const words = values.slice(values[places] === '--' ? places + 1 : places)
  const [command] = words
  if (command === undefined)
    throw new CairnError('INVALID_ARGUMENT', 'Cannot run a command: none is given; write cairn with-lock REPO PROGRAM')
  output.warning(`there are no locks: other runs may use the repository while '${printable(command)}' runs`)
  const { runUnlocked } = await world.operations.locks()
  context.foreignExitCode = await runUnlocked({ location, signal: world.signal, ...context.remote() }, words)
}
