import { CairnError } from '../base/errors.ts'
import { formatBytes } from '../base/sizes.ts'
import type { DiffChange, PatternOption } from '../operations/diff.ts'
import type { RepositoryAccess } from '../operations/repository-access.ts'
import type { EntryInfo } from '../operations/snapshot-info.ts'
import type { BorgDiffOptions } from './borg/diff-lines.ts'
import { showDespiteDamage } from './damage.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { DiffTotals } from './diff-totals.ts'
import { formatMode, formatTime, nsToMs, plural } from './output/format.ts'
import { rawField } from './output/raw-json.ts'
import { printable } from './output/text.ts'
import { addPatternOptions } from './pattern-options.ts'
import { pathsInSnapshot } from './positionals.ts'
import { furtherSnapshot } from './snapshot-arguments.ts'

const HELP = `
Each line begins with a letter, as in restic: + added, - removed, M content changed, T type
changed, U only owner, mode or time changed. Then come the bytes that were added and removed.
A and B are names, beginnings of ids, or 'latest'.

Examples:
  cairn diff /mnt/disk/backups::monday tuesday
  cairn diff -r /mnt/disk/backups monday latest home/ann
  cairn diff /mnt/disk/backups::monday tuesday --json`

const LETTERS: Record<DiffChange['change'], string> = {
  added: '+',
  removed: '-',
  modified: 'M',
  type: 'T',
  metadata: 'U',
}

const COLORS = { '+': 'green', '-': 'red', M: 'yellow', T: 'magenta', U: 'cyan' } as const

export const define: DefineCommand = (command, context) => {
  command
    .argument('[A]', 'REPO::A, or with -r or CAIRN_REPO just A: the snapshot before')
    .argument('[B]', 'the snapshot after, in the same repository')
    .argument('[PATHS...]', 'only what is at or below these paths')
    .usage('REPO::A B [PATH...] [OPTIONS]')
    .option('--content-only', 'owner, mode and times do not count')
    .option('--numeric-ids', "compare owners by number in Borg's output")
    .option('--json-lines', "print differences in Borg's JSON, one path a line")
    .optionsGroup('Which paths are compared:')
  const patterns = addPatternOptions(command)
  command
    .addHelpText('after', HELP)
    .action((before: string | undefined, after: string | undefined, paths: string[], options: DiffCommandOptions) =>
      run(
        context,
        [before, after, ...paths].filter((value) => value !== undefined),
        options,
        patterns,
      ),
    )
}

interface DiffCommandOptions extends BorgDiffOptions {
  readonly jsonLines?: true
}

async function run(
  context: CommandContext,
  values: string[],
  options: DiffCommandOptions,
  patterns: readonly PatternOption[],
): Promise<void> {
  const { location, snapshot: before, rest } = await context.select(values, 'snapshot')
  const [second, ...paths] = rest
  if (before === undefined || second === undefined) {
    throw new CairnError('INVALID_ARGUMENT', 'Cannot compare: two snapshots are needed; write cairn diff REPO::A B')
  }
  const after = await furtherSnapshot(context, second, location)
  const compared = { before, after, paths: pathsInSnapshot(paths), patterns }
  const asBorg = options.jsonLines || (context.asBorg && !context.common.json)
  await showDespiteDamage(context, location, (access) =>
    asBorg ? showAsBorg(context, access, compared, options) : show(context, access, compared, options),
  )
}

interface Compared {
  readonly before: string
  readonly after: string
  readonly paths: readonly string[]
  readonly patterns: readonly PatternOption[]
}

async function showAsBorg(
  { output, world }: CommandContext,
  access: RepositoryAccess,
  { before, after, paths, patterns }: Compared,
  options: DiffCommandOptions,
): Promise<void> {
  const [{ diffSnapshots }, { borgDiffJson, borgDiffLine }] = await Promise.all([
    world.operations.diff(),
    import('./borg/diff-lines.ts'),
  ])
  const show = async (change: DiffChange): Promise<void> => {
    const json = options.jsonLines && borgDiffJson(change, options)
    const line = json ? JSON.stringify(json) : options.jsonLines ? undefined : borgDiffLine(change, options)
    if (line !== undefined) output.line(line)
    await output.ready()
  }
  await diffSnapshots(access, before, after, paths, show, patterns)
}

async function show(
  context: CommandContext,
  access: RepositoryAccess,
  { before, after, paths, patterns }: Compared,
  { contentOnly }: DiffCommandOptions,
): Promise<void> {
  const { output, world } = context
  const { diffSnapshots } = await world.operations.diff()
  const totals = new DiffTotals()
  const onChange = async (change: DiffChange): Promise<void> => {
    if (contentOnly && change.change === 'metadata') return
    totals.add(change)
    if (output.settings.json) output.json(changeJson(change))
    else {
      const letter = LETTERS[change.change] as keyof typeof COLORS
      output.line(`${output.style(COLORS[letter], letter)} ${changeLine(change)}`)
    }
    await output.ready()
  }
  const compared = await diffSnapshots(access, before, after, paths, onChange, patterns)

  if (output.settings.json) {
    output.json({
      message_type: 'statistics',
      source_snapshot: compared.before.id,
      target_snapshot: compared.after.id,
      ...totals.json(),
    })
  } else if (!output.settings.quiet) {
    const { added, removed, changed } = totals
    const bytes = `${formatBytes(added.bytes)} added, ${formatBytes(removed.bytes)} removed`
    output.line(
      totals.empty
        ? 'No differences.'
        : `${plural(added.entries, 'entry', 'entries')} added, ${removed.entries} removed, ${changed} changed; ${bytes}`,
    )
  }
}

function changeLine({ path, change, before, after, bytesAdded, bytesRemoved }: DiffChange): string {
  const isFolder = (after ?? before)?.type === 'dir'
  const added = bytesAdded > 0 ? `+${formatBytes(bytesAdded)}` : ''
  const removed = bytesRemoved > 0 ? `-${formatBytes(bytesRemoved)}` : ''
  const details = before && after ? metadataChanges(before, after, change === 'metadata') : []
  return [
    added.padStart(10),
    removed.padStart(10),
    '',
    [printable(path) + (isFolder ? '/' : ''), ...details.map((detail) => `[${detail}]`)].join(' '),
  ].join(' ')
}

/** What is different besides the content, as Borg words it. A new time alone is only worth words when nothing else changed. */
function metadataChanges(before: EntryInfo, after: EntryInfo, withTime: boolean): string[] {
  const details: string[] = []
  const compare = (one: string, other: string): void => {
    if (one !== other) details.push(`${one} -> ${other}`)
  }
  compare(formatMode(before.type, before.mode), formatMode(after.type, after.mode))
  compare(owner(before), owner(after))
  if (before.linkTarget !== undefined && after.linkTarget !== undefined) {
    compare(printable(before.linkTarget), printable(after.linkTarget))
  }
  if (withTime && details.length === 0 && before.mtimeNs !== after.mtimeNs) {
    details.push(`${formatTime(nsToMs(before.mtimeNs))} -> ${formatTime(nsToMs(after.mtimeNs))}`)
  }
  return details
}

function owner(entry: EntryInfo): string {
  return printable(`${entry.user || entry.uid}:${entry.group || entry.gid}`)
}

/** restic's `change` line, with the bytes that are only in one of the two. */
function changeJson({ path, change, before, after, bytesAdded, bytesRemoved }: DiffChange): object {
  const isFolder = (after ?? before)?.type === 'dir'
  return {
    message_type: 'change',
    ...rawField('path', isFolder ? `${path}/` : path),
    modifier: LETTERS[change],
    bytes_added: bytesAdded,
    bytes_removed: bytesRemoved,
  }
}
