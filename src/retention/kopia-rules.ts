import { type KeepReason, type KopiaPolicy, type KopiaRule, KOPIA_RULES, type Timed } from './policy.ts'
import { type Period, periodOf } from './periods.ts'

const PERIODS: Record<Exclude<KopiaRule, 'latest'>, Period> = {
  hourly: 'hourly',
  daily: 'daily',
  weekly: 'weekly',
  monthly: 'monthly',
  annual: 'yearly',
}

/**
 * What Kopia's rules keep of snapshots that are given newest first, with all reasons of each. A rule keeps the last of each of its
 * periods, at most as many as it counts, and none from before so many periods ago, reckoned from the newest snapshot.
 *
 * Learned from Kopia's `retention_policy.go`. There, week 5 of a year and its month of May have the same name, so that one of the
 * two keeps nothing; that is left out.
 */
export function kopiaReasons<T extends Timed>(
  newestFirst: readonly T[],
  { counts }: KopiaPolicy,
): Map<T, KeepReason[]> {
  const reasons = new Map<T, KeepReason[]>()
  const newest = newestFirst[0]
  if (!newest) return reasons
  for (const rule of KOPIA_RULES) {
    const count = counts[rule] ?? 0
    const sinceMs = cutoffOf(rule, count, newest.timeMs)
    const seen = new Set<string>()
    for (const [i, item] of newestFirst.entries()) {
      if (seen.size >= count || item.timeMs < sinceMs) break
      const period = rule === 'latest' ? String(i) : periodOf(PERIODS[rule], item.timeMs)
      if (seen.has(period)) continue
      seen.add(period)
      reasons.set(item, [...(reasons.get(item) ?? []), { rule, number: seen.size }])
    }
  }
  return reasons
}

/** The same time of day so many days, weeks … ago, by the local calendar. */
function cutoffOf(rule: KopiaRule, count: number, newestMs: number): number {
  if (rule === 'latest' || count === Infinity) return -Infinity
  if (rule === 'hourly') return newestMs - count * 3_600_000
  const time = new Date(newestMs)
  if (rule === 'daily') return time.setDate(time.getDate() - count)
  if (rule === 'weekly') return time.setDate(time.getDate() - 7 * count)
  if (rule === 'monthly') return time.setMonth(time.getMonth() - count)
  return time.setFullYear(time.getFullYear() - count)
}
