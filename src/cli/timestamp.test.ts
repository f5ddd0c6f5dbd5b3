import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { parseTimestamp } from './timestamp.ts'

const zone = process.env['TZ']
const folder = mkdtempSync(path.join(tmpdir(), 'cairn-timestamp-'))

before(() => {
  process.env['TZ'] = 'Europe/Berlin'
})

after(() => {
  if (zone === undefined) delete process.env['TZ']
  else process.env['TZ'] = zone
  rmSync(folder, { recursive: true })
})

describe('parseTimestamp()', () => {
  it('takes local times, and others with Z or an offset', () => {
    for (const [text, want] of [
      ['2026-11-21T13:44:05', '2026-11-21T12:44:05.000Z'],
      ['2026-11-21 13:44:05', '2026-11-21T12:44:05.000Z'],
      ['2026-07-21T13:44', '2026-07-21T11:44:00.000Z'],
      ['2026-07-21 13:44', '2026-07-21T11:44:00.000Z'],
      ['2026-11-21', '2026-11-20T23:00:00.000Z'],
      ['2026-325', '2026-11-20T23:00:00.000Z'],
      ['2024-366', '2024-12-30T23:00:00.000Z'],
      ['2026-11-21T13:44:05.1239', '2026-11-21T13:44:05.123+01:00'],
      ['2026-11-21T13:44:05Z', '2026-11-21T13:44:05.000Z'],
      ['2026-11-21T13:44Z', '2026-11-21T13:44:00.000Z'],
      ['2026-11-21T13:44:05+00:00', '2026-11-21T13:44:05.000Z'],
      ['2026-11-21T13:44:05-0330', '2026-11-21T17:14:05.000Z'],
      ['2024-02-29T23:59:59.5+05:45', '2024-02-29T18:14:59.500Z'],
      ['1969-12-31T23:59:59Z', '1969-12-31T23:59:59.000Z'],
    ] as const) {
      assert.equal(new Date(parseTimestamp('local')(text)).toISOString(), new Date(want).toISOString(), text)
    }
  })

  it('takes the mtime of a file, also by way of a symlink', () => {
    const file = path.join(folder, 'file')
    writeFileSync(file, '')
    utimesSync(file, 1_000_000_000.25, 1_000_000_000.25)
    symlinkSync('file', path.join(folder, 'link'))
    assert.equal(parseTimestamp('local')(file), 1_000_000_000_250)
    assert.equal(parseTimestamp('local')(path.join(folder, 'link')), 1_000_000_000_250)
    utimesSync(folder, 5, 5)
    assert.equal(parseTimestamp('local')(folder), 5000)
  })

  it('refuses everything else', () => {
    for (const text of [
      '',
      'now',
      '2026-02-30',
      '2025-02-29T12:00:00',
      '2025-366',
      '2026-000',
      '2026-13-01',
      '2026-11-21T24:00:00',
      '2026-11-21T13:60',
      '2026-11-21T13',
      '2026-11-21T13:44:05+25:00',
      '2026-11-21Z',
      '21.11.2026',
      '1795264245',
      path.join(folder, 'nothing'),
    ]) {
      assert.throws(() => parseTimestamp('local')(text), /It must be a time like/, text)
    }
  })
})
