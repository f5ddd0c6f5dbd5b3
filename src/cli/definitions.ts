import { Command, Option } from 'commander'
import { BORG_VERSION } from '../config/placeholders.ts'
import { VERSION } from '../operations/version.ts'
import { addBorgOptions } from './borg/options.ts'
import { COMMANDS } from './commands.ts'
import type { CommandContext, Definitions } from './context.ts'
import { formatHelp, helpWidth, styleHelp } from './help.ts'

const GLOBAL_HELP = `
Every command takes its repository as REPO or REPO::SNAPSHOT in front, as -r REPO, or from
the variable CAIRN_REPO; with none of them it is a local default repository.

Examples:
  cairn backup ~/documents                       into the default repository
  cairn init /mnt/disk/backups                   make a repository of your own
  cairn create /mnt/disk/backups::{now} ~/documents
  cairn list /mnt/disk/backups
  cairn restore -r /mnt/disk/backups latest --target /tmp/restored`

/**
 * What the program takes: commands, arguments, options and their help, in commander's terms. What runs, `--help`, completion and the
 * manual all come from here. Commands have nothing but a name and a summary until they are loaded.
 *
 * `onIgnored` is told of each of Borg's options that was given and has no effect.
 */
export function defineProgram(
  context: CommandContext,
  onIgnored: (option: string, why: string) => void = () => {},
): Definitions {
  const program = defineRoot(context)
  const addOptions = (command: Command): void => {
    addCommonOptions(command)
    addBorgOptions(command, command.name(), onIgnored)
  }
  addOptions(program)
  for (const { name, alias, group, summary, hidden = false } of COMMANDS) {
    const command = program.command(name, { hidden }).summary(summary).helpGroup(group)
    if (alias) command.alias(alias)
  }

  const loaded = new Set<Command>()
  const load = async (command: Command): Promise<void> => {
    const entry = COMMANDS.find(({ name }) => name === command.name())
    if (!entry || command.parent !== program || loaded.has(command)) return
    loaded.add(command)
    command.description(`${capitalize(entry.summary)}.`)
    const { define } = await entry.load()
    define(command, context)
    for (const one of [command, ...command.commands]) addOptions(one)
  }
  return { program, load }
}

function defineRoot(context: CommandContext): Command {
  const { output, asBorg } = context
  return new Command('cairn')
    .description('Deduplicated, compressed, encrypted, verified snapshots of folders, and back again.')
    .usage('COMMAND [ARGUMENTS] [OPTIONS]')
    .version(
      asBorg ? `borg ${BORG_VERSION} (cairn ${VERSION})` : `cairn ${VERSION}`,
      '-V, --version',
      'print the version',
    )
    .enablePositionalOptions()
    .exitOverride()
    .addHelpOption(new Option('-h, --help', 'show this help').helpGroup('Common options:'))
    .addHelpCommand(new Command('help').argument('[COMMAND]').summary('show the help of a command').helpGroup('About:'))
    .configureOutput({
      writeOut: (text) => output.text(styleHelp(text, output, 'out')),
      writeErr: (text) => output.text(styleHelp(text, output, 'err'), 'err'),
      outputError: () => {}, // reportError prints them
      getOutHelpWidth: () => helpWidth(output, 'out'),
      getErrHelpWidth: () => helpWidth(output, 'err'),
      getOutHasColors: () => output.hasColors('out'),
      getErrHasColors: () => output.hasColors('err'),
    })
    .configureHelp({
      styleTitle: (text) => output.style('bold', text),
      subcommandTerm: (command) => [command.name(), ...command.aliases()].join(', '),
      formatHelp,
    })
    .addHelpText('after', GLOBAL_HELP)
}

function addCommonOptions(command: Command): void {
  command
    .optionsGroup('Common options:')
    .option('-r, --repo <REPO>', 'location of the repository (CAIRN_REPO, BORG_REPO)')
    .option('--json', 'print JSON, one object a line where there are several')
    .option('-q, --quiet', 'print nothing but results, warnings and errors')
    .option('-v, --verbose', 'print more about what is done')
    .option('-p, --progress', 'show progress, also when the output is not a terminal')
    .option('--no-progress', 'show no progress')
    .option('--log-json', "print Borg's JSON objects in place of lines on standard error")
    .option('--show-rc', 'end with a line that tells the exit code')
    .addOption(new Option('--show-version', 'begin with a line that tells the version').hideHelp())
    .addOption(new Option('--iec', "Borg's, for sizes in binary units").hideHelp())
    .option('--rsh <CMD>', 'in place of ssh, to reach another machine (CAIRN_RSH, BORG_RSH)')
    .option('--remote-path <CMD>', 'in place of cairn, on another machine (CAIRN_REMOTE_PATH)')
    .addOption(new Option('--exit-codes <SET>', 'exit codes to use').choices(['cairn', 'borg']))
}

function capitalize(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}
