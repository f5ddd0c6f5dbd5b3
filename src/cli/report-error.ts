import { CommanderError } from 'commander'
import { CairnError, ERROR_CODES, isCairnError, type ErrorCode } from '../base/errors.ts'
import { OTHER_NAMES } from './commands.ts'
import { BORG_ERRORS } from './borg/errors.ts'
import type { Outcome } from './exit-codes.ts'
import { type Output, ReaderGone } from './output/output.ts'
import { printable } from './output/text.ts'

/** What to do next, for errors whose message does not say so itself (after a `;`). */
const HINTS: Partial<Record<ErrorCode, string>> = {
  REPOSITORY_NOT_FOUND: "check the location, or make a new repository there with 'cairn init'",
  REPOSITORY_EXISTS: 'use it as it is, or choose another place',
  SNAPSHOT_EXISTS: 'choose another name, for example with {now} in it',
  SESSION_FENCED: 'run the same command again',
  WRONG_PASSWORD: 'check the passphrase and the key file',
  FORMAT_UNSUPPORTED: 'use the newest version of cairn',
  DATA_CORRUPT: 'keep the repository as it is; other snapshots and files may still be restored',
  ARCHIVE_CORRUPT: 'get a whole copy of it, or make it anew',
  STORAGE_UNAVAILABLE: 'run the same command again when the storage can be reached',
  STORAGE_DENIED: 'check who owns the repository and may write there',
  STORAGE_FULL: 'make room and run the same command again; what is saved already will not be saved twice',
}

const DEFAULT_HINT =
  "no repository was named, and the default one is made by the first 'cairn backup PATH'; name one with -r or CAIRN_REPO"

/** What an error message may need to know about the run. */
export interface RunFacts {
  /** Like `cairn create`. */
  readonly command: string
  /** The repository is the default one, because none was named. */
  readonly usesDefault: boolean
}

/** Reports an error that ended the run. Nothing is printed for help and version texts. */
export function reportError(error: unknown, output: Output, run: RunFacts): Outcome {
  const failure = describe(error, run)
  if (failure === undefined) return { exitCode: 0 }
  const { exitCode, code, message, stack } = failure
  if (output.settings.logJson) {
    output.log('ERROR', stack === undefined ? message : `${message}\n${stack}`, { msgid: BORG_ERRORS[code].msgid })
  } else if (output.settings.json) {
    output.errorJson({ message_type: 'exit_error', code: exitCode, error: code, message: message.toWellFormed() })
  } else if (code === 'CANCELLED') {
    output.errorLine(`cairn: ${message}`)
  } else {
    output.errorLine(`cairn: ${output.style('red', 'error:', 'err')} ${printable(message)}`)
    if (stack) output.errorLine(stack)
  }
  return { exitCode, code }
}

interface Failure {
  readonly exitCode: number
  readonly code: ErrorCode
  readonly message: string
  readonly stack?: string
}

function describe(error: unknown, run: RunFacts): Failure | undefined {
  if (error instanceof ReaderGone) return undefined
  if (error instanceof CommanderError) return describeUsageError(error, run.command)
  if (isCairnError(error) && error.code !== 'INTERNAL') {
    const { code, message } = error
    const given = error.details['exitCode']
    const exitCode = code === 'CANCELLED' && typeof given === 'number' ? given : ERROR_CODES[code].exit
    const hint = code === 'REPOSITORY_NOT_FOUND' && run.usesDefault ? DEFAULT_HINT : HINTS[code]
    return { exitCode, code, message: hint && !message.includes('; ') ? `${message}; ${hint}` : message }
  }
  return {
    exitCode: ERROR_CODES.INTERNAL.exit,
    code: 'INTERNAL',
    message: 'Something that cannot happen has happened; please report it with the lines below',
    stack: stackOf(error),
  }
}

function describeUsageError(error: CommanderError, command: string): Failure | undefined {
  if (error.code === 'commander.helpDisplayed' || error.code === 'commander.version') return undefined
  const exitCode = ERROR_CODES.INVALID_ARGUMENT.exit
  if (error.code === 'commander.help') return error.exitCode === 0 ? undefined : { exitCode, ...NO_COMMAND }
  // "error: unknown option '--nme'\n(Did you mean --name?)"
  const [text = '', suggestion = ''] = error.message.replace(/^error: /, '').split('\n')
  const other = OTHER_NAMES[/^unknown command '(.*)'$/.exec(text)?.[1] ?? '']
  const hint = other
    ? `it is 'cairn ${other}' here, `
    : suggestion.replace(/^\(Did you mean (.*)\?\)$/, 'did you mean $1? ')
  return {
    exitCode,
    code: 'INVALID_ARGUMENT',
    message: `${text.replace(/\.$/, '')}; ${hint}see '${command} --help'`,
  }
}

const NO_COMMAND = { code: 'INVALID_ARGUMENT', message: 'no command was given' } as const

function stackOf(error: unknown): string {
  if (error instanceof CairnError && error.cause instanceof Error) return stackOf(error.cause)
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
