import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type Period, periodOf } from './periods.ts'
import { inZone } from './testing.ts'

const ALL: Period[] = [
  'secondly',
  'minutely',
  'hourly',
  'daily',
  'weekly',
  'monthly',
  'quarterly_13weekly',
  'quarterly_3monthly',
  'yearly',
]

const ZONES = ['UTC', 'Europe/Berlin', 'America/St_Johns', 'Australia/Lord_Howe', 'Pacific/Apia']

function samePeriod(period: Period, zone: string, a: string, b: string): boolean {
  return inZone(zone, () => periodOf(period, Date.parse(a)) === periodOf(period, Date.parse(b)))
}

describe('periodOf()', () => {
  it('goes by the local calendar', () => {
    assert.equal(samePeriod('daily', 'UTC', '2026-03-01T23:30:00Z', '2026-03-02T00:30:00Z'), false)
    assert.equal(samePeriod('daily', 'Europe/Berlin', '2026-03-01T23:30:00Z', '2026-03-02T00:30:00Z'), true)
    assert.equal(samePeriod('yearly', 'Europe/Berlin', '2025-12-31T23:30:00Z', '2026-01-01T00:30:00Z'), true)
    assert.equal(samePeriod('hourly', 'Asia/Kolkata', '2026-03-01T10:29:59Z', '2026-03-01T10:30:00Z'), false)
  })

  it('takes an hour that comes twice for one, and knows days of 23 and 25 hours', () => {
    // Clocks in Berlin went from 3:00 back to 2:00 at 1:00 UTC.
    assert.equal(samePeriod('hourly', 'Europe/Berlin', '2025-10-26T00:30:00Z', '2025-10-26T01:30:00Z'), true)
    assert.equal(samePeriod('hourly', 'Europe/Berlin', '2025-10-26T01:30:00Z', '2025-10-26T02:30:00Z'), false)
    assert.equal(samePeriod('daily', 'Europe/Berlin', '2025-10-25T22:00:00Z', '2025-10-26T22:59:59Z'), true)
    assert.equal(samePeriod('daily', 'Europe/Berlin', '2026-03-28T23:00:00Z', '2026-03-29T21:59:59Z'), true)
    assert.equal(samePeriod('daily', 'Europe/Berlin', '2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z'), false)
  })

  it('gives the days around New Year to the ISO week and quarter that has their Thursday', () => {
    // 2020 had 53 weeks, the last from Monday, 28 December to Sunday, 3 January.
    assert.equal(samePeriod('weekly', 'UTC', '2020-12-28T00:00:00Z', '2021-01-03T23:59:59Z'), true)
    assert.equal(samePeriod('weekly', 'UTC', '2021-01-03T23:59:59Z', '2021-01-04T00:00:00Z'), false)
    assert.equal(samePeriod('quarterly_13weekly', 'UTC', '2020-09-28T00:00:00Z', '2021-01-03T23:59:59Z'), true)
    assert.equal(samePeriod('quarterly_13weekly', 'UTC', '2020-09-27T23:59:59Z', '2020-09-28T00:00:00Z'), false)
    // The first week of 2025 began on 30 December.
    assert.equal(samePeriod('weekly', 'UTC', '2024-12-29T12:00:00Z', '2024-12-30T12:00:00Z'), false)
    assert.equal(samePeriod('weekly', 'UTC', '2024-12-30T12:00:00Z', '2025-01-05T12:00:00Z'), true)
    assert.equal(samePeriod('quarterly_13weekly', 'UTC', '2024-12-30T12:00:00Z', '2025-03-30T12:00:00Z'), true)
    assert.equal(samePeriod('quarterly_13weekly', 'UTC', '2025-03-30T12:00:00Z', '2025-03-31T12:00:00Z'), false)
    // Weeks of the same number a year apart are different ones.
    assert.equal(samePeriod('weekly', 'UTC', '2025-01-01T12:00:00Z', '2026-01-01T12:00:00Z'), false)
  })

  it('has calendar quarters too', () => {
    assert.equal(samePeriod('quarterly_3monthly', 'UTC', '2026-01-01T00:00:00Z', '2026-03-31T23:59:59Z'), true)
    assert.equal(samePeriod('quarterly_3monthly', 'UTC', '2026-03-31T23:59:59Z', '2026-04-01T00:00:00Z'), false)
    assert.equal(samePeriod('quarterly_3monthly', 'UTC', '2025-02-01T00:00:00Z', '2026-02-01T00:00:00Z'), false)
  })

  it('nests: times that share a finer period share the coarser one', () => {
    const finer: [Period, Period][] = [
      ['secondly', 'minutely'],
      ['minutely', 'hourly'],
      ['hourly', 'daily'],
      ['daily', 'weekly'],
      ['daily', 'monthly'],
      ['weekly', 'quarterly_13weekly'],
      ['monthly', 'quarterly_3monthly'],
      ['quarterly_3monthly', 'yearly'],
    ]
    const time = fc.integer({ min: Date.UTC(1990, 0), max: Date.UTC(2040, 0) })
    fc.assert(
      fc.property(fc.constantFrom(...ZONES), time, fc.integer({ min: 0, max: 100_000_000 }), (zone, a, gapMs) => {
        inZone(zone, () => {
          for (const [fine, coarse] of finer)
            if (periodOf(fine, a) === periodOf(fine, a + gapMs))
              assert.equal(periodOf(coarse, a), periodOf(coarse, a + gapMs), `${fine} in ${coarse}`)
        })
      }),
    )
  })

  it('gives no two years the same name of a period', () => {
    const time = Date.UTC(2026, 4, 15, 12)
    for (const period of ALL) {
      const later = time + 2 * 366 * 86_400_000
      assert.notEqual(periodOf(period, time), periodOf(period, later), period)
    }
  })
})
