import type { ErrorCode } from '../base/errors.ts'
import type { Environment } from '../config/environment.ts'
import { BORG_ERRORS, borgWarningCode } from './borg/errors.ts'
import type { LogLevel } from './output/output.ts'

/** A run that ended with warnings: the rest is done, some source data could not be read. As restic. */
export const EXIT_WARNINGS = 3

/** What a run can end with, for the manual. */
export const EXIT_CODES: readonly { readonly codes: string; readonly meaning: string }[] = [
  { codes: '0', meaning: 'done' },
  { codes: '1', meaning: 'failed' },
  { codes: '2', meaning: 'the command line is wrong' },
  { codes: '3', meaning: 'done, but some source data could not be read, or there are other warnings' },
  { codes: '10', meaning: 'there is no such repository' },
  { codes: '12', meaning: 'the passphrase or the key is wrong, or another repository is in the place' },
  { codes: '65', meaning: 'stored data or an archive is damaged' },
  { codes: '66, 67, 68', meaning: 'an archive differs from what lies beside it in size, checksum, content' },
  { codes: '130, 143', meaning: 'interrupted by SIGINT, by SIGTERM' },
]

/** How a run ended. */
export interface Outcome {
  readonly exitCode: number
  /** Of the error that ended it. */
  readonly code?: ErrorCode
}

/**
 * Borg's exit codes: 0 success, 1 warning, 2 error, 128 + N for signal N; with `BORG_EXIT_CODES=modern`, as from Borg 1.4 on, one
 * for each kind of error and warning.
 */
export function toBorgExitCode({ exitCode, code }: Outcome, env: Environment, complaints: ReadonlySet<string>): number {
  if (exitCode === 0 || exitCode > 128) return exitCode
  const isModern = env['BORG_EXIT_CODES'] === 'modern'
  if (exitCode === EXIT_WARNINGS) return isModern ? borgWarningCode(complaints) : 1
  return isModern && code !== undefined ? BORG_ERRORS[code].exit : 2
}

/** The line of `--show-rc`, worded as Borg's, which scripts look for, and its level in `--log-json`. */
export function describeExitCode(
  exitCode: number,
  isBorgs: boolean,
): { readonly text: string; readonly level: LogLevel } {
  const isWarning = isBorgs ? exitCode === 1 || (exitCode >= 100 && exitCode < 128) : exitCode === EXIT_WARNINGS
  const status = exitCode === 0 ? 'success' : isWarning ? 'warning' : exitCode > 128 ? 'signal' : 'error'
  const level = exitCode === 0 ? 'INFO' : isWarning ? 'WARNING' : 'ERROR'
  return { text: `terminating with ${status} status, rc ${exitCode}`, level }
}
