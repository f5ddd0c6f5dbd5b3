import type { Command } from 'commander'
import { CairnError } from '../base/errors.ts'
import type { RepositoryAccess } from '../operations/repository-access.ts'
import type { SnapshotInfo } from '../operations/snapshot-info.ts'
import type { SnapshotSelection } from '../operations/snapshot-selection.ts'
import type { CommandContext } from './context.ts'
import { snapshotJson } from './output/record-json.ts'
import { printable } from './output/text.ts'
import { splitLocation } from './positionals.ts'
import { choosesSnapshots, type SnapshotOptions, toSnapshotFilter, toSnapshotOrder } from './snapshot-options.ts'

/** Options of commands that work on several snapshots. */
export type SelectionOptions = SnapshotOptions

/** Adds the arguments and options by which several snapshots are named. */
export function addSelectionOptions(command: Command): Command {
  return command
    .argument('[REPO[::SNAPSHOT]]', 'REPO::SNAPSHOT, or with -r or CAIRN_REPO just SNAPSHOT')
    .argument('[SNAPSHOTS...]', 'further snapshots of the same repository')
    .usage('REPO::SNAPSHOT [SNAPSHOT...] [OPTIONS]\nREPO -a GLOB [OPTIONS]')
    .option('-a, --glob-archives <GLOB>', 'all snapshots whose names match, like web-*')
    .option('-P, --prefix <PREFIX>', 'all snapshots whose names begin so')
}

/**
 * The repository and the snapshots that a command line names.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` when it names no snapshot, with `advice` on what to do
 */
export async function readSelection(
  context: CommandContext,
  values: readonly string[],
  options: SelectionOptions,
  missing: (location: string) => string,
): Promise<{ readonly location: string; readonly selection: SnapshotSelection }> {
  const { location, snapshot, rest } = await context.select(values, 'repository')
  const wanted = snapshot === undefined ? [] : [snapshot]
  for (const text of rest) wanted.push(await furtherSnapshot(context, text, location))
  if (wanted.length === 0 && !choosesSnapshots(options)) throw new CairnError('INVALID_ARGUMENT', missing(location))
  const { glob, prefix } = await toSnapshotFilter(context, options)
  return { location, selection: { wanted, glob, prefix, order: toSnapshotOrder(options) } }
}

/** A snapshot after the first one may be written like that, with its repository, as long as it is the same. */
export async function furtherSnapshot(context: CommandContext, text: string, location: string): Promise<string> {
  const { repository: named, snapshot } = splitLocation(text)
  if (snapshot === undefined) return context.expand(text)
  const repository = named === undefined ? location : await context.expand(named)
  if (repository !== location) {
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot use snapshots of two repositories: ${location} and ${repository}; all must be in one`,
    )
  }
  return context.expand(snapshot)
}

/**
 * How to open a repository for a command that changes what it says of snapshots. Objects that are damaged are passed over with a
 * warning: a snapshot that is damaged, or a label, must not be in the way of the others.
 */
export async function accessForChanges(context: CommandContext, location: string): Promise<RepositoryAccess> {
  const onDamaged = ({ message }: CairnError): void => context.output.warning(printable(message))
  return { ...(await context.access(location)), onDamaged }
}

/** Says what became of snapshots: JSON objects, or one line of `verb` and names for people. */
export function reportChanged(
  context: CommandContext,
  verb: string,
  snapshots: readonly SnapshotInfo[],
  advice = '',
): void {
  const { output } = context
  if (output.settings.json) {
    for (const snapshot of snapshots) output.json({ message_type: verb, ...snapshotJson(snapshot) })
    return
  }
  const names = snapshots.length <= 5 ? snapshots.map(({ name }) => printable(name)).join(', ') : ''
  const what = snapshots.length === 0 ? 'nothing: no snapshot matches' : names || `${snapshots.length} snapshots`
  output.note(`cairn: ${verb} ${what}${snapshots.length === 0 ? '' : advice}`)
}
