import { Option, type Command } from 'commander'
import { CairnError } from '../base/errors.ts'
import type { Conflict, ExtractOptions, PatternOption } from '../operations/extract.ts'
import { parseCount } from './option-values.ts'
import { addPatternOptions } from './pattern-options.ts'

/** Options of `extract` and `restore`, as commander gives them. */
export interface ExtractCommandOptions {
  readonly list?: true
  readonly conflict?: Conflict
  readonly dryRun?: true
  readonly verify?: true
  readonly stripComponents?: number
  readonly stdout?: true
  readonly numericIds?: true
  /** Of `--no-xattrs`, as the next two. */
  readonly xattrs?: boolean
  readonly acls?: boolean
  readonly flags?: boolean
  readonly workers?: number
}

/** `restorer/conflict.ts` says what they mean; loading it would cost `--help` the restorer. */
const CONFLICTS = ['fail', 'keep', 'overwrite', 'if-newer', 'mirror'] as const satisfies readonly Conflict[]

/**
 * Adds the options that both verbs have. Those that leave paths out are gathered in the array returned, since their order on the
 * command line counts. `conflict` is what to do where something is already, unless told.
 */
export function addExtractOptions(command: Command, conflict: Conflict = 'fail'): readonly PatternOption[] {
  command
    .option('--list', 'print every path that is written')
    .addOption(
      new Option('--conflict <HOW>', 'what to do where something is already').choices(CONFLICTS).default(conflict),
    )
    .option('-n, --dry-run', 'write nothing; with --list, print what would be done with each path')
    .option('--verify', 'read everything back afterwards and compare')
    .option('--strip-components <N>', 'leave away the first N names of every path', parseCount)
    .option('--stdout', 'write the contents of files to standard output, one after the other, and nothing else')
  const patterns = addPatternOptions(command)
  command
    .option('--numeric-ids', 'owners by number, not by name')
    .option('--no-xattrs', 'leave extended attributes alone')
    .option('--no-acls', 'leave access control lists alone')
    .option('--no-flags', 'leave file flags alone')
    .option('--workers <N>', 'number of worker threads (default: one per processor)', parseCount)
  return patterns
}

/** @throws {CairnError} `INVALID_ARGUMENT` for options that exclude each other */
export function toExtractOptions(
  options: ExtractCommandOptions,
  patterns: readonly PatternOption[],
): Omit<ExtractOptions, 'snapshot' | 'paths' | 'target'> {
  const { conflict, dryRun, verify, stripComponents, numericIds, workers } = options
  if (dryRun && verify)
    throw new CairnError('INVALID_ARGUMENT', 'Cannot use --verify with --dry-run: there is nothing to read back')
  return {
    conflict,
    dryRun,
    verify,
    stripComponents,
    numericIds,
    workers,
    patterns,
    noXattrs: options.xattrs === false,
    noAcls: options.acls === false,
    noFlags: options.flags === false,
  }
}
