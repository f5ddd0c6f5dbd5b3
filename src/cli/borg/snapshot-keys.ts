import type { SnapshotInfo } from '../../operations/snapshot-info.ts'
import { printable } from '../output/text.ts'
import { applyFormat, type FormatPart, type FormatValue, type Moment } from './format-string.ts'
import { borgCommandLine, isoTime } from './words.ts'

/** What the keys of Borg's `list --format` for archives stand for; those that begin with b are not made fit for a terminal. */
const KEYS: Readonly<Record<string, (snapshot: SnapshotInfo) => string | Moment>> = {
  archive: ({ name }) => printable(name),
  name: ({ name }) => printable(name),
  barchive: ({ name }) => name,
  comment: ({ comment }) => printable(comment),
  bcomment: ({ comment }) => comment,
  id: ({ id }) => id,
  start: ({ startedAt }) => moment(startedAt),
  time: ({ startedAt }) => moment(startedAt),
  end: ({ endedAt }) => moment(endedAt),
  command_line: ({ commandLine }) => borgCommandLine(commandLine),
  hostname: ({ hostname }) => printable(hostname),
  username: ({ username }) => printable(username),
}

export const SNAPSHOT_KEYS = Object.keys(KEYS)

/** `borg list REPO` without options. */
export const SNAPSHOT_FORMAT = '{archive:<36} {time} [{id}]{NL}'

/** Those that are in JSON whatever the format. */
const JSON_KEYS = ['name', 'archive', 'barchive', 'id', 'time', 'start']

export function formatSnapshot(snapshot: SnapshotInfo, parts: readonly FormatPart[]): string {
  return applyFormat(parts, (key) => valueOf(snapshot, key))
}

/** A snapshot in `list --json`, with the keys that its format uses. */
export function borgSnapshotJson(snapshot: SnapshotInfo, keys: ReadonlySet<string>): Record<string, unknown> {
  return Object.fromEntries(
    [...new Set([...JSON_KEYS, ...keys])].map((key) => {
      if (key === 'command_line') return [key, snapshot.commandLine]
      const value = valueOf(snapshot, key)
      return [key, typeof value === 'object' ? isoTime(value.timeMs) : value]
    }),
  )
}

function valueOf(snapshot: SnapshotInfo, key: string): FormatValue {
  return KEYS[key]?.(snapshot) ?? ''
}

function moment(text: string): Moment {
  return { timeMs: Date.parse(text) }
}
