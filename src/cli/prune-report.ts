import type { GroupKey, KeepReason, PruneEvent, PruneResult, RemoveReason } from '../operations/prune.ts'
import { formatIsoTime, freedByCompact, plural } from './output/format.ts'
import { reportWarning } from './output/issue.ts'
import type { Output } from './output/output.ts'
import { rawFields } from './output/raw-json.ts'
import { snapshotJson } from './output/record-json.ts'
import { padText, printable } from './output/text.ts'

export interface PruneReportOptions {
  readonly list?: true
  readonly dryRun?: true
}

/** Columns of what is done, before the snapshot's name; as in Borg. */
const ACTION_COLUMNS = 40

const REMOVE_REASONS: Record<RemoveReason, string> = {
  'no-rule': 'no rule keeps it',
  superseded: 'a newer snapshot took its place',
}

/** Tells of each decision, in Borg's lines or (`--json`) as an object. */
export function reportDecision(output: Output, event: PruneEvent, { list, dryRun }: PruneReportOptions): void {
  if (event.type === 'warning') {
    reportWarning(output, event)
    return
  }
  if (output.settings.json) {
    if (event.type !== 'group') output.json(decisionJson(event))
    return
  }
  if (!list) return
  if (event.type === 'group') {
    output.line(`Snapshots with ${groupText(event.group)}:`)
    return
  }
  const { name, id, startedAt } = event.snapshot
  const shown = `${padText(printable(name), 36)} ${formatIsoTime(startedAt)} [${id}]`
  if (event.type === 'keep') output.line(`${padText(keepText(event.reasons), ACTION_COLUMNS)} ${shown}`)
  else {
    const action = dryRun ? 'Would prune:' : `Pruning archive (${event.number}/${event.total}):`
    output.line(`${padText(action, ACTION_COLUMNS)} ${shown} (${REMOVE_REASONS[event.because]})`)
  }
}

/** What came out of it. */
export function reportPruned(
  output: Output,
  { kept, removed, reclaimableBytes }: PruneResult,
  { dryRun }: PruneReportOptions,
): void {
  const { json, quiet } = output.settings
  if (json)
    output.json({
      message_type: 'summary',
      dry_run: dryRun ?? false,
      snapshots_kept: kept,
      snapshots_removed: removed,
      reclaimable_bytes: reclaimableBytes,
    })
  else if (quiet) return
  else if (kept + removed === 0) output.line('No snapshot was chosen, so nothing is deleted.')
  else if (dryRun)
    output.line(
      `Would delete ${plural(removed, 'snapshot')}, and keep ${kept}; ${freedByCompact(reclaimableBytes)} then.`,
    )
  else if (removed > 0)
    output.line(`Deleted ${plural(removed, 'snapshot')}, kept ${kept}; ${freedByCompact(reclaimableBytes)}.`)
  else output.line(`Deleted nothing, kept ${plural(kept, 'snapshot')}.`)
}

/** `daily #3`, as Borg counts; `daily[oldest] #3` where it is not the last of a day. */
function reasonText(reason: KeepReason): string {
  if ('number' in reason) return `${reason.rule}${reason.oldest ? '[oldest]' : ''} #${reason.number}`
  return reason.rule === 'tag' ? `tag ${reason.tags.map(printable).join(',')}` : reason.rule
}

function keepText(reasons: readonly KeepReason[]): string {
  const [first] = reasons
  if (reasons.length === 1 && first?.rule === 'checkpoint') return 'Keeping checkpoint archive:'
  return `Keeping archive (rule: ${reasons.map(reasonText).join(', ')}):`
}

function groupText({ host, paths, tags }: GroupKey): string {
  return [
    ...(host === undefined ? [] : [`host ${printable(host)}`]),
    ...(paths === undefined ? [] : [`paths ${paths.map(printable).join(', ')}`]),
    ...(tags === undefined ? [] : [tags.length === 0 ? 'no tags' : `tags ${tags.map(printable).join(', ')}`]),
  ].join('; ')
}

function decisionJson(event: PruneEvent & { type: 'keep' | 'remove' }): object {
  const { host, paths, tags } = event.group
  return {
    message_type: 'decision',
    action: event.type,
    ...(event.type === 'keep'
      ? { matches: event.reasons.map(reasonText), reasons: event.reasons }
      : { reason: event.because }),
    ...(Object.keys(event.group).length > 0 && {
      group: { ...(host !== undefined && { host }), ...(paths && rawFields('paths', paths)), ...(tags && { tags }) },
    }),
    snapshot: snapshotJson(event.snapshot),
  }
}
