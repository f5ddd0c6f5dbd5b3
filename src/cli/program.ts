/**
 * cli: arguments, terminal and JSON output, exit codes; one file per verb. Everything that is done is done by `operations`.
 *
 * `runProgram` defines the command of the verb that was given (only that one is loaded), runs it, reports what went wrong, and
 * returns the exit code once everything has been written.
 */
import type { Command } from 'commander'
import { CairnError } from '../base/errors.ts'
import { BORG_VERSION } from '../config/placeholders.ts'
import { VERSION } from '../operations/version.ts'
import { CommandContext, type CommonOptions } from './context.ts'
import { defineProgram } from './definitions.ts'
import { describeExitCode, type Outcome, toBorgExitCode } from './exit-codes.ts'
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
  const ignored = new Map<string, string>()
  const definitions = defineProgram(context, (option, why) => ignored.set(option, why))
  const { program } = definitions
  context.definitions = definitions
  let current = 'cairn'
  program.hook('preSubcommand', async (_, command) => {
    await definitions.load(command)
    if (command.name() !== 'help') current = `cairn ${command.name()}`
  })
  program.hook('preAction', (_, command) => {
    const common: CommonOptions = { ...program.opts(), ...command.parent?.opts(), ...command.opts() }
    context.common = common
    context.output.settings = settingsOf(common, context.asBorg, command.name())
    if (common.showVersion) {
      const version = context.asBorg ? `borgbackup version ${BORG_VERSION} (cairn ${VERSION})` : `cairn ${VERSION}`
      context.output.log('INFO', version, { name: LOGGERS.version })
    }
    if (!context.asBorg)
      for (const [option, why] of ignored)
        reportWarning(context.output, { message: `${option} has no effect: ${why}`, code: 'UNSUPPORTED' })
  })
  return { program, current: () => current }
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
