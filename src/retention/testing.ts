import type { Snapshot } from '../snapshot/snapshot.ts'
import { testSnapshot } from '../snapshot/testing.ts'
import type { Decision } from './policy.ts'

/** For tests: candidates from a few words, decisions as text, other time zones. */

/** A complete snapshot that began at this time, by which it is called unless told otherwise. */
export function candidate(startedAt: string | number, changes: Partial<Snapshot> = {}): Snapshot {
  const text = new Date(startedAt).toISOString()
  return testSnapshot({ name: text, startedAt: text, endedAt: text, ...changes })
}

/** The kept ones, as `name: rule #number` and so on, newest first. */
export function kept(decisions: readonly Decision[]): string[] {
  return decisions.flatMap((decision) => {
    if (!decision.keep) return []
    const reasons = decision.reasons.map((reason) => {
      if (!('number' in reason)) return reason.rule
      return `${reason.rule}${reason.oldest ? '[oldest]' : ''} #${reason.number}`
    })
    return [`${decision.snapshot.name}: ${reasons.join(', ')}`]
  })
}

/** Names of the kept ones, newest first. */
export function keptNames(decisions: readonly Decision[]): string[] {
  return decisions.filter(({ keep }) => keep).map(({ snapshot }) => snapshot.name)
}

/** Runs something in another time zone. */
export function inZone<T>(zone: string, run: () => T): T {
  const before = process.env['TZ']
  process.env['TZ'] = zone
  try {
    return run()
  } finally {
    if (before === undefined) delete process.env['TZ']
    else process.env['TZ'] = before
  }
}
