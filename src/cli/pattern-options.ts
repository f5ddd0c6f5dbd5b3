import type { Command } from 'commander'
import type { PatternOption } from '../operations/patterns.ts'

/**
 * Adds Borg's options for patterns to a command, and returns the list that parsing fills: their order on the command line counts,
 * across the four of them.
 */
export function addPatternOptions(command: Command): readonly PatternOption[] {
  const given: PatternOption[] = []
  const collect =
    (kind: PatternOption['kind']) =>
    (value: string): void =>
      void given.push({ kind, value })
  command
    .option('-e, --exclude <PATTERN>', 'leave out what matches (fm: by default; sh: re: pp: pf:)', collect('exclude'))
    .option('--exclude-from <FILE>', 'leave out what matches a line of FILE', collect('exclude-from'))
    .option(
      '--pattern <RULE>',
      "'+ PATTERN' takes, '- PATTERN' leaves out (sh: by default); the first match counts",
      collect('pattern'),
    )
    .option('--patterns-from <FILE>', 'rules as of --pattern, one a line', collect('patterns-from'))
  return given
}
