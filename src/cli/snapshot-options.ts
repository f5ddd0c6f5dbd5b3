import { type Command, Option } from 'commander'
import type { SnapshotFilter, SnapshotOrder, SortKey } from '../operations/snapshot-filter.ts'
import type { CommandContext } from './context.ts'
import { parseCount, parseSortKeys } from './option-values.ts'

/** Options that choose among the snapshots of a repository, as commander gives them. */
export interface SnapshotOptions {
  readonly prefix?: string
  readonly globArchives?: string
  readonly sortBy?: SortKey[]
  readonly first?: number
  readonly last?: number
  readonly considerCheckpoints?: true
}

/** Adds those by which snapshots are chosen by their names, and then `addOrderOptions`. */
export function addSnapshotOptions(command: Command): Command {
  command
    .addOption(new Option('-P, --prefix <PREFIX>', 'snapshots whose names begin so').conflicts('globArchives'))
    .option('-a, --glob-archives <GLOB>', 'snapshots whose names match wholly, like vm-*-daily')
  return addOrderOptions(command)
}

/** Adds those by which snapshots are sorted and the first or the last taken. */
export function addOrderOptions(command: Command): Command {
  return command
    .option('--sort-by <KEYS>', 'sort by timestamp, name or id, or several of them (default: timestamp)', parseSortKeys)
    .addOption(
      new Option('--first <N>', 'of the snapshots so chosen, the first N').argParser(parseCount).conflicts('last'),
    )
    .option('--last <N>', 'of the snapshots so chosen, the last N', parseCount)
    .addOption(new Option('--consider-checkpoints').hideHelp())
}

/** Whether any of these options chooses. */
export function choosesSnapshots({ prefix, globArchives, first, last }: SnapshotOptions): boolean {
  return [prefix, globArchives, first, last].some((value) => value !== undefined)
}

export function toSnapshotOrder({ sortBy, first, last }: SnapshotOptions): SnapshotOrder {
  return { sortBy, first, last }
}

/** What the options mean. Borg passes over checkpoints unless told otherwise. */
export async function toSnapshotFilter(context: CommandContext, options: SnapshotOptions): Promise<SnapshotFilter> {
  const { prefix, globArchives, considerCheckpoints = false } = options
  return {
    prefix: prefix === undefined ? undefined : await context.expand(prefix),
    glob: globArchives === undefined ? undefined : await context.expand(globArchives),
    finished: context.asBorg && !considerCheckpoints,
  }
}
