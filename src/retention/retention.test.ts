import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { SessionId } from '../base/ids.ts'
import { BORG_RULES, type Candidate, KOPIA_RULES, type RetentionPolicy } from './policy.ts'
import { decideRetention } from './retention.ts'
import { candidate, inZone, kept, keptNames } from './testing.ts'

const NOW = Date.parse('2026-06-15T12:00:00Z')
const DAY_MS = 86_400_000
const ONE_DAILY: RetentionPolicy = { kind: 'borg', counts: { daily: 1 } }

const zone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/St_Johns', 'Australia/Lord_Howe', 'Pacific/Apia')
/** Many within one hour, some within three years; times meet now and then. */
const startedMs = fc.oneof(
  fc.integer({ min: 0, max: 40 }).map((n) => NOW - n * 90_000),
  fc.integer({ min: 0, max: 3 * 365 * 24 }).map((hours) => NOW - hours * 3_600_000),
)
const candidates: fc.Arbitrary<Candidate[]> = fc
  .array(fc.tuple(startedMs, fc.nat(9), fc.nat(9), fc.constantFrom('a', 'b')), { maxLength: 60 })
  .map((list) =>
    list.map(([ms, checkpoint, pinned, hostname], i) =>
      candidate(ms, {
        id: i.toString(16).padStart(32, '0') as SessionId,
        name: `s${i}`,
        hostname,
        checkpoint: checkpoint === 0,
        pinned: pinned === 0,
      }),
    ),
  )

const count = fc.oneof(fc.constant(undefined), fc.nat(12))
const borgCounts = fc.record(Object.fromEntries(BORG_RULES.map((rule) => [rule, count])))
const kopiaCounts = fc.record(Object.fromEntries(KOPIA_RULES.map((rule) => [rule, count])))
const policy = fc
  .oneof(
    fc.record({ kind: fc.constant('borg' as const), counts: borgCounts, withinMs: fc.constantFrom(undefined, DAY_MS) }),
    fc.record({ kind: fc.constant('kopia' as const), counts: kopiaCounts }),
  )
  .map((value) => value as RetentionPolicy)
const countingPolicy = policy.filter(({ counts }) => Object.values(counts).some((value) => value > 0))

function minute(number: number): number {
  return NOW + number * 60_000
}

describe('decideRetention()', () => {
  it('decides about each snapshot once, newest first, and gives a reason for all it keeps', () => {
    fc.assert(
      fc.property(candidates, countingPolicy, zone, (list, rules, tz) => {
        const decisions = inZone(tz, () => decideRetention(list, rules, NOW))
        assert.deepEqual(decisions.map(({ snapshot }) => snapshot.name).sort(), list.map(({ name }) => name).sort())
        const times = decisions.map(({ snapshot }) => Date.parse(snapshot.startedAt))
        assert.deepEqual(
          times,
          times.toSorted((a, b) => b - a),
        )
        for (const decision of decisions) assert.ok(!decision.keep || decision.reasons.length > 0)
      }),
    )
  })

  it('never removes the newest complete snapshot when a rule counts', () => {
    fc.assert(
      fc.property(candidates, countingPolicy, zone, (list, rules, tz) => {
        const decisions = inZone(tz, () => decideRetention(list, rules, NOW))
        const newest = decisions.find(({ snapshot }) => !snapshot.checkpoint)
        assert.ok(newest === undefined || newest.keep)
      }),
    )
  })

  it('does not depend on the order of what it is given', () => {
    const shuffled = candidates.chain((list) =>
      fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
    )
    fc.assert(
      fc.property(shuffled, countingPolicy, ([list, other], rules) => {
        assert.deepEqual(decideRetention(list, rules, NOW), decideRetention(other, rules, NOW))
      }),
    )
  })

  it('keeps all that it kept when a rule counts more', () => {
    fc.assert(
      fc.property(candidates, countingPolicy, fc.nat(20), fc.nat(12), zone, (list, rules, which, more, tz) => {
        const names = rules.kind === 'borg' ? BORG_RULES : KOPIA_RULES
        const rule = names[which % names.length] as string
        const counts: Record<string, number | undefined> = { ...rules.counts }
        counts[rule] = (counts[rule] ?? 0) + more
        const [fewer, larger] = inZone(tz, () => [
          keptNames(decideRetention(list, rules, NOW)),
          new Set(keptNames(decideRetention(list, { ...rules, counts }, NOW))),
        ])
        assert.deepEqual(
          fewer.filter((name) => !larger.has(name)),
          [],
        )
      }),
    )
  })

  it('keeps at most as many as the rules of Borg add up to', () => {
    fc.assert(
      fc.property(candidates, borgCounts, (list, counts) => {
        const sum = Object.values(counts).reduce<number>((total, value) => total + (value ?? 0), 0)
        const plain = list.map((snapshot) => ({ ...snapshot, pinned: false, checkpoint: false }))
        fc.pre(sum > 0)
        assert.ok(keptNames(decideRetention(plain, { kind: 'borg', counts }, NOW)).length <= sum)
      }),
    )
  })

  it('keeps what is pinned or tagged, which changes nothing for others', () => {
    fc.assert(
      fc.property(candidates, countingPolicy, fc.nat(), (list, rules, which) => {
        fc.pre(list.length > 0)
        const chosen = list[which % list.length] as Candidate
        const before = keptNames(decideRetention(list, rules, NOW))
        const change = (changes: Partial<Candidate>): Candidate[] =>
          list.map((snapshot) => (snapshot === chosen ? { ...snapshot, ...changes } : snapshot))
        const pinned = keptNames(decideRetention(change({ pinned: true }), rules, NOW))
        assert.deepEqual(new Set(pinned), new Set([...before, chosen.name]))
        const tagged = keptNames(
          decideRetention(change({ tags: ['a', 'b'] }), { ...rules, keepTags: [['b', 'a']] }, NOW),
        )
        assert.deepEqual(new Set(tagged), new Set([...before, chosen.name]))
      }),
    )
  })

  it('takes one set of tags, all of whose tags a snapshot has', () => {
    const list = [[], ['a'], ['a', 'b'], ['c']].map((tags, i) => candidate(NOW - i * 1000, { name: `${i}`, tags }))
    const decided = decideRetention(list, { ...ONE_DAILY, keepTags: [['a', 'b'], ['c']] }, NOW)
    assert.deepEqual(kept(decided), ['0: daily #1', '2: tag', '3: tag'])
    assert.deepEqual(
      decided.filter(({ keep }) => !keep),
      [{ snapshot: list[1], keep: false, because: 'no-rule' }],
    )
  })

  it('keeps the newest checkpoint of paths until there is a snapshot as new of them', () => {
    const checkpoint = (at: number, name: string, changes: Partial<Candidate> = {}): Candidate =>
      candidate(minute(at), { name, checkpoint: true, ...changes })
    const decided = decideRetention(
      [
        candidate(minute(3), { name: 'whole' }),
        checkpoint(1, 'overtaken'),
        checkpoint(4, 'stale'),
        checkpoint(5, 'needed-before', { endedAt: new Date(minute(6)).toISOString() }),
        checkpoint(5, 'needed', { endedAt: new Date(minute(7)).toISOString() }),
        checkpoint(2, 'other-host', { hostname: 'other' }),
        checkpoint(2, 'other-paths', { paths: ['/etc'] }),
        checkpoint(0, 'other-paths-stale', { paths: ['/etc'] }),
        checkpoint(9, 'ended.checkpoint', { paths: ['/b', '/a'] }),
        candidate(minute(9), { name: 'ended', paths: ['/a', '/b'] }),
      ],
      { kind: 'borg', counts: { last: 9 } },
      minute(10),
    )
    assert.deepEqual(kept(decided), [
      'ended: last #1',
      'needed: checkpoint',
      'whole: last #2',
      'other-paths: checkpoint',
      'other-host: checkpoint',
    ])
    for (const decision of decided) assert.ok(decision.keep || decision.because === 'superseded')
  })

  it('refuses a policy without any rule, and a time that makes no sense', () => {
    const list = [candidate(NOW)]
    for (const counts of [{}, { daily: 0 }, { daily: undefined, last: 0 }]) {
      for (const kind of ['borg', 'kopia'] as const) {
        const rules = { kind, counts } as RetentionPolicy
        assert.throws(() => decideRetention(list, rules, NOW), { code: 'INVALID_ARGUMENT', message: /at least one/ })
        assert.throws(() => decideRetention([], { ...rules, keepTags: [] }, NOW), { code: 'INVALID_ARGUMENT' })
      }
    }
    const wrong = { ...candidate(NOW), startedAt: 'yesterday' }
    assert.throws(() => decideRetention([...list, wrong], ONE_DAILY, NOW), {
      code: 'DATA_CORRUPT',
      message: /yesterday/,
    })
  })
})
