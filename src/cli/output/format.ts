import { formatBytes } from '../../base/sizes.ts'
import type { EntryInfo } from '../../operations/snapshot-info.ts'

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const

/** Borg's way to write a time, in the local zone: `Sat, 2026-11-21 13:44:05`. */
export function formatTime(timeMs: number): string {
  const time = new Date(timeMs)
  if (Number.isNaN(time.getTime())) return 'unknown'
  const date = `${String(time.getFullYear()).padStart(4, '0')}-${two(time.getMonth() + 1)}-${two(time.getDate())}`
  return `${DAYS[time.getDay()]}, ${date} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`
}

/** As `formatTime`, for the ISO 8601 text of a snapshot. */
export function formatIsoTime(text: string): string {
  return formatTime(Date.parse(text))
}

/** A duration for a sentence: `0.42 s`, `12.3 s`, `4:05 min`, `1:02:03 h`. */
export function formatDuration(ms: number): string {
  const seconds = ms / 1000
  if (seconds < 10) return `${seconds.toFixed(2)} s`
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  return `${formatClock(ms)} ${seconds < 3600 ? 'min' : 'h'}`
}

/** A duration for a status line: `0:07`, `4:05`, `1:02:03`. */
export function formatClock(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  const hours = Math.floor(seconds / 3600)
  const minutes = Math.floor(seconds / 60) % 60
  const rest = two(seconds % 60)
  return hours > 0 ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`
}

/** A count with its thousands apart: `53,120`. */
export function formatCount(count: number): string {
  return String(count).replaceAll(/\B(?=(?:\d{3})+$)/g, ',')
}

/** `1 file`, `2 files`; the plural is the singular with an s unless given. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`
}

/** What a compaction is for, in a sentence of a command that deletes. */
export function freedByCompact(bytes: number | undefined): string {
  if (bytes === undefined) return "'cairn compact' frees their space"
  return bytes === 0
    ? "there is nothing for 'cairn compact' to free"
    : `'cairn compact' would free ${formatBytes(bytes)}`
}

const TYPE_LETTERS: Record<EntryInfo['type'], string> = {
  file: '-',
  dir: 'd',
  symlink: 'l',
  fifo: 'p',
  chardev: 'c',
  blockdev: 'b',
}

/** Type and permission bits as `ls -l` shows them, set-id and sticky bits included: `drwxr-sr-x`. */
export function formatMode(type: EntryInfo['type'], mode: number): string {
  const triple = (shift: number, special: boolean, letter: string): string => {
    const bits = mode >> shift
    const execute = special ? ((bits & 1) !== 0 ? letter : letter.toUpperCase()) : (bits & 1) !== 0 ? 'x' : '-'
    return `${(bits & 4) !== 0 ? 'r' : '-'}${(bits & 2) !== 0 ? 'w' : '-'}${execute}`
  }
  const user = triple(6, (mode & 0o4000) !== 0, 's')
  const group = triple(3, (mode & 0o2000) !== 0, 's')
  const others = triple(0, (mode & 0o1000) !== 0, 't')
  return TYPE_LETTERS[type] + user + group + others
}

/** Milliseconds of a nanosecond time stamp. */
export function nsToMs(ns: bigint): number {
  return Number(ns / 1_000_000n)
}

/** RFC 3339 in UTC with all nine digits: `2026-11-21T12:44:05.123456789Z`. */
export function formatNsTime(ns: bigint): string {
  const seconds = ns >= 0n ? ns / 1_000_000_000n : -((999_999_999n - ns) / 1_000_000_000n)
  const fraction = String(ns - seconds * 1_000_000_000n).padStart(9, '0')
  const time = new Date(Number(seconds) * 1000)
  if (Number.isNaN(time.getTime())) return String(ns) // beyond the year 275,760
  return time.toISOString().replace('.000Z', `.${fraction}Z`)
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value)
}
