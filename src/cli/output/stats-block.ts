import { formatBytes } from '../../base/sizes.ts'
import type { CreateStats, RepositoryTotals } from '../../operations/snapshot-info.ts'
import type { CreateResult } from '../../operations/create.ts'
import type { SnapshotInfo } from '../../operations/snapshot-info.ts'
import { formatIsoTime } from './format.ts'
import { printable } from './text.ts'

/** The line around a block. */
export const RULE = '-'.repeat(78)

export type Sizes = Pick<RepositoryTotals, 'originalBytes' | 'compressedBytes' | 'deduplicatedBytes'>

/** Writes a number of bytes. */
export type SizeFormat = (bytes: number) => string

/** What `create --stats` prints, in the layout of Borg 1.2, which scripts read. */
export function archiveStats(
  { snapshot, totals, durationMs }: CreateResult,
  location: string,
  size: SizeFormat = formatBytes,
): string[] {
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
    ...sizeTable(totals, { part: snapshot.stats, size }),
    RULE,
  ]
}

/** What is in the table of sizes besides the sums. */
export interface SizeTableOptions {
  /** Sizes of one snapshot, or of what was deleted. */
  readonly part?: Sizes
  readonly label?: string
  readonly size?: SizeFormat
}

/** Borg's table of sizes and chunks, with a line for `part` when it is given. */
export function sizeTable(totals: RepositoryTotals, options: SizeTableOptions = {}): string[] {
  const { part, label = 'This archive:', size = formatBytes } = options
  return [
    row('', 'Original size', 'Compressed size', 'Deduplicated size'),
    ...(part ? [sizeRow(label, part, size)] : []),
    sizeRow('All archives:', totals, size),
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

function sizeRow(label: string, sizes: Sizes, size: SizeFormat): string {
  return row(label, size(sizes.originalBytes), size(sizes.compressedBytes), size(sizes.deduplicatedBytes))
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
