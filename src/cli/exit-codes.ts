/** A run that ended with warnings: the rest is done, some source data could not be read. As restic. */
export const EXIT_WARNINGS = 3

/** Borg's (legacy) exit codes: 0 success, 1 warning, 2 error, 128 + N for signal N. */
export function toBorgExitCode(exitCode: number): number {
  if (exitCode === EXIT_WARNINGS) return 1
  return exitCode === 0 || exitCode > 128 ? exitCode : 2
}

/** The line of `--show-rc`, worded as Borg's, which scripts look for. `warningCode` is the one that means warnings. */
export function describeExitCode(exitCode: number, warningCode: number): string {
  if (exitCode > 128) return `killed by signal ${exitCode - 128}, rc ${exitCode}`
  const status = exitCode === 0 ? 'success' : exitCode === warningCode ? 'warning' : 'error'
  return `terminating with ${status} status, rc ${exitCode}`
}
