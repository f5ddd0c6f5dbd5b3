/**
 * cli: arguments, terminal and JSON output, exit codes; one file per verb. Everything that is done is done by `operations`.
 *
 * `runProgram` builds the command of the verb that was given (only that one is loaded), runs it, reports what went wrong, and
 * returns the exit code once everything has been written.
 */
import { Command, Option } from 'commander'
import { CairnError } from '../base/errors.ts'
import { VERSION } from '../operations/version.ts'
import { COMMANDS, type CommandEntry } from './commands.ts'
import { CommandContext, type CommonOptions } from './context.ts'
import { describeExitCode, EXIT_WARNINGS, toBorgExitCode } from './exit-codes.ts'
import { formatHelp, styleHelp } from './help.ts'
import { Output } from './output/output.ts'
import { reportError } from './report-error.ts'
import type { World } from './world.ts'

/** Runs the command line `argv` (without the program's name) and resolves to the exit code. Never throws, never exits. */
export async function runProgram(argv: readonly string[], world: World): Promise<number> {
  const output = new Output(world)
  const context = new CommandContext(world, output, argv)
  const { program, current } = buildProgram(context)
  const report = (error: unknown): number =>
    reportError(error, output, { command: current(), usesDefault: context.usesDefault })
  let exitCode: number
  try {
    // Usage errors come before the options are known, and must be in the right form too.
    output.settings = { ...output.settings, json: beforeDashes(argv).includes('--json') }
    await program.parseAsync(expandHelp(argv), { from: 'user' })
    exitCode = context.exitCode
  } catch (error) {
    output.endStatus()
    exitCode = report(error)
  }
  const asBorg = context.common.exitCodes === 'borg'
  if (asBorg) exitCode = toBorgExitCode(exitCode)
  // What runs in the background leaves this to the command that started it.
  if (context.common.showRc && !world.background.isInside)
    output.errorLine(describeExitCode(exitCode, asBorg ? 1 : EXIT_WARNINGS))

  const failure = await output.end()
  if (failure) {
    const error = new CairnError('TARGET_FAILED', `Cannot write to standard output: ${failure.message}`)
    return exitCode || report(error)
  }
  return exitCode
}

function buildProgram(context: CommandContext): { program: Command; current: () => string } {
  const { output } = context
  let entry: CommandEntry | undefined

  const program = new Command('cairn')
    .description('Deduplicated, compressed, encrypted, verified snapshots of folders, and back again.')
    .usage('COMMAND [ARGUMENTS] [OPTIONS]')
    .version(`cairn ${VERSION}`, '-V, --version', 'print the version')
    .enablePositionalOptions()
    .exitOverride()
    .helpOption('-h, --help', 'show this help')
    .addHelpCommand(new Command('help').argument('[COMMAND]').summary('show the help of a command').helpGroup('About:'))
    .configureOutput({
      writeOut: (text) => output.text(styleHelp(text, output, 'out')),
      writeErr: (text) => output.text(styleHelp(text, output, 'err'), 'err'),
      outputError: () => {}, // reportError prints them
      getOutHelpWidth: () => Math.min(output.columns('out') ?? 100, 100),
      getErrHelpWidth: () => Math.min(output.columns('err') ?? 100, 100),
      getOutHasColors: () => output.hasColors('out'),
      getErrHasColors: () => output.hasColors('err'),
    })
    .configureHelp({
      styleTitle: (text) => output.style('bold', text),
      subcommandTerm: (command) => [command.name(), ...command.aliases()].join(', '),
      formatHelp,
    })
  addCommonOptions(program)

  for (const { name, alias, group, summary } of COMMANDS) {
    const command = program.command(name).summary(summary).helpGroup(group)
    if (alias) command.alias(alias)
  }
  program.addHelpText('after', GLOBAL_HELP)

  program.hook('preSubcommand', async (_, command) => {
    entry = COMMANDS.find(({ name }) => name === command.name())
    if (!entry) return
    command.description(`${capitalize(entry.summary)}.`)
    const { define } = await entry.load()
    define(command, context)
    for (const one of [command, ...command.commands]) addCommonOptions(one)
  })
  program.hook('preAction', (_, command) => {
    const common: CommonOptions = { ...program.opts(), ...command.parent?.opts(), ...command.opts() }
    context.common = common
    context.output.settings = {
      json: common.json ?? false,
      quiet: common.quiet ?? false,
      verbose: common.verbose ?? false,
      progress: common.progress,
    }
  })
  return { program, current: () => (entry ? `cairn ${entry.name}` : 'cairn') }
}

function addCommonOptions(command: Command): void {
  command
    .optionsGroup('Common options:')
    .option('-r, --repo <REPO>', 'location of the repository (CAIRN_REPO, BORG_REPO)')
    .option('--json', 'print JSON, one object a line where there are several')
    .option('-q, --quiet', 'print nothing but results, warnings and errors')
    .option('-v, --verbose', 'print more about what is done')
    .option('--progress', 'show progress, also when the output is not a terminal')
    .option('--no-progress', 'show no progress')
    .option('--show-rc', 'end with a line that tells the exit code')
    .option('--rsh <CMD>', 'in place of ssh, to reach another machine (CAIRN_RSH, BORG_RSH)')
    .option('--remote-path <CMD>', 'in place of cairn, on another machine (CAIRN_REMOTE_PATH)')
    .addOption(new Option('--exit-codes <SET>', 'exit codes to use').choices(['cairn', 'borg']))
}

const GLOBAL_HELP = `
Every command takes its repository as REPO or REPO::SNAPSHOT in front, as -r REPO, or from
the variable CAIRN_REPO; with none of them it is a local default repository.

Examples:
  cairn backup ~/documents                          into the default repository
  cairn init /mnt/disk/backups                      make a repository of your own
  cairn create /mnt/disk/backups::{now} ~/documents
  cairn list /mnt/disk/backups
  cairn restore -r /mnt/disk/backups latest --target /tmp/restored`

/** `help create` as `create --help`: commander would print it before the command has been loaded. */
function expandHelp(argv: readonly string[]): readonly string[] {
  const [first, name] = argv
  return first === 'help' && name !== undefined && !name.startsWith('-') ? [name, '--help'] : argv
}

/** What comes before `--`, where options are. */
function beforeDashes(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--')
  return end < 0 ? argv : argv.slice(0, end)
}

function capitalize(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}
