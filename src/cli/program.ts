/**
 * cli: arguments, terminal and JSON output, exit codes; one file per verb. Everything that is done is done by `operations`.
 *
 * `runProgram` builds the command of the verb that was given (only that one is loaded), runs it, reports what went wrong, and
 * returns the exit code once everything has been written.
 */
import { Command, Option } from 'commander'
import { CairnError } from '../base/errors.ts'
import { BORG_VERSION } from '../config/placeholders.ts'
import { VERSION } from '../operations/version.ts'
import { COMMANDS, type CommandEntry } from './commands.ts'
import { CommandContext, type CommonOptions } from './context.ts'
import { addBorgOptions } from './borg/options.ts'
import { describeExitCode, type Outcome, toBorgExitCode } from './exit-codes.ts'
import { formatHelp, styleHelp } from './help.ts'
import { reportWarning } from './output/issue.ts'
import { LOGGERS, Output, type OutputSettings } from './output/output.ts'
import { reportError } from './report-error.ts'
import type { World } from './world.ts'

/** Runs the command line `argv` (without the program's name) and resolves to the exit code. Never throws, never exits. */
export async function runProgram(argv: readonly string[], world: World): Promise<number> {
  const output = new Output(world)
  const context = new CommandContext(world, output, argv)
  const { program, current } = buildProgram(context)
  const report = (error: unknown): Outcome =>
    reportError(error, output, { command: current(), usesDefault: context.usesDefault })
  let outcome: Outcome
  try {
    // Usage errors come before the options are known, and must be in the right form too.
    const early = beforeDashes(argv)
    output.settings = {
      ...output.settings,
      json: early.includes('--json') && !context.asBorg,
      logJson: early.includes('--log-json'),
    }
    await program.parseAsync(expandHelp(argv), { from: 'user' })
    outcome = { exitCode: context.exitCode }
  } catch (error) {
    output.endStatus()
    outcome = report(error)
  }
  const { foreignExitCode } = context
  const isBorgs = (context.common.exitCodes ?? (context.asBorg ? 'borg' : 'cairn')) === 'borg'
  const finish = (given: Outcome): number =>
    isBorgs ? toBorgExitCode(given, world.env, output.complaints) : given.exitCode
  let exitCode = foreignExitCode ?? finish(outcome)
  // What runs in the background leaves this to the command that started it.
  if (context.common.showRc && !world.background.isInside) {
    const { text, level } = describeExitCode(exitCode, isBorgs)
    output.log(level, text, { name: LOGGERS.rc })
  }

  const failure = await output.end()
  if (failure) {
    const lost = report(new CairnError('TARGET_FAILED', `Cannot write to standard output: ${failure.message}`))
    exitCode ||= finish(lost)
  }
  return exitCode
}

function buildProgram(context: CommandContext): { program: Command; current: () => string } {
  const { output } = context
  let entry: CommandEntry | undefined

  const program = new Command('cairn')
    .description('Deduplicated, compressed, encrypted, verified snapshots of folders, and back again.')
    .usage('COMMAND [ARGUMENTS] [OPTIONS]')
    .version(
      context.asBorg ? `borg ${BORG_VERSION} (cairn ${VERSION})` : `cairn ${VERSION}`,
      '-V, --version',
      'print the version',
    )
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
  const ignored = new Map<string, string>()
  const addOptions = (command: Command, name: string): void => {
    addCommonOptions(command)
    addBorgOptions(command, name, (option, why) => ignored.set(option, why))
  }
  addOptions(program, 'cairn')

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
    for (const one of [command, ...command.commands]) addOptions(one, one.name())
  })
  program.hook('preAction', (_, command) => {
    const common: CommonOptions = { ...program.opts(), ...command.parent?.opts(), ...command.opts() }
    context.common = common
    context.output.settings = settingsOf(common, context.asBorg, command.name())
    if (common.showVersion) {
      const version = context.asBorg ? `borgbackup version ${BORG_VERSION} (cairn ${VERSION})` : `cairn ${VERSION}`
      output.log('INFO', version, { name: LOGGERS.version })
    }
    if (!context.asBorg)
      for (const [option, why] of ignored)
        reportWarning(output, { message: `${option} has no effect: ${why}`, code: 'UNSUPPORTED' })
  })
  return { program, current: () => (entry ? `cairn ${entry.name}` : 'cairn') }
}

/** Commands with a JSON document of Borg's own. */
const BORG_DOCUMENTS = new Set(['create', 'list', 'info'])

function settingsOf(common: CommonOptions, asBorg: boolean, command: string): OutputSettings {
  const verbose = common.verbose ?? false
  return {
    json: (common.json ?? false) && !(asBorg && BORG_DOCUMENTS.has(command)),
    // Borg says nothing of what went well unless asked.
    quiet: common.quiet ?? (asBorg && !verbose),
    verbose,
    progress: common.progress ?? (asBorg ? false : undefined),
    silent: common.silent ?? false,
    listingsToStderr: asBorg,
    logJson: common.logJson ?? false,
  }
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
