/** `cairn prune` as a whole: real snapshots of two hosts' names, the command line in a process of its own, and what is left. */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { describe, it } from 'node:test'
import { listSnapshots } from '../src/operations/list.ts'
import { type CairnResult, cairn, expectSound, newFolder, TestRepository } from './testing.ts'
import { digestTree } from './tree-digest.ts'

const DAY_MS = 86_400_000
const NOON = Date.UTC(2026, 5, 15, 12)

function prune(repository: TestRepository, ...args: string[]): CairnResult {
  return cairn(['prune', '-r', repository.location, ...args], { env: { TZ: 'UTC' } })
}

async function namesIn(repository: TestRepository): Promise<string[]> {
  return (await listSnapshots(repository.access)).snapshots.map(({ name }) => name).sort()
}

describe('cairn prune', () => {
  it("runs the line of Borg's tutorial: it deletes this host's old snapshots, and what is left restores", async () => {
    const repository = await TestRepository.create({ encryption: 'none' })
    const source = newFolder()
    mkdirSync(`${source}/d`)
    const digests = new Map<string, ReturnType<typeof digestTree>>()
    const host = hostname()
    for (let day = 12; day >= 0; day--) {
      writeFileSync(`${source}/d/file`, `of day ${day}`)
      const prefix = day % 4 === 0 ? 'other' : host
      const name = `${prefix}-${day}`
      digests.set(name, digestTree(source))
      await repository.create([source], { name, timestampMs: NOON - day * DAY_MS })
    }
    const rules = ['--prefix', '{hostname}-', '--keep-daily', '3', '--keep-weekly', '1', '--keep-monthly', '6']
    const before = await namesIn(repository)
    const dry = prune(repository, '--list', '--dry-run', ...rules)
    assert.equal(dry.status, 0, dry.stderr)
    assert.deepEqual(await namesIn(repository), before)

    const { status, stdout, stderr } = prune(repository, '--list', '--show-rc', ...rules)
    assert.deepEqual([status, stderr], [0, 'terminating with success status, rc 0\n'])
    // Day 0 is a Monday, so the week before that of days 1 to 7 begins with day 8, which is of the other host.
    const decisions = [...stdout.matchAll(/^(Keeping|Pruning) archive \(([^)]*)\): +\S*-(\d+) /gm)]
    assert.deepEqual(
      decisions.map(([, , what, day]) => `${day} ${what}`),
      [
        '1 rule: daily #1',
        '2 rule: daily #2',
        '3 rule: daily #3',
        '5 1/4',
        '6 2/4',
        '7 3/4',
        '9 rule: weekly #1',
        '10 4/4',
        '11 rule: monthly[oldest] #1',
      ],
    )
    const left = ['1', '2', '3', '9', '11'].map((day) => `${host}-${day}`)
    assert.deepEqual(await namesIn(repository), [...left, 'other-0', 'other-4', 'other-8', 'other-12'].sort())
    for (const name of await namesIn(repository)) await repository.expectRestored(source, name, digests.get(name))
    await expectSound(repository)

    // It is done once and for all, and the names are free.
    assert.match(prune(repository, ...rules).stdout, /^Deleted nothing, kept 5 snapshots\.\n$/)
    await repository.create([source], { name: `${host}-5` })
  })

  it('deletes nothing without a rule, or when nothing would be left', async () => {
    const repository = await TestRepository.create({ encryption: 'none' })
    await repository.create([import.meta.filename], { timestampMs: NOON - 10_000 * DAY_MS })
    for (const [args, message] of [
      [[], /no rule says what to keep; give at least one, such as --keep-last 3/],
      [['--keep-daily', '0'], /no rule says what to keep/],
      [['--keep-within', '1d'], /--allow-delete-all/],
      [['--keep-tag', 'none', '--json'], /"exit_error","code":2,"error":"INVALID_ARGUMENT"/],
    ] as const) {
      const { status, stdout, stderr } = prune(repository, ...args)
      assert.equal(status, 2, stderr)
      assert.match(stderr, message)
      assert.equal(stdout, '')
    }
    assert.equal((await namesIn(repository)).length, 1)
    assert.equal(prune(repository, '--keep-within', '1d', '--allow-delete-all').status, 0)
    assert.deepEqual(await namesIn(repository), [])
    await expectSound(repository)
  })
})
