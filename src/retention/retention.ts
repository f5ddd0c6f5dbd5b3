/**
 * retention: which snapshots to keep. Pure: snapshots, a policy and a time go in, and a decision comes out for each, with its
 * reasons. There are two policies, since people of Borg and of Kopia mean different things by the same numbers (policy.ts).
 */
import { CairnError } from '../base/errors.ts'
import { seriesKey } from '../snapshot/catalog.ts'
import { borgReasons } from './borg-rules.ts'
import { kopiaReasons } from './kopia-rules.ts'
import type { Candidate, Decision, KeepReason, RemoveReason, RetentionPolicy, TagSets, Timed } from './policy.ts'

/**
 * Decides for each snapshot whether to keep it; newest first, whatever the order of `candidates`. Rules look at complete
 * snapshots only. Checkpoints count for none: the newest of a host's paths stays until there is a snapshot as new of them. A pin or
 * a tag keeps a snapshot in addition, and changes nothing for others.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for a policy without any rule, which would remove everything; `DATA_CORRUPT` for a
 *   snapshot whose time makes no sense
 */
export function decideRetention<S extends Candidate>(
  candidates: readonly S[],
  policy: RetentionPolicy,
  nowMs: number,
): Decision<S>[] {
  requireRules(policy)
  const newestFirst = candidates.map(withTime).sort(compareNewestFirst)
  const complete = newestFirst.filter(({ snapshot }) => !snapshot.checkpoint)
  const byRule = policy.kind === 'borg' ? listed(borgReasons(complete, policy, nowMs)) : kopiaReasons(complete, policy)
  const needed = neededCheckpoints(newestFirst)

  return newestFirst.map((item): Decision<S> => {
    const { snapshot } = item
    const tags = policy.keepTags && findTagSet(snapshot, policy.keepTags)
    const reasons: KeepReason[] = [
      ...(byRule.get(item) ?? []),
      ...(needed.has(item) ? [{ rule: 'checkpoint' as const }] : []),
      ...(tags ? [{ rule: 'tag' as const, tags }] : []),
      ...(snapshot.pinned ? [{ rule: 'pinned' as const }] : []),
    ]
    if (reasons.length > 0) return { snapshot, keep: true, reasons }
    const because: RemoveReason = snapshot.checkpoint ? 'superseded' : 'no-rule'
    return { snapshot, keep: false, because }
  })
}

/** @throws {CairnError} `INVALID_ARGUMENT` for a policy without any rule: it would remove everything */
export function requireRules({ counts, keepTags = [], ...policy }: RetentionPolicy): void {
  const withinMs = 'withinMs' in policy ? policy.withinMs : undefined
  if (withinMs !== undefined || keepTags.length > 0 || Object.values(counts).some((count) => count > 0)) return
  throw new CairnError(
    'INVALID_ARGUMENT',
    'Cannot prune: no rule says what to keep; give at least one, such as --keep-last 3, --keep-daily 7 or --keep-within 30d',
  )
}

function withTime<S extends Candidate>(snapshot: S): Timed<S> {
  const timeMs = Date.parse(snapshot.startedAt)
  if (!Number.isNaN(timeMs)) return { snapshot, timeMs }
  throw new CairnError(
    'DATA_CORRUPT',
    `Cannot prune: the snapshot ${snapshot.id} has no time that makes sense ('${snapshot.startedAt}'); delete it by itself, or leave it out by its name`,
  )
}

/** Of snapshots of the same time the one with the greater name is newer, as for Borg. */
function compareNewestFirst({ snapshot: a, timeMs: aMs }: Timed, { snapshot: b, timeMs: bMs }: Timed): number {
  return bMs - aMs || compareText(b.name, a.name) || compareText(b.id, a.id)
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Of each host's paths the newest checkpoint, unless there is a snapshot as new of them: all have the time their run began. */
function neededCheckpoints<T extends Timed>(newestFirst: readonly T[]): Set<T> {
  const newest = new Map<string, T>()
  for (const item of newestFirst) {
    const series = seriesKey(item.snapshot)
    const found = newest.get(series)
    if (!found || (found.timeMs === item.timeMs && hasMore(item.snapshot, found.snapshot))) newest.set(series, item)
  }
  return new Set([...newest.values()].filter(({ snapshot }) => snapshot.checkpoint))
}

/** Which of two of the same time has come further. */
function hasMore(a: Candidate, b: Candidate): boolean {
  return b.checkpoint && (!a.checkpoint || a.endedAt > b.endedAt)
}

/** The first of the sets all of whose tags a snapshot has. */
function findTagSet(snapshot: Candidate, sets: TagSets): readonly string[] | undefined {
  return sets.find((set) => set.every((tag) => snapshot.tags.includes(tag)))
}

function listed<K, V>(map: ReadonlyMap<K, V>): Map<K, V[]> {
  return new Map([...map].map(([key, value]) => [key, [value]]))
}
