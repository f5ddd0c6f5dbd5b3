import { CairnError } from '../base/errors.ts'
import { strftime } from '../config/strftime.ts'
import type { PatternOption, ShowOptions } from '../operations/mount.ts'
import type { RepositoryAccess } from '../operations/repository-access.ts'
import type { CommandContext, Selection } from './context.ts'
import { rawField } from './output/raw-json.ts'
import { printable } from './output/text.ts'
import { snapshotPaths } from './positionals.ts'
import { choosesSnapshots, type SnapshotOptions, toSnapshotFilter, toSnapshotOrder } from './snapshot-options.ts'

/** Options of a command that shows snapshots as folders, as commander gives them. */
export interface ShowCommandOptions extends SnapshotOptions {
  readonly stripComponents?: number
  readonly numericIds?: true
  readonly workers?: number
}

/**
 * What is to be shown.
 *
 * @param selection with the paths that are wanted as its rest
 * @throws {CairnError} `INVALID_ARGUMENT` for options that make no sense together
 */
export async function toShowOptions(
  context: CommandContext,
  { snapshot, rest }: Pick<Selection, 'snapshot' | 'rest'>,
  options: ShowCommandOptions,
  patterns: readonly PatternOption[],
): Promise<ShowOptions> {
  const { stripComponents, numericIds, workers } = options
  if (snapshot !== undefined && choosesSnapshots(options))
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot choose snapshots by options when '${snapshot}' is named; leave one out`,
    )
  const isStyled = rest.some((path) => /^[\p{L}\p{N}]{2}:/u.test(path))
  return {
    snapshot,
    paths: isStyled ? rest : snapshotPaths(rest),
    patterns,
    filter: await toSnapshotFilter(context, options),
    order: toSnapshotOrder(options),
    stripComponents,
    numericIds,
    workers,
    timeOf: (startedAt) => strftime('%Y-%m-%dT%H:%M:%S', Date.parse(startedAt), 'local'),
    onIssue({ path, message, code }) {
      const { output } = context
      if (output.settings.json)
        output.errorJson({ message_type: 'error', error: { message }, during: 'read', ...rawField('item', path), code })
      else output.warning(printable(`cannot read ${path === '' ? 'the repository' : path}: ${message}`))
    },
  }
}

/** How to open the repository: of each object of it that is damaged, a warning tells once, and it is passed over. */
export async function accessToShow(context: CommandContext, location: string): Promise<RepositoryAccess> {
  const { output } = context
  const told = new Set<string>()
  return {
    ...(await context.access(location)),
    onDamaged({ message, code }) {
      if (told.has(message)) return
      told.add(message)
      if (output.settings.json) output.errorJson({ message_type: 'warning', message, code })
      else output.warning(printable(message))
    },
  }
}
