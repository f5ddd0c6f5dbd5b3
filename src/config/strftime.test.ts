import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { afterEach, describe, it } from 'node:test'
import { CairnError } from '../base/errors.ts'
import { skip } from '../platform/testing.ts'
import { strftime } from './strftime.ts'

const zoneBefore = process.env['TZ']

describe('strftime()', () => {
  afterEach(() => {
    if (zoneBefore === undefined) delete process.env['TZ']
    else process.env['TZ'] = zoneBefore
  })

  it('formats local time and UTC', () => {
    process.env['TZ'] = 'Europe/Berlin'
    const time = Date.parse('2026-03-29T01:30:05Z') // half an hour after the clocks went forward
    assert.equal(strftime('%Y-%m-%dT%H:%M:%S %z', time, 'local'), '2026-03-29T03:30:05 +0200')
    assert.equal(strftime('%Y-%m-%dT%H:%M:%S %z %Z', time, 'utc'), '2026-03-29T01:30:05 +0000 UTC')
  })

  it('agrees with date(1) on every conversion, in zones on both sides of UTC and around new year', (t) => {
    const formats = [
      '%Y %y %m %d %j %H %I %M %S %p',
      '%a %A %b %B %U %F %T %s %z',
      '%C %e %k %l %P %h %w %u %W %G %g %V',
      '%R|%D|%x|%X|%r|%c|%t|%%',
    ]
    const times: number[] = []
    for (let year = 1999; year < 2040; year++) {
      for (const day of ['01-01', '01-03', '02-28', '03-01', '12-31'])
        times.push(Date.parse(`${year}-${day}T23:05:09Z`))
    }
    for (const zone of ['UTC', 'America/St_Johns', 'Asia/Kathmandu', 'Europe/Berlin']) {
      for (const format of formats) {
        const date = spawnSync('date', ['-f', '-', `+${format}`], {
          input: times.map((time) => `@${time / 1000}`).join('\n'),
          env: { TZ: zone, LC_ALL: 'C', PATH: process.env['PATH'] },
          encoding: 'utf8',
        })
        if (date.error || date.status !== 0) {
          skip(t, 'GNU date is missing')
          return
        }
        process.env['TZ'] = zone
        const ours = times.map((time) => strftime(format, time, 'local'))
        assert.deepEqual(ours, date.stdout.trimEnd().split('\n'), `${zone} ${format}`)
      }
    }
  })

  it('names the zone', () => {
    process.env['TZ'] = 'America/New_York'
    assert.equal(strftime('%Z', Date.parse('2026-07-01T00:00:00Z'), 'local'), 'EDT')
  })

  it('refuses a conversion it does not know, and a lone percent sign', () => {
    for (const format of ['%Q', '%E', '%Y-%', '%\n']) {
      assert.throws(
        () => strftime(format, 0, 'utc'),
        (error) => error instanceof CairnError && error.code === 'INVALID_ARGUMENT',
        format,
      )
    }
  })
})
