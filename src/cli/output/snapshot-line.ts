import type { SnapshotInfo } from '../../operations/snapshot-info.ts'
import { formatIsoTime } from './format.ts'
import { padText, printable } from './text.ts'

/**
 * A snapshot on one line, as `borg list` prints it, and what is special about it:
 * `monday        Sat, 2026-11-21 13:44:05 [0123…] (pinned) (tags: nightly) # before the upgrade`
 */
export function snapshotLine(snapshot: SnapshotInfo): string {
  const { name, id, startedAt, checkpoint, incomplete, pinned, tags, comment } = snapshot
  const marks = [
    ...(checkpoint ? ['(checkpoint)'] : []),
    ...(incomplete ? ['(incomplete)'] : []),
    ...(pinned ? ['(pinned)'] : []),
    ...(tags.length > 0 ? [`(tags: ${tags.map(printable).join(', ')})`] : []),
    ...(comment === '' ? [] : [`# ${printable(comment)}`]),
  ]
  return [padText(printable(name), 36), formatIsoTime(startedAt), `[${id}]`, ...marks].join(' ')
}
