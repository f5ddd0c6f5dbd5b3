import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { borgCommandLine, borgSize, isoTime, isoTimeOfNs } from './words.ts'

describe('borgSize()', () => {
  it('writes sizes as Borg does', () => {
    for (const [bytes, decimal, binary] of [
      [0, '0 B', '0 B'],
      [999, '999 B', '999 B'],
      [1000, '1.00 kB', '1000 B'],
      [102_916, '102.92 kB', '100.50 KiB'],
      [999_996, '1.00 MB', '976.56 KiB'],
      [-3_210_000, '-3.21 MB', '-3.06 MiB'],
      [2 ** 50, '1.13 PB', '1.00 PiB'],
    ] as const) {
      assert.equal(borgSize(bytes), decimal)
      assert.equal(borgSize(bytes, { iec: true }), binary)
    }
    assert.equal(borgSize(6, { precision: 1, signed: true }), '+6 B')
    assert.equal(borgSize(0, { precision: 1, signed: true }), '0 B')
  })
})

describe('isoTime()', () => {
  it('has microseconds and no zone', () => {
    process.env['TZ'] = 'Europe/Berlin'
    assert.equal(isoTime(Date.parse('2026-11-21T12:44:05.123Z')), '2026-11-21T13:44:05.123000')
    assert.equal(isoTimeOfNs(1_795_264_245_123_456_789n), '2026-11-21T13:30:45.123457')
    assert.equal(isoTimeOfNs(1_795_264_244_999_999_500n), '2026-11-21T13:30:45.000000')
    assert.equal(isoTimeOfNs(-1000n), '1970-01-01T00:59:59.999999')
  })
})

describe('borgCommandLine()', () => {
  it('quotes for a shell what has to be', () => {
    assert.equal(borgCommandLine(['borg', 'create', "it's", '', '::{now}']), `borg create 'it'\\''s' '' '::{now}'`)
  })
})
