import { formatBytes } from '../base/sizes.ts'
import type { RepositoryAccess } from '../operations/repository-access.ts'
import type { RepositoryTotals } from '../operations/snapshot-info.ts'
import type { RepositoryInfo } from '../operations/info.ts'
import type { SnapshotInfo } from '../operations/snapshot-info.ts'
import { showDespiteDamage } from './damage.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { formatCount, formatIsoTime } from './output/format.ts'
import { snapshotJson, totalsJson } from './output/record-json.ts'
import { rawField } from './output/raw-json.ts'
import { fileCount, sizeTable, snapshotDuration } from './output/stats-block.ts'
import { printable } from './output/text.ts'

const HELP = `
With -r or CAIRN_REPO, the argument is a snapshot: a name, the beginning of an id, or
'latest'. Without, it is the repository.

Examples:
  cairn info /mnt/disk/backups
  cairn info /mnt/disk/backups::monday
  cairn info -r /mnt/disk/backups latest --json`

const RULE = '-'.repeat(78)

export const define: DefineCommand = (command, context) => {
  command
    .argument('[REPO]', 'REPO or REPO::SNAPSHOT')
    .argument('[SNAPSHOT]', 'a snapshot, when REPO is written without ::')
    .usage('[REPO | REPO::SNAPSHOT] [OPTIONS]')
    .addHelpText('after', HELP)
    .action((first: string | undefined, second: string | undefined) =>
      run(
        context,
        [first, second].filter((value) => value !== undefined),
      ),
    )
}

async function run(context: CommandContext, values: string[]): Promise<void> {
  const { location, snapshot } = await context.select(values, 'repository')
  await showDespiteDamage(context, location, (access) => show(context, access, snapshot))
}

async function show(context: CommandContext, access: RepositoryAccess, snapshot: string | undefined): Promise<void> {
  const { output, world } = context
  const operations = await world.operations.info()
  if (snapshot === undefined) {
    const repository = await operations.repositoryInfo(access)
    if (output.settings.json) output.json(repositoryJson(repository))
    else for (const line of repositoryLines(repository)) output.line(line)
    return
  }
  const found = await operations.snapshotInfo(access, snapshot)
  if (output.settings.json) {
    output.json({ ...repositoryJson(found.repository), snapshots: [snapshotJson(found.snapshot)] })
  } else {
    for (const line of snapshotLines(found.snapshot, found.repository.totals)) output.line(line)
  }
}

function repositoryLines(info: RepositoryInfo): string[] {
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
    ...sizeTable(info.totals),
  ]
}

function snapshotLines(snapshot: SnapshotInfo, totals: RepositoryTotals): string[] {
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
    `Size: ${formatBytes(snapshot.stats.originalBytes)}`,
    `Paths: ${snapshot.paths.map(printable).join(', ')}`,
    `Command line: ${printable(snapshot.commandLine.map(quoteForShell).join(' '))}`,
    RULE,
    ...sizeTable(totals, snapshot.stats),
  ]
}

function completeness({ checkpoint, incomplete }: SnapshotInfo): string {
  if (checkpoint) return 'No, a checkpoint: it ends where its run was'
  return incomplete ? 'No, some source data could not be read' : 'Yes'
}

function quoteForShell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
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
