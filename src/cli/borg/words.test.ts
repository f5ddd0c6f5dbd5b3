import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { skip } from '../../platform/testing.ts'
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
    for (const ns of [10n ** 24n, -(10n ** 24n)]) assert.equal(isoTimeOfNs(ns), 'unknown')
  })
})

describe('isoTimeOfNs()', () => {
  it('gives what Python gives', (t) => {
    process.env['TZ'] = 'UTC'
    const times = fc.sample(fc.bigInt({ min: 0n, max: 2n ** 31n * 1_000_000_000n }), 1000)
    const script =
      'import sys,datetime as d\nfor n in sys.stdin.read().split(): print(d.datetime.fromtimestamp(int(n)/1e9).strftime("%Y-%m-%dT%H:%M:%S.%f"))'
    const env = { PATH: process.env['PATH'], TZ: 'UTC' }
    const python = spawnSync('python3', ['-c', script], { input: times.join('\n'), encoding: 'utf8', env })
    if (python.error) return skip(t, 'needs python3')
    assert.equal(python.status, 0, python.stderr)
    assert.deepEqual(times.map(isoTimeOfNs), python.stdout.trim().split('\n'))
  })
})

describe('borgCommandLine()', () => {
  it('quotes for a shell what has to be', () => {
    assert.equal(borgCommandLine(['borg', 'create', "it's", '', '::{now}']), `borg create 'it'\\''s' '' '::{now}'`)
  })
})
