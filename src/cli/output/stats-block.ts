import { formatBytes } from '../../base/sizes.ts'
import type { CreateStats, RepositoryTotals } from '../../operations/snapshot-info.ts'
import type { CreateResult } from '../../operations/create.ts'
import type { SnapshotInfo } from '../../operations/snapshot-info.ts'
import { formatIsoTime } from './format.ts'
import { printable } from './text.ts'

const RULE = '-'.repeat(78)

type Sizes = Pick<RepositoryTotals, 'originalBytes' | 'compressedBytes' | 'deduplicatedBytes'>

/** What `create --stats` prints, in the layout of Borg 1.2, which scripts read. Sizes have binary units. */
export function archiveStats({ snapshot, totals, durationMs }: CreateResult, location: string): string {
  return [
    RULE,
    `Repository: ${printable(location)}`,
    `Archive name: ${printable(snapshot.name)}`,
    `Archive fingerprint: ${snapshot.id}`,
    `Time (start): ${formatIsoTime(snapshot.startedAt)}`,
    `Time (end):   ${formatIsoTime(snapshot.endedAt)}`,
    `Duration: ${borgDuration(durationMs)}`,
    `Number of files: ${fileCount(snapshot.stats)}`,
    RULE,
    ...sizeTable(totals, snapshot.stats),
    RULE,
    '',
  ].join('\n')
}

/** Borg's table of sizes and chunks, with a line for one snapshot when `snapshot` is given. */
export function sizeTable(totals: RepositoryTotals, snapshot?: Sizes): string[] {
  return [
    row('', 'Original size', 'Compressed size', 'Deduplicated size'),
    ...(snapshot ? [sizeRow('This archive:', snapshot)] : []),
    sizeRow('All archives:', totals),
    '',
    row('', 'Unique chunks', 'Total chunks'),
    row('Chunk index:', String(totals.chunksUnique), String(totals.chunksTotal)),
  ]
}

export function fileCount(stats: CreateStats): number {
  return stats.filesNew + stats.filesChanged + stats.filesUnmodified
}

/** Seconds between two ISO 8601 times, as Borg words a duration. */
export function snapshotDuration({ startedAt, endedAt }: SnapshotInfo): string {
  return borgDuration(Date.parse(endedAt) - Date.parse(startedAt))
}

function sizeRow(label: string, sizes: Sizes): string {
  return row(
    label,
    formatBytes(sizes.originalBytes),
    formatBytes(sizes.compressedBytes),
    formatBytes(sizes.deduplicatedBytes),
  )
}

function row(label: string, ...columns: string[]): string {
  return `${label.padEnd(15)}${columns.map((text) => ` ${text.padStart(20)}`).join('')}`
}

/** `1 days 2 hours 3 minutes 4.05 seconds`, as Borg: unit names are always plural. */
function borgDuration(ms: number): string {
  const days = Math.floor(ms / 86_400_000)
  const hours = Math.floor(ms / 3_600_000) % 24
  const minutes = Math.floor(ms / 60_000) % 60
  return [
    days > 0 ? `${days} days ` : '',
    hours > 0 ? `${hours} hours ` : '',
    minutes > 0 ? `${minutes} minutes ` : '',
    `${((ms % 60_000) / 1000).toFixed(2)} seconds`,
  ].join('')
}
