import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Candidate, KopiaPolicy } from './policy.ts'
import { decideRetention } from './retention.ts'
import { candidate, inZone, kept } from './testing.ts'

const NOW = Date.parse('2026-06-15T12:00:00Z')
const HOUR_MS = 3_600_000

function decide(candidates: readonly Candidate[], counts: KopiaPolicy['counts'], zone = 'UTC'): string[] {
  // Nothing depends on what time it is.
  const nowMs = NOW + 1000 * 86_400_000
  return inZone(zone, () => kept(decideRetention(candidates, { kind: 'kopia', counts }, nowMs)))
}

/** Every so many hours, back from noon of Monday, 15 June 2026; called by date and hour. */
function every(hours: number, count: number): Candidate[] {
  return Array.from({ length: count }, (_, i) => {
    const startedAt = NOW - i * hours * HOUR_MS
    return candidate(startedAt, { name: new Date(startedAt).toISOString().slice(5, 13) })
  })
}

describe('Kopia rules', () => {
  it('overlap: one snapshot counts for all of them', () => {
    assert.deepEqual(decide(every(24, 40), { latest: 2, daily: 3, weekly: 2, monthly: 2, annual: 1 }), [
      '06-15T12: latest #1, daily #1, weekly #1, monthly #1, annual #1',
      '06-14T12: latest #2, daily #2, weekly #2',
      '06-13T12: daily #3',
      '05-31T12: monthly #2',
    ])
  })

  it('reach back so many periods from the newest, and no further over gaps', () => {
    const candidates = ['2026-06-15', '2026-06-13', '2026-06-12', '2026-06-01'].map((day) =>
      candidate(`${day}T12:00:00Z`, { name: day }),
    )
    assert.deepEqual(decide(candidates, { daily: 3 }), [
      '2026-06-15: daily #1',
      '2026-06-13: daily #2',
      '2026-06-12: daily #3', // exactly three days ago
    ])
    assert.deepEqual(decide(candidates, { daily: 2 }), ['2026-06-15: daily #1', '2026-06-13: daily #2'])
    assert.deepEqual(decide(candidates, { daily: 1 }), ['2026-06-15: daily #1'])
    assert.deepEqual(decide(candidates.slice(0, 2), { hourly: 48 }), ['2026-06-15: hourly #1', '2026-06-13: hourly #2'])
    assert.deepEqual(decide(candidates.slice(0, 2), { hourly: 47 }), ['2026-06-15: hourly #1'])
  })

  it('have months and years of the calendar', () => {
    const candidates = ['2026-03-31', '2026-02-28', '2025-04-01', '2025-03-30'].map((day) =>
      candidate(`${day}T12:00:00Z`, { name: day }),
    )
    // A month before 31 March is 3 March, for February has no 31st, as in Go.
    assert.deepEqual(decide(candidates, { monthly: 1, annual: 2 }), [
      '2026-03-31: monthly #1, annual #1',
      '2025-04-01: annual #2',
    ])
    assert.deepEqual(decide(candidates, { monthly: 2 }), ['2026-03-31: monthly #1', '2026-02-28: monthly #2'])
  })

  it('do not take a week for a month of the same number', () => {
    const candidates = ['2026-05-31', '2026-02-01'].map((day) => candidate(`${day}T12:00:00Z`, { name: day }))
    assert.deepEqual(decide(candidates, { weekly: 20, monthly: 1 }), [
      '2026-05-31: weekly #1, monthly #1',
      '2026-02-01: weekly #2', // in week 5
    ])
  })

  it('reckon from the newest complete snapshot', () => {
    const checkpoint = candidate(NOW, { name: 'checkpoint', checkpoint: true })
    const older = candidate(NOW - 240 * HOUR_MS, { name: 'older' })
    assert.deepEqual(decide([checkpoint, older], { daily: 2 }), ['checkpoint: checkpoint', 'older: daily #1'])
  })

  it('reckon days by the calendar of the local zone', () => {
    // From noon to noon over the day that clocks were put forward there are 23 hours in Berlin.
    const candidates = ['2026-03-29T10:00:00Z', '2026-03-28T11:00:00Z', '2026-03-28T10:59:59Z'].map((time) =>
      candidate(time, { name: time }),
    )
    assert.deepEqual(decide(candidates.slice(0, 2), { daily: 2 }, 'Europe/Berlin').length, 2)
    const oneDay = decide(
      [candidates[0] as Candidate, candidates[2] as Candidate],
      { hourly: 24, daily: 1 },
      'Europe/Berlin',
    )
    assert.deepEqual(oneDay, ['2026-03-29T10:00:00Z: hourly #1, daily #1', '2026-03-28T10:59:59Z: hourly #2'])
  })
})
