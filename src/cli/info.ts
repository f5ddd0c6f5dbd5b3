import { formatBytes } from '../base/sizes.ts'
import type { RepositoryAccess } from '../operations/repository-access.ts'
import type { RepositoryTotals } from '../operations/snapshot-info.ts'
import type { RepositoryInfo, SnapshotSelection } from '../operations/info.ts'
import type { SnapshotInfo } from '../operations/snapshot-info.ts'
import { CairnError } from '../base/errors.ts'
import { borgCommandLine, borgSize } from './borg/words.ts'
import { showDespiteDamage } from './damage.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { formatCount, formatIsoTime } from './output/format.ts'
import { snapshotJson, totalsJson } from './output/record-json.ts'
import { rawField } from './output/raw-json.ts'
import { fileCount, RULE, type SizeFormat, sizeTable, snapshotDuration } from './output/stats-block.ts'
import { printable } from './output/text.ts'
import {
  addSnapshotOptions,
  choosesSnapshots,
  type SnapshotOptions,
  toSnapshotFilter,
  toSnapshotOrder,
} from './snapshot-options.ts'

const HELP = `
With -r or CAIRN_REPO, the argument is a snapshot: a name, the beginning of an id, or
'latest'. Without, it is the repository.

Examples:
  cairn info /mnt/disk/backups
  cairn info /mnt/disk/backups::monday
  cairn info -r /mnt/disk/backups latest --json`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[REPO[::SNAPSHOT]]', 'REPO or REPO::SNAPSHOT')
    .argument('[SNAPSHOT]', 'a snapshot, when REPO is written without ::')
    .usage('[REPO | REPO::SNAPSHOT] [OPTIONS]')
    .optionsGroup('Which snapshots are shown:')
  addSnapshotOptions(command)
    .addHelpText('after', HELP)
    .action((first: string | undefined, second: string | undefined, options: SnapshotOptions) =>
      run(
        context,
        [first, second].filter((value) => value !== undefined),
        options,
      ),
    )
}

async function run(context: CommandContext, values: string[], options: SnapshotOptions): Promise<void> {
  const { location, snapshot } = await context.select(values, 'repository')
  const isChosen = choosesSnapshots(options)
  if (snapshot !== undefined && isChosen)
    throw new CairnError('INVALID_ARGUMENT', 'Cannot show: a snapshot is named, so none are to be chosen by options')
  const { prefix, glob } = await toSnapshotFilter(context, options)
  const wanted = snapshot === undefined ? [] : [snapshot]
  const selection = { wanted, prefix, glob, order: toSnapshotOrder(options) }
  await showDespiteDamage(context, location, (access) =>
    show(context, access, snapshot === undefined && !isChosen ? undefined : selection),
  )
}

async function show(
  context: CommandContext,
  access: RepositoryAccess,
  selection: SnapshotSelection | undefined,
): Promise<void> {
  const { output, world } = context
  const operations = await world.operations.info()
  const found =
    selection === undefined
      ? { repository: await operations.repositoryInfo(access) }
      : await operations.snapshotInfo(access, selection)
  const snapshots = 'snapshots' in found ? found.snapshots : undefined
  if (context.borgJson) {
    const { borgInfoJson, documentText } = await import('./borg/documents.ts')
    output.text(documentText(borgInfoJson(found.repository, snapshots)))
  } else if (output.settings.json) {
    output.json({ ...repositoryJson(found.repository), ...(snapshots && { snapshots: snapshots.map(snapshotJson) }) })
  } else {
    const size = context.asBorg ? (bytes: number) => borgSize(bytes, context.common) : formatBytes
    const blocks = snapshots?.map((snapshot) => snapshotLines(snapshot, found.repository.totals, size))
    const lines = blocks?.flatMap((block, i) => (i === 0 ? block : ['', ...block]))
    for (const line of lines ?? repositoryLines(found.repository, size)) output.line(line)
  }
}

function repositoryLines(info: RepositoryInfo, size: SizeFormat): string[] {
  return [
    `Repository ID: ${info.repositoryId}`,
    `Location: ${printable(info.location)}`,
    `Format: version ${info.formatVersion}`,
    `Encrypted: ${info.encryption === 'none' ? 'No' : `Yes (${info.encryption}, ${info.cipher})`}`,
    ...(info.keyFile === undefined ? [] : [`Key file: ${printable(info.keyFile)}`]),
    `Chunker: ${info.chunkerParams}`,
    `Created: ${formatIsoTime(info.createdAt)}`,
    `Snapshots: ${formatCount(info.snapshots)}`,
    ...(info.lastSnapshot
      ? [`Last snapshot: ${printable(info.lastSnapshot.name)}, ${formatIsoTime(info.lastSnapshot.startedAt)}`]
      : []),
    `Packs: ${formatCount(info.packs)}`,
    RULE,
    ...sizeTable(info.totals, { size }),
  ]
}

function snapshotLines(snapshot: SnapshotInfo, totals: RepositoryTotals, size: SizeFormat): string[] {
  return [
    `Archive name: ${printable(snapshot.name)}`,
    `Archive fingerprint: ${snapshot.id}`,
    `Comment: ${printable(snapshot.comment)}`,
    ...(snapshot.tags.length === 0 ? [] : [`Tags: ${snapshot.tags.map(printable).join(', ')}`]),
    ...(snapshot.pinned ? ['Pinned: Yes'] : []),
    ...(snapshot.madeFrom === undefined ? [] : [`Made from: ${snapshot.madeFrom}`]),
    `Hostname: ${printable(snapshot.hostname)}`,
    `Username: ${printable(snapshot.username)}`,
    `Time (start): ${formatIsoTime(snapshot.startedAt)}`,
    `Time (end): ${formatIsoTime(snapshot.endedAt)}`,
    `Duration: ${snapshotDuration(snapshot)}`,
    `Complete: ${completeness(snapshot)}`,
    `Number of files: ${fileCount(snapshot.stats)}`,
    `Size: ${size(snapshot.stats.originalBytes)}`,
    `Paths: ${snapshot.paths.map(printable).join(', ')}`,
    `Command line: ${borgCommandLine(snapshot.commandLine)}`,
    RULE,
    ...sizeTable(totals, { part: snapshot.stats, size }),
  ]
}

function completeness({ checkpoint, incomplete }: SnapshotInfo): string {
  if (checkpoint) return 'No, a checkpoint: it ends where its run was'
  return incomplete ? 'No, some source data could not be read' : 'Yes'
}

function repositoryJson(info: RepositoryInfo): Record<string, unknown> {
  return {
    repository: {
      id: info.repositoryId,
      ...rawField('location', info.location),
      format_version: info.formatVersion,
      created_at: info.createdAt,
      ...(info.lastSnapshot ? { last_modified: info.lastSnapshot.endedAt } : {}),
    },
    encryption: {
      mode: info.encryption,
      cipher: info.cipher,
      ...(info.keyFile === undefined ? {} : rawField('keyfile', info.keyFile)),
    },
    chunker_params: info.chunkerParams,
    snapshots_count: info.snapshots,
    packs_count: info.packs,
    stats: totalsJson(info.totals),
  }
}
