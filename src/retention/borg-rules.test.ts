import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { BorgPolicy, Candidate } from './policy.ts'
import { decideRetention } from './retention.ts'
import { candidate, inZone, kept, keptNames } from './testing.ts'

const NOW = Date.parse('2026-06-15T12:00:00Z')

function decide(candidates: readonly Candidate[], policy: Omit<BorgPolicy, 'kind'>, nowMs = NOW): string[] {
  return inZone('UTC', () => kept(decideRetention(candidates, { kind: 'borg', ...policy }, nowMs)))
}

/** One each day at noon, back from 15 June 2026, which was a Monday; called by their dates. */
function days(count: number): Candidate[] {
  return Array.from({ length: count }, (_, i) => {
    const startedAt = NOW - i * 86_400_000
    return candidate(startedAt, { name: new Date(startedAt).toISOString().slice(0, 10) })
  })
}

describe('Borg rules', () => {
  it('count what finer rules do not keep', () => {
    assert.deepEqual(decide(days(60), { counts: { daily: 3, weekly: 2, monthly: 1 } }), [
      '2026-06-15: daily #1',
      '2026-06-14: daily #2',
      '2026-06-13: daily #3',
      '2026-06-07: weekly #1',
      '2026-05-31: weekly #2',
      '2026-04-30: monthly #1',
    ])
  })

  it('count periods that have snapshots, however long the gaps between them', () => {
    const times = ['2026-06-15T10:00Z', '2026-06-15T08:00Z', '2026-03-02T00:00Z', '2021-01-01T00:00Z']
    assert.deepEqual(
      decide(
        times.map((time) => candidate(time)),
        { counts: { daily: 2 } },
      ),
      ['2026-06-15T10:00:00.000Z: daily #1', '2026-03-02T00:00:00.000Z: daily #2'],
    )
  })

  it('keep the oldest as long as they have room', () => {
    const times = ['2026-06-15T10:00Z', '2026-06-15T08:00Z', '2026-06-15T07:00Z']
    const candidates = times.map((time) => candidate(time, { name: time.slice(11, 13) }))
    assert.deepEqual(decide(candidates, { counts: { daily: 2 } }), ['10: daily #1', '07: daily[oldest] #2'])
    assert.deepEqual(decide(candidates, { counts: { daily: 1 } }), ['10: daily #1'])
    assert.deepEqual(decide(candidates, { counts: { monthly: 1, yearly: 1 } }), [
      '10: monthly #1',
      '07: yearly[oldest] #1',
    ])
  })

  it('keep one of each period there is when they count without end, and then not the oldest', () => {
    const times = ['2026-06-15T10:00Z', '2026-06-14T10:00Z', '2026-06-13T10:00Z', '2026-06-13T08:00Z']
    const candidates = times.map((time) => candidate(time, { name: time.slice(8, 13) }))
    assert.deepEqual(decide(candidates, { counts: { daily: Infinity } }), [
      '15T10: daily #1',
      '14T10: daily #2',
      '13T10: daily #3',
    ])
  })

  it('keep everything younger than an interval, which counts for no rule', () => {
    assert.deepEqual(decide(days(6), { withinMs: 2 * 86_400_000, counts: { daily: 1 } }), [
      '2026-06-15: within #1',
      '2026-06-14: within #2', // and not 06-13, which is exactly as old as the interval
      '2026-06-13: daily #1',
    ])
    assert.deepEqual(decide(days(6), { withinMs: 3_600_000, counts: {} }, NOW + 86_400_000), [])
  })

  it('keep quarters by the calendar, and by 13 ISO weeks', () => {
    assert.deepEqual(decide(days(400), { counts: { quarterly_3monthly: 3 } }), [
      '2026-06-15: quarterly_3monthly #1',
      '2026-03-31: quarterly_3monthly #2',
      '2025-12-31: quarterly_3monthly #3',
    ])
    assert.deepEqual(decide(days(400), { counts: { quarterly_13weekly: 4 } }), [
      '2026-06-15: quarterly_13weekly #1',
      '2026-03-29: quarterly_13weekly #2', // the Sunday of week 13
      '2025-12-28: quarterly_13weekly #3', // of week 52; Monday, 29 December is in week 1 of 2026
      '2025-09-28: quarterly_13weekly #4', // of week 39
    ])
  })

  it("keep quarters as Borg's own tests have it", () => {
    const weeks = [
      '2023-10-01T00:00:00.000Z',
      '2023-07-02T00:00:00.001Z',
      '2023-07-02T00:00:00.000Z',
      '2023-04-02T00:00:00.001Z',
      '2023-04-02T00:00:00.000Z',
    ].map((time) => candidate(time))
    assert.deepEqual(decide(weeks, { counts: { quarterly_13weekly: 3 } }), [
      '2023-10-01T00:00:00.000Z: quarterly_13weekly #1',
      '2023-07-02T00:00:00.001Z: quarterly_13weekly #2',
      '2023-04-02T00:00:00.001Z: quarterly_13weekly #3',
    ])
  })

  it('last counts snapshots, secondly counts seconds', () => {
    const candidates = ['a', 'b', 'c', 'd'].map((name, i) => candidate(NOW - 1000 + i, { name }))
    assert.deepEqual(decide(candidates, { counts: { last: 3 } }), ['d: last #1', 'c: last #2', 'b: last #3'])
    assert.deepEqual(decide(candidates, { counts: { secondly: 1 } }), ['d: secondly #1'])
  })

  it('take the greater of two names of the same time for the newer, as Borg does', () => {
    const candidates = ['b', 'c', 'a'].map((name) => candidate(NOW, { name }))
    assert.deepEqual(decide(candidates, { counts: { daily: 1 } }), ['c: daily #1'])
  })

  it('go by local time', () => {
    const candidates = ['2026-06-14T22:30:00Z', '2026-06-14T21:30:00Z'].map((time) => candidate(time))
    const policy = { kind: 'borg', counts: { daily: Infinity } } as const
    const inBerlin = inZone('Europe/Berlin', () => keptNames(decideRetention(candidates, policy, NOW)))
    assert.equal(inBerlin.length, 2)
    assert.equal(inZone('UTC', () => keptNames(decideRetention(candidates, policy, NOW))).length, 1)
  })
})
