/** What `delete` and `prune` tell in Borg's words. */
import type { DeleteResult, Deletion } from '../../operations/delete.ts'
import type { KeepReason, PruneEvent } from '../../operations/prune.ts'
import type { CommandContext } from '../context.ts'
import { reportWarning } from '../output/issue.ts'
import { RULE, sizeTable } from '../output/stats-block.ts'
import { formatSnapshot, SNAPSHOT_FORMAT, SNAPSHOT_KEYS } from './snapshot-keys.ts'
import { parseFormat } from './format-string.ts'
import { borgSize } from './words.ts'
import type { SnapshotInfo } from '../../operations/snapshot-info.ts'

interface ReportOptions {
  readonly list?: true
  readonly stats?: true
  readonly dryRun?: true
}

/** Columns of what is done, before the snapshot's name. */
const ACTION_COLUMNS = 40

export function reportBorgDeletion(
  { output }: CommandContext,
  { snapshot, number, total }: Deletion,
  { list, dryRun }: ReportOptions,
): void {
  if (!list) return
  const action = dryRun ? 'Would delete archive' : 'Deleting archive'
  output.listing(`${action}: ${archiveLine(snapshot)} (${number}/${total})`)
}

export function reportBorgDecision(
  { output }: CommandContext,
  event: PruneEvent,
  { list, dryRun }: ReportOptions,
): void {
  if (event.type === 'warning') reportWarning(output, event)
  else if (list && event.type !== 'group') {
    const action =
      event.type === 'keep'
        ? keepText(event.reasons)
        : dryRun
          ? 'Would prune:'
          : `Pruning archive (${event.number}/${event.total}):`
    output.listing(`${action.padEnd(ACTION_COLUMNS)} ${archiveLine(event.snapshot)}`)
  }
}

/** Borg's `--stats` of what was deleted. What it calls deduplicated is what a compaction would give back. */
export function reportBorgSizes(
  { output, common }: CommandContext,
  { deleted, left }: DeleteResult['sizes'],
  { stats, dryRun }: ReportOptions,
): void {
  if (!stats) return
  if (dryRun) {
    output.warning('--stats is ignored: nothing is deleted, so there are none')
    return
  }
  const part = {
    originalBytes: -deleted.originalBytes,
    compressedBytes: -deleted.compressedBytes,
    deduplicatedBytes: -deleted.deduplicatedBytes,
  }
  const size = (bytes: number): string => borgSize(bytes, common)
  output.sums([RULE, ...sizeTable(left, { part, label: 'Deleted data:', size }), RULE])
}

const ARCHIVE_LINE = parseFormat(SNAPSHOT_FORMAT, SNAPSHOT_KEYS)

function archiveLine(snapshot: SnapshotInfo): string {
  return formatSnapshot(snapshot, ARCHIVE_LINE).trimEnd()
}

/** Borg gives the first reason, and calls `--keep-last` secondly. */
function keepText([reason]: readonly KeepReason[]): string {
  if (reason?.rule === 'checkpoint') return 'Keeping checkpoint archive:'
  if (!reason || !('number' in reason)) return `Keeping archive (rule: ${reason?.rule}):`
  const rule = reason.rule === 'last' ? 'secondly' : reason.rule
  return `Keeping archive (rule: ${rule}${reason.oldest ? '[oldest]' : ''} #${reason.number}):`
}
