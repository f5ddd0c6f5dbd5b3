import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ProgressMeter, renderProgress, type ProgressCounters } from './progress.ts'
import { displayWidth } from './text.ts'

const counters = (changes: Partial<ProgressCounters> = {}): ProgressCounters => ({
  filesDone: 1234,
  bytesDone: 100 * 1024 ** 2,
  filesTotal: 53_120,
  bytesTotal: 400 * 1024 ** 2,
  issues: 0,
  currentPath: '/usr/share/doc/readme.txt',
  ...changes,
})

/** A meter on a clock that only moves when told. */
function meterAt(): { meter: ProgressMeter; at: (ms: number) => void } {
  let now = 5000
  return { meter: new ProgressMeter(() => now), at: (ms) => (now = 5000 + ms) }
}

describe('ProgressMeter', () => {
  it('has the rate of the last ten seconds', () => {
    const { meter, at } = meterAt()
    for (let second = 1; second <= 30; second++) {
      at(second * 1000)
      meter.update(counters({ bytesDone: second <= 10 ? second * 1000 : 10_000 + (second - 10) * 50 }))
    }
    assert.equal(meter.rate, 50)
  })

  it('has no rate at the beginning, when it would be noise', () => {
    const { meter, at } = meterAt()
    at(10)
    meter.update(counters())
    assert.equal(meter.rate, undefined)
    assert.equal(meter.remainingMs, undefined)
  })

  it('counts the time from the first counters on, not from a question for the passphrase', () => {
    const { meter, at } = meterAt()
    at(60_000)
    assert.equal(meter.elapsedMs, 0)
    meter.update(counters({ bytesDone: 0 }))
    at(61_000)
    meter.update(counters({ bytesDone: 500 }))
    assert.equal(meter.elapsedMs, 1000)
    assert.equal(meter.rate, 500)
  })

  it('keeps few samples of many updates', () => {
    const { meter, at } = meterAt()
    for (let ms = 0; ms <= 20_000; ms += 10) {
      at(ms)
      meter.update(counters({ bytesDone: ms }))
    }
    assert.ok(Math.abs((meter.rate ?? 0) - 1000) < 1)
  })

  it('estimates the remaining time from totals and rate', () => {
    const { meter, at } = meterAt()
    meter.update(counters({ bytesDone: 0 }))
    at(10_000)
    meter.update(counters({ bytesDone: 100, bytesTotal: 400 }))
    assert.equal(meter.fraction, 0.25)
    assert.equal(meter.remainingMs, 30_000)
  })

  it('goes by files when there are no bytes, and never passes the end', () => {
    const { meter } = meterAt()
    meter.update(counters({ bytesDone: 0, bytesTotal: 0, filesDone: 1, filesTotal: 4 }))
    assert.equal(meter.fraction, 0.25)
    meter.update(counters({ bytesDone: 500, bytesTotal: 400 }))
    assert.equal(meter.fraction, 1)
  })
})

describe('renderProgress()', () => {
  it('shows everything when there is room, and drops the least telling first', () => {
    const { meter, at } = meterAt()
    meter.update(counters({ bytesDone: 0 }))
    at(10_000)
    meter.update(counters({ issues: 2 }))
    const rows = [150, 90, 70, 50, 32, 12, 6, 3].map((columns) => renderProgress(meter, columns))
    assert.deepEqual(rows, [
      '0:10  25%  1,234/53,120 files  100 MiB/400 MiB  10.0 MiB/s  0:30 left  2 problems  /usr/share/doc/readme.txt',
      '0:10  25%  1,234/53,120 files  100 MiB/400 MiB  10.0 MiB/s  0:30 left  2 problems',
      '0:10  25%  1,234/53,120 files  100 MiB/400 MiB  0:30 left  2 problems',
      '0:10  25%  100 MiB/400 MiB  0:30 left  2 problems',
      '0:10  25%  0:30 left  2 problems',
      '0:10  25%',
      '0:10',
      '',
    ])
  })

  it('shows nothing before the first counters, and no totals that are not known', () => {
    const { meter } = meterAt()
    assert.equal(renderProgress(meter, 80), '')
    meter.update(counters({ filesTotal: undefined, bytesTotal: undefined, currentPath: '' }))
    assert.equal(renderProgress(meter, 80), '0:00  1,234 files  100 MiB')
  })

  it('fits any width with any path, without control characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 0, max: 200 }), (currentPath, columns) => {
        const { meter } = meterAt()
        meter.update(counters({ currentPath }))
        const line = renderProgress(meter, columns)
        assert.ok(displayWidth(line) <= columns)
        assert.doesNotMatch(line, /\p{Cc}/u)
      }),
    )
  })
})
