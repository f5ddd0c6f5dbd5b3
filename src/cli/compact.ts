import { InvalidArgumentError, Option } from 'commander'
import { formatBytes } from '../base/sizes.ts'
import type { CompactProgress, CompactRepositoryOptions, CompactedRepository } from '../operations/compact.ts'
import type { CommandContext, DefineCommand } from './context.ts'
import { parseSize } from './option-values.ts'
import { formatDuration, plural } from './output/format.ts'
import { Progress, type ProgressCounters, type ProgressMeter, statusFields } from './output/progress.ts'

interface CompactCommandOptions {
  readonly dryRun?: true
  readonly threshold?: number
  readonly maxRepackSize?: number
  readonly compression?: string
  readonly wait?: true
}

const HELP = `
Deleting a snapshot frees nothing by itself: this gives back what no snapshot needs any more. What
is still needed is moved first, and nothing is deleted that a backup in progress may rely on; so
backups and restores may go on meanwhile. It can be interrupted, and goes on the next time.

Examples:
  cairn compact /mnt/disk/backups
  cairn compact --dry-run /mnt/disk/backups        how much would be freed
  cairn compact --threshold 0 /mnt/disk/backups    all that there is to free
  cairn compact --max-repack-size 10G /mnt/disk/backups`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[REPO]', 'where the repository is')
    .usage('[REPO] [OPTIONS]')
    .option('-n, --dry-run', 'free nothing; tell how much would be')
    .option('--threshold <PERCENT>', 'rewrite packs of which at least so much is unused (default: 10)', parsePercent)
    .option('--max-repack-size <SIZE>', 'rewrite no more than this, those first that give back most', parseSize)
    .option(
      '-C, --compression <ALGORITHM>',
      'of what is rewritten: none, lz4, zstd[,LEVEL], zlib[,LEVEL] or lzma[,LEVEL]',
    )
    .option('--wait', 'wait for backups in progress, in place of leaving the rest to the next time')
    .addOption(new Option('--cleanup-commits', 'for Borg users: without effect').hideHelp())
    .addHelpText('after', HELP)
    .action((repository: string | undefined, options: CompactCommandOptions) =>
      run(context, repository === undefined ? [] : [repository], options),
    )
}

async function run(context: CommandContext, values: string[], options: CompactCommandOptions): Promise<void> {
  const { output, world } = context
  const { location } = await context.select(values, 'repository')
  const { compactRepository } = await world.operations.compact()
  const access = await context.access(location)
  const progress = new Progress(output, statusJson)
  let result: CompactedRepository
  try {
    result = await compactRepository(access, {
      ...toCompactOptions(options),
      onProgress: (event) => progress.update(toCounters(event)),
    })
  } finally {
    progress.end()
  }
  const { json, quiet } = output.settings
  if (result.lostChunks > 0 && !json) {
    output.warning(
      `snapshots refer to chunks that are in no pack (${plural(result.lostChunks, 'time')}); packs of runs that never committed are kept, since they may be there. 'cairn check --repair' looks`,
    )
  }
  if (json) output.json(summaryJson(result, options))
  else if (!quiet) output.sums(summaryLines(result, options))
}

function toCompactOptions(options: CompactCommandOptions): CompactRepositoryOptions {
  const { dryRun, threshold, maxRepackSize, compression, wait } = options
  return { dryRun, threshold, maxRepackBytes: maxRepackSize, compression, wait }
}

/** A share of 0 to 1 from `10` or `10%`, as Borg and restic write it. */
function parsePercent(value: string): number {
  const percent = Number(/^(\d+(?:\.\d+)?)%?$/.exec(value)?.[1] ?? -1)
  if (percent < 0 || percent > 100) throw new InvalidArgumentError('It must be a percentage from 0 to 100.')
  return percent / 100
}

const UNITS = { snapshots: 'snapshots', moving: 'bytes', deleting: 'packs', waiting: 'runs' } as const
const PHASES = { snapshots: 'snapshots', bytes: 'moving', packs: 'deleting', runs: 'waiting' } as const

function toCounters({ phase, done, total }: CompactProgress): ProgressCounters {
  const isBytes = phase === 'moving'
  return {
    filesDone: isBytes ? 0 : done,
    filesTotal: total,
    bytesDone: isBytes ? done : 0,
    bytesTotal: undefined,
    issues: 0,
    currentPath: TEXTS[phase],
    unit: UNITS[phase],
  }
}

const TEXTS = {
  snapshots: 'looking what snapshots need',
  moving: 'moving what is needed',
  deleting: 'deleting',
  waiting: 'waiting for backups in progress',
} as const

function statusJson(meter: ProgressMeter): object {
  const { filesDone = 0, bytesDone = 0, unit = 'snapshots' } = meter.counters ?? {}
  const { total_files: _, files_done: __, ...fields } = statusFields(meter)
  return { ...fields, phase: PHASES[unit], [`${unit}_done`]: unit === 'bytes' ? bytesDone : filesDone }
}

function summaryLines(result: CompactedRepository, { dryRun }: CompactCommandOptions): string[] {
  const { unusedPacks, fragmentedPacks, orphanPacks, reclaimableBytes, waitingFor } = result
  const packs = unusedPacks + orphanPacks
  const what = [
    ...(packs > 0 ? [`${plural(packs, 'pack')} of which nothing is needed`] : []),
    ...(fragmentedPacks > 0 ? [`${plural(fragmentedPacks, 'pack')} to be rewritten`] : []),
  ].join(', ')
  if (dryRun)
    return [what === '' ? 'There is nothing to free.' : `Would free ${formatBytes(reclaimableBytes)}: ${what}.`]
  const lines = result.deletedPacks > 0 ? [freedText(result)] : []
  if (waitingFor > 0) {
    const waiting = plural(waitingFor, 'backup is', 'backups are')
    lines.push(
      `${waiting} in progress that may need what is to be deleted: run 'cairn compact' again afterwards, or with --wait.`,
    )
  }
  return lines.length > 0 ? lines : ['There is nothing to free.']
}

function freedText({ deletedPacks, deletedBytes, storedBytes, durationMs }: CompactedRepository): string {
  const moved = storedBytes > 0 ? `, stored ${formatBytes(storedBytes)} for what of them is needed` : ''
  const freed = formatBytes(Math.max(0, deletedBytes - storedBytes))
  return `Freed ${freed} in ${formatDuration(durationMs)}: deleted ${plural(deletedPacks, 'pack')}${moved}.`
}

function summaryJson(result: CompactedRepository, { dryRun }: CompactCommandOptions): object {
  return {
    message_type: 'summary',
    dry_run: dryRun ?? false,
    snapshots: result.snapshots,
    packs: result.packs,
    pack_bytes: result.packBytes,
    packs_unused: result.unusedPacks,
    packs_to_repack: result.fragmentedPacks,
    packs_orphaned: result.orphanPacks,
    reclaimable_bytes: result.reclaimableBytes,
    packs_deleted: result.deletedPacks,
    bytes_deleted: result.deletedBytes,
    chunks_lost: result.lostChunks,
    bytes_stored: result.storedBytes,
    snapshots_removed: result.removedSnapshots,
    waiting_for: result.waitingFor,
    seconds_elapsed: result.durationMs / 1000,
  }
}
