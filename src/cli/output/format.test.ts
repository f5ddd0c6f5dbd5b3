import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  formatClock,
  formatCount,
  formatDuration,
  formatMode,
  formatNsTime,
  formatTime,
  nsToMs,
  plural,
} from './format.ts'

process.env['TZ'] = 'Europe/Berlin'

describe('times', () => {
  it("are Borg's, in the local zone", () => {
    assert.equal(formatTime(Date.parse('2026-11-21T12:44:05Z')), 'Sat, 2026-11-21 13:44:05')
    assert.equal(formatTime(Date.parse('2026-07-01T22:00:09Z')), 'Thu, 2026-07-02 00:00:09')
    assert.equal(formatTime(-1), 'Thu, 1970-01-01 00:59:59')
    assert.equal(formatTime(Number.NaN), 'unknown')
  })

  it('keep all nanoseconds in JSON, before 1970 too', () => {
    assert.equal(formatNsTime(1_795_264_245_123_456_789n), '2026-11-21T12:30:45.123456789Z')
    assert.equal(formatNsTime(0n), '1970-01-01T00:00:00.000000000Z')
    assert.equal(formatNsTime(-1n), '1969-12-31T23:59:59.999999999Z')
    assert.equal(formatNsTime(-1_000_000_000n), '1969-12-31T23:59:59.000000000Z')
    assert.equal(formatNsTime(10n ** 30n), '1000000000000000000000000000000')
    assert.equal(nsToMs(-1n), 0)
  })
})

describe('durations and counts', () => {
  it('read well at every size', () => {
    assert.deepEqual([0, 420, 12_340, 59_900, 245_000, 3_723_000].map(formatDuration), [
      '0.00 s',
      '0.42 s',
      '12.3 s',
      '59.9 s',
      '4:05 min',
      '1:02:03 h',
    ])
    assert.deepEqual([0, 7400, 59_600, 3_723_000].map(formatClock), ['0:00', '0:07', '1:00', '1:02:03'])
    assert.deepEqual([0, 999, 1000, 53_120, 1_234_567].map(formatCount), ['0', '999', '1,000', '53,120', '1,234,567'])
    assert.equal(plural(1, 'file'), '1 file')
    assert.equal(plural(0, 'entry', 'entries'), '0 entries')
  })
})

describe('formatMode()', () => {
  it('shows type, permission, set-id and sticky bits as ls does', () => {
    assert.equal(formatMode('file', 0o644), '-rw-r--r--')
    assert.equal(formatMode('dir', 0o1777), 'drwxrwxrwt')
    assert.equal(formatMode('file', 0o4755), '-rwsr-xr-x')
    assert.equal(formatMode('file', 0o6644), '-rwSr-Sr--')
    assert.equal(formatMode('dir', 0o1000), 'd--------T')
    assert.equal(formatMode('symlink', 0o777), 'lrwxrwxrwx')
    assert.deepEqual(
      (['fifo', 'chardev', 'blockdev'] as const).map((type) => formatMode(type, 0)[0]),
      ['p', 'c', 'b'],
    )
  })
})
