import { BORG_RULES, type BorgPolicy, type BorgRule, type KeepReason, type Timed } from './policy.ts'
import { periodOf } from './periods.ts'

/**
 * What Borg's rules keep of snapshots that are given newest first, and why. Each has one reason: the first rule that keeps it.
 *
 * Learned from Borg 1.2.4, with which a test compares the outcome, and for the quarters from its later versions. In one thing it is
 * different on purpose: `last` counts snapshots, where that version takes it for `secondly` and drops what shares a second.
 */
export function borgReasons<T extends Timed>(
  newestFirst: readonly T[],
  { counts, withinMs }: BorgPolicy,
  nowMs: number,
): Map<T, KeepReason> {
  const reasons = new Map<T, KeepReason>()
  if (withinMs !== undefined) {
    for (const item of newestFirst)
      if (item.timeMs > nowMs - withinMs) reasons.set(item, { rule: 'within', number: reasons.size + 1 })
  }
  for (const rule of BORG_RULES) applyRule(rule, counts[rule] ?? 0, newestFirst, reasons)
  return reasons
}

function applyRule<T extends Timed>(
  rule: BorgRule,
  count: number,
  newestFirst: readonly T[],
  reasons: Map<T, KeepReason>,
): void {
  let kept = 0
  let before: string | undefined
  for (const [i, item] of newestFirst.entries()) {
    if (kept >= count) return
    const period = rule === 'last' ? String(i) : periodOf(rule, item.timeMs)
    if (period === before) continue
    before = period
    // One that an earlier rule keeps stands for its period, but does not count.
    if (!reasons.has(item)) reasons.set(item, { rule, number: ++kept })
  }
  // As long as a rule has room, what there was in the beginning stays; "all" has no room that could be left.
  const oldest = newestFirst.at(-1)
  if (oldest && kept < count && Number.isFinite(count) && !reasons.has(oldest))
    reasons.set(oldest, { rule, number: kept + 1, oldest: true })
}
