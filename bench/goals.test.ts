import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  busyCores,
  faster,
  type Figures,
  type Measured,
  microsecondsPerFile,
  peakMemory,
  repositoryShare,
  withinSeconds,
} from './goals.ts'
import type { ToolName } from './tools.ts'

function measured(figures: Partial<Record<ToolName, Partial<Figures>>>): Measured {
  const map = new Map(
    Object.entries(figures).map(([name, some]) => [
      name as ToolName,
      { label: name, seconds: 1, cpuSeconds: undefined, peakBytes: undefined, repositoryBytes: undefined, ...some },
    ]),
  )
  return { subject: map.get('cairn'), figures: map, files: 1000, cores: 2 }
}

describe('faster()', () => {
  it('divides the time of the peer by that of the subject', () => {
    assert.deepEqual(faster('restic', 4)(measured({ cairn: { seconds: 2 }, restic: { seconds: 8 } })), {
      goal: '≥ 4× as fast as restic',
      state: 'reached',
      found: '4.00×',
    })
  })

  it('says by how much the goal is missed', () => {
    const verdict = faster('restic', 4)(measured({ cairn: { seconds: 2 }, restic: { seconds: 6 } }))
    assert.deepEqual([verdict.state, verdict.found], ['missed', '3.00×, by 25 %'])
  })

  it('does not round a narrow miss to a goal reached', () => {
    const verdict = faster('restic', 4)(measured({ cairn: { seconds: 1 }, restic: { seconds: 3.999 } }))
    assert.deepEqual([verdict.state, verdict.found], ['missed', '4.00×, by less than 1 %'])
  })

  it('gives no verdict without the peer or the subject', () => {
    assert.equal(faster('restic', 4)(measured({ cairn: {} })).state, 'not measured')
    assert.equal(faster('restic', 4)(measured({ restic: {} })).state, 'not measured')
  })
})

describe('upper bounds', () => {
  it('are reached at the bound and missed above it', () => {
    const at = measured({ cairn: { seconds: 0.15, peakBytes: 350e6 } })
    const above = measured({ cairn: { seconds: 0.3, peakBytes: 420e6 } })
    assert.deepEqual(withinSeconds(0.15)(at), { goal: '≤ 150 ms', state: 'reached', found: '150 ms' })
    assert.deepEqual(withinSeconds(0.15)(above), { goal: '≤ 150 ms', state: 'missed', found: '300 ms, by 100 %' })
    assert.equal(peakMemory(350e6)(at).state, 'reached')
    assert.deepEqual(peakMemory(350e6)(above), {
      goal: 'peak memory ≤ 350 MB',
      state: 'missed',
      found: '420 MB, by 20 %',
    })
    assert.equal(peakMemory(350e6)(measured({ cairn: {} })).state, 'not measured')
  })

  it('count microseconds for each file', () => {
    const verdict = microsecondsPerFile(10)(measured({ cairn: { seconds: 0.02 } }))
    assert.deepEqual(verdict, { goal: '≤ 10 µs a file', state: 'missed', found: '20.0 µs, by 100 %' })
  })
})

describe('repositoryShare()', () => {
  const goal = repositoryShare(0.95, ['restic', 'borg'])

  it('compares with the smallest peer', () => {
    const sizes = { restic: { repositoryBytes: 200 }, borg: { repositoryBytes: 100 } }
    assert.equal(goal(measured({ ...sizes, cairn: { repositoryBytes: 95 } })).state, 'reached')
    assert.equal(goal(measured({ ...sizes, cairn: { repositoryBytes: 100 } })).state, 'missed')
  })

  it('gives no verdict while a peer is missing, since that might be the smallest', () => {
    const verdict = goal(measured({ cairn: { repositoryBytes: 1 }, borg: { repositoryBytes: 100 } }))
    assert.equal(verdict.state, 'not measured')
  })
})

describe('busyCores()', () => {
  it('compares CPU time with what all cores could give', () => {
    assert.equal(busyCores(0.8)(measured({ cairn: { seconds: 10, cpuSeconds: 16 } })).state, 'reached')
    assert.equal(busyCores(0.8)(measured({ cairn: { seconds: 10, cpuSeconds: 10 } })).found, '50 %, by 38 %')
  })
})
