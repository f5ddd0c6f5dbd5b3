import { CairnError } from '../base/errors.ts'
import type { PatternOption } from '../operations/patterns.ts'
import type { RewriteResult } from '../operations/rewrite.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { freedByCompact, plural } from './output/format.ts'
import { rawField } from './output/raw-json.ts'
import { snapshotJson } from './output/record-json.ts'
import { printable } from './output/text.ts'
import { addPatternOptions } from './pattern-options.ts'
import { type SelectionOptions, addSelectionOptions, readSelection } from './snapshot-arguments.ts'

interface RewriteCommandOptions extends SelectionOptions {
  readonly dryRun?: true
  readonly list?: true
}

const HELP = `
Each snapshot is replaced by one without what the patterns leave out, with the same name, times,
comment, tags and pin, and a new id. 'cairn undelete' brings the old one back, under another name,
until 'cairn compact' has reclaimed what only it held.

Examples:
  cairn rewrite /mnt/disk/backups::monday --exclude home/ann/secrets -n --list
  cairn rewrite /mnt/disk/backups -a '*' --exclude '*.iso'`

export const define: DefineCommand = (command, context) => {
  addSelectionOptions(command)
    .option('-n, --dry-run', 'change nothing; with --list, print what would be left out')
    .option('--list', 'print each path that is left out')
    .optionsGroup('What is left out:')
  const patterns = addPatternOptions(command)
  command
    .addHelpText('after', HELP)
    .action((first: string | undefined, more: string[], options: RewriteCommandOptions) =>
      run(context, first === undefined ? [] : [first, ...more], patterns, options),
    )
}

async function run(
  context: CommandContext,
  values: string[],
  patterns: readonly PatternOption[],
  options: RewriteCommandOptions,
): Promise<void> {
  const { output, world } = context
  const { location, selection } = await readSelection(
    context,
    values,
    options,
    () => "Cannot rewrite: no snapshot was named; write REPO::SNAPSHOT, or REPO -a '*' for all",
  )
  if (patterns.length === 0)
    throw new CairnError('INVALID_ARGUMENT', 'Cannot rewrite: nothing to leave out was given; use --exclude')
  const { rewriteSnapshots } = await world.operations.rewrite()
  const { json } = output.settings
  const { results, reclaimableBytes } = await rewriteSnapshots(await context.access(location), {
    selection,
    patterns,
    dryRun: options.dryRun,
    onLeftOut(snapshot, path) {
      if (!options.list) return
      if (json) output.json({ message_type: 'left_out', snapshot_id: snapshot.id, ...rawField('path', path) })
      else output.listing(`x ${printable(path)}`)
    },
    onRewritten(result) {
      if (json) output.json(resultJson(result))
      else output.note(`cairn: ${describe(result, options.dryRun ?? false)}`)
    },
  })
  const rewritten = results.filter(({ after }) => after).length
  if (json) {
    output.json({
      message_type: 'summary',
      dry_run: options.dryRun ?? false,
      snapshots_rewritten: rewritten,
      reclaimable_bytes: reclaimableBytes,
    })
  } else if (results.length === 0) output.note('cairn: rewrote nothing: no snapshot matches')
  else if (rewritten > 0) output.note(`cairn: ${freedByCompact(reclaimableBytes)}`)
}

function describe({ before, after, leftOut }: RewriteResult, dryRun: boolean): string {
  const name = printable(before.name)
  if (leftOut === 0) return `${name} stays as it is: nothing in it matches`
  const entries = plural(leftOut, 'entry', 'entries')
  return dryRun ? `would leave ${entries} out of ${name}` : `left ${entries} out of ${name}, now [${after?.id ?? ''}]`
}

function resultJson({ before, after, leftOut }: RewriteResult): object {
  return {
    message_type: 'rewritten',
    entries_left_out: leftOut,
    snapshot_before: snapshotJson(before),
    ...(after ? { snapshot: snapshotJson(after) } : {}),
  }
}
