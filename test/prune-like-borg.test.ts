/** What the rules of `cairn prune` keep, compared with what real Borg keeps of the same 400 archives. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { filterSnapshots } from '../src/operations/snapshot-filter.ts'
import { skip } from '../src/platform/testing.ts'
import type { BorgRule, Decision } from '../src/retention/policy.ts'
import { decideRetention } from '../src/retention/retention.ts'
import { candidate, inZone } from '../src/retention/testing.ts'
import { newFolder } from './testing.ts'

const NOW = Date.parse('2026-06-15T12:00:00Z')
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const ZONES = ['UTC', 'Europe/Berlin', 'America/St_Johns', 'Australia/Lord_Howe', 'Pacific/Auckland']
const INTERVALS_MS: Record<string, number> = { H: HOUR_MS, d: DAY_MS, w: 7 * DAY_MS, m: 31 * DAY_MS, y: 365 * DAY_MS }
/** Borg 1.2 has no quarters. */
const RULES = ['last', 'secondly', 'minutely', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const

/** The same numbers in every run: a failure can be looked at again. */
function newRandom(): (below: number) => number {
  let state = 12345
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}
const random = newRandom()

interface Archive {
  readonly name: string
  readonly time: number
}

/** Archives around changes of clocks and ends of years, every day with gaps, of long ago, of today, and within a second. */
function makeArchives(): Archive[] {
  const times: number[] = []
  const every = (stepMs: number, count: number, from: string): void => {
    for (let i = 0; i < count; i++) times.push(Date.parse(from) + i * stepMs)
  }
  every(HOUR_MS / 3, 15, '2025-10-25T22:00:00Z') // clocks are put back in Berlin
  every(HOUR_MS / 3, 15, '2026-03-28T22:00:00Z') // and forward
  every(HOUR_MS / 3, 15, '2025-11-02T02:00:00Z') // back in St. John's
  every(HOUR_MS / 3, 15, '2026-04-04T12:00:00Z') // back in Auckland and, by half an hour, on Lord Howe
  for (const year of [2020, 2024, 2025])
    for (const time of ['00:30', '12:00', '23:30']) every(DAY_MS, 12, `${year}-12-26T${time}:00Z`)
  every(30.4 * DAY_MS, 84, '2018-01-03T04:05:06Z')
  for (let day = 3; day < 140; day++) if (random(4) > 0) times.push(NOW - day * DAY_MS + random(1000) * 60_000)
  every(2 * HOUR_MS, 36, '2026-06-12T13:30:00Z')
  const archives = times.map((time, i) => ({ name: `${['vm', 'vm', 'nas'][random(3)]}-${i}`, time }))
  for (let i = 0; i < 6; i++) archives.push({ name: `burst-${i}`, time: NOW - 5000 + i * 250 })
  // One is the newest of all and stays, others are of long ago; one is the newest of its kind, but not of all.
  const stopped = [NOW - 1000, NOW - 2000, NOW - 100 * DAY_MS].map((time, i) => ({ name: `vm-x${i}.checkpoint`, time }))
  return [...archives, ...stopped, { name: 'nas-x.checkpoint', time: NOW - 3 * HOUR_MS }]
}

interface Case {
  readonly zone: string
  readonly options: readonly string[]
  readonly counts: Partial<Record<BorgRule, number>>
  readonly withinMs: number | undefined
  readonly prefix: string | undefined
  readonly glob: string | undefined
}

function makeCase(): Case {
  const zone = ZONES[random(ZONES.length)] as string
  const counts: Partial<Record<BorgRule, number>> = {}
  const options: string[] = []
  for (const rule of RULES) {
    // These two are one in Borg.
    if (random(3) > 0 || (rule === 'secondly' && counts.last !== undefined)) continue
    const count = [1, 2, 3, 4, 7, 12, 30, 400, -1, 0][random(10)] as number
    counts[rule] = count < 0 ? Infinity : count
    options.push(`--keep-${rule}`, String(count))
  }
  let withinMs: number | undefined
  if (random(4) === 0 || Object.values(counts).every((count) => count === 0)) {
    const [count, unit] = [1 + random(40), 'Hdwmy'.charAt(random(5))]
    withinMs = count * (INTERVALS_MS[unit] as number)
    options.push('--keep-within', `${count}${unit}`)
  }
  // Where several archives share a second, `--keep-last` is another rule here.
  const choice = counts.last === undefined ? random(6) : 1 + random(2)
  const prefix = ['', 'vm-', 'nas-'][choice] || undefined
  const glob = choice === 3 ? '*-[13579]*' : choice === 4 ? '?[!m]*' : undefined
  if (prefix) options.push('--prefix', prefix)
  if (glob) options.push('--glob-archives', glob)
  return { zone, options, counts, withinMs, prefix, glob }
}

/** Borg's answers to all cases; `undefined`, and the test skipped, where its modules cannot be used. */
function askBorg(t: TestContext, archives: readonly Archive[], cases: readonly Case[]): string[][] | undefined {
  const program = spawnSync('sh', ['-c', 'command -v borg'], { encoding: 'utf8' }).stdout.trim()
  const [, python] = program === '' ? [] : (/^#!\s*(\S*python\S*)/.exec(readFileSync(program, 'latin1')) ?? [])
  const ready = python && spawnSync(python, ['-c', 'from borg.archiver import Archiver'], { encoding: 'utf8' })
  if (!ready || ready.status !== 0) {
    skip(t, 'needs Borg 1.2, installed as modules of Python')
    return undefined
  }
  const script = path.join(import.meta.dirname, 'borg-prune.py')
  const input = JSON.stringify({ folder: newFolder(), now: NOW, archives, cases })
  const { status, stdout, stderr } = spawnSync(python, [script], { input, encoding: 'utf8', maxBuffer: 1 << 28 })
  assert.equal(status, 0, stderr)
  return JSON.parse(stdout) as string[][]
}

/** What Borg's line says, without time and id: `vm-1 daily #1`. */
function readLine(line: string): string {
  const [, said = '', rule, name] = /^(.*?)(?:\(rule: (.*)\))?:\s+(\S+) /.exec(line) ?? []
  if (said === 'Keeping checkpoint archive') return `${name} checkpoint`
  return said === 'Would prune' ? `${name} -` : `${name} ${rule}`
}

function decisionLine(decision: Decision): string {
  const { name } = decision.snapshot
  if (!decision.keep) return `${name} -`
  const [reason] = decision.reasons
  if (!reason || !('number' in reason)) return `${name} ${reason?.rule}`
  const rule = reason.rule === 'last' ? 'secondly' : reason.rule
  return `${name} ${rule}${reason.oldest ? '[oldest]' : ''} #${reason.number}`
}

describe('Borg rules', () => {
  it('keep what real Borg keeps, for the same reasons', (t) => {
    const archives = makeArchives()
    const cases = Array.from({ length: 200 }, makeCase)
    const answers = askBorg(t, archives, cases)
    if (!answers) return
    const candidates = archives.map(({ name, time }) =>
      candidate(time, { name, checkpoint: name.endsWith('.checkpoint') }),
    )
    let kept = 0
    for (const [i, { zone, options, counts, withinMs, prefix, glob }] of cases.entries()) {
      const meant = filterSnapshots(candidates, { prefix, glob })
      const decisions = inZone(zone, () =>
        decideRetention(
          meant.map((snapshot) => ({ ...snapshot, pinned: false })),
          { kind: 'borg', counts, withinMs },
          NOW,
        ),
      )
      const got = decisions.map(decisionLine)
      assert.deepEqual(got, answers[i]?.map(readLine), `TZ=${zone} borg prune ${options.join(' ')}`)
      kept += decisions.filter(({ keep }) => keep).length
    }
    assert.ok(kept > 5000, `only ${kept} archives were kept by all cases together`)
  })
})
