import assert from 'node:assert/strict'
import path from 'node:path'
import { describe, it } from 'node:test'
import { CairnError } from '../../src/base/errors.ts'
import type { Operations } from '../../src/cli/world.ts'
import type { PruneEvent, PruneOptions, PruneResult } from '../../src/operations/prune.ts'
import { aSnapshot, jsonLines, runCli, SOME_SIZES } from './harness.ts'

process.env['TZ'] = 'Europe/Berlin'

const ALL = {}
const DAY_MS = 86_400_000

interface Call extends PruneOptions {
  readonly location: string
}

function pruning(
  events: readonly PruneEvent[] = [],
  result: PruneResult = { kept: 12, removed: 1, reclaimableBytes: 5 << 20, sizes: SOME_SIZES },
): { operations: Partial<Operations>; calls: Call[] } {
  const calls: Call[] = []
  const operations: Partial<Operations> = {
    prune: async () => ({
      pruneSnapshots: async ({ location }, options) => {
        calls.push({ location, ...options })
        for (const event of events) options.onEvent?.(event)
        return result
      },
    }),
  }
  return { operations, calls }
}

const kept: PruneEvent = {
  type: 'keep',
  group: ALL,
  snapshot: aSnapshot(),
  reasons: [{ rule: 'daily', number: 3 }],
}
const removed: PruneEvent = {
  type: 'remove',
  group: ALL,
  snapshot: aSnapshot({ name: 'sun\u001Bday', id: 'fe'.repeat(16) }),
  because: 'no-rule',
  number: 1,
  total: 2,
}
const checkpoint = aSnapshot({ name: 'monday.checkpoint', checkpoint: true })

function borg(counts: object, more: object = {}): object {
  return { policy: { kind: 'borg', counts, withinMs: undefined, keepTags: undefined, ...more } }
}

async function sumOf(result: PruneResult, ...args: string[]): Promise<string> {
  return (await runCli(['prune', 'r', '-d3', ...args], pruning([kept, removed], result))).stdout
}

describe('prune', () => {
  it('reads rules, filters and groups', async () => {
    const none = { prefix: undefined, glob: undefined, hosts: undefined, tags: undefined, paths: undefined }
    const rows: [args: string[], want: object][] = [
      [
        ['--prefix', '{hostname}-', '--show-rc', '--keep-daily', '7', '--keep-weekly', '4', '--keep-monthly', '6'],
        { ...borg({ daily: 7, weekly: 4, monthly: 6 }), filter: { ...none, prefix: 'vm-' }, location: 'r' },
      ],
      [
        ['-H', '1', '-d', '2', '-w', '3', '-m', '4', '-y', '-1'],
        borg({ hourly: 1, daily: 2, weekly: 3, monthly: 4, yearly: Infinity }),
      ],
      [
        ['--keep-last=0', '--keep-secondly=1', '--keep-minutely=2', '--keep-13weekly=3'],
        borg({ last: 0, secondly: 1, minutely: 2, quarterly_13weekly: 3 }),
      ],
      [['--keep-3monthly', '5'], borg({ quarterly_3monthly: 5 })],
      ...Object.entries({
        '2H': DAY_MS / 12,
        '3d': 3 * DAY_MS,
        '1w': 7 * DAY_MS,
        '2m': 62 * DAY_MS,
        '1y': 365 * DAY_MS,
      }).map(([interval, withinMs]): [string[], object] => [['--keep-within', interval], borg({}, { withinMs })]),
      [['--keep-tag', 'a,b', '--keep-tag', 'c'], borg({}, { keepTags: [['a', 'b'], ['c']] })],
      [
        ['--policy', 'kopia', '--keep-last', '1', '-H', '2', '-d', '3', '-w', '4', '-m', '5', '-y', '6'],
        {
          policy: {
            kind: 'kopia',
            counts: { latest: 1, hourly: 2, daily: 3, weekly: 4, monthly: 5, annual: 6 },
            keepTags: undefined,
          },
        },
      ],
      [
        ['--policy', 'kopia', '--keep-latest', '1', '--keep-annual', '2'],
        { policy: { kind: 'kopia', counts: { latest: 1, annual: 2 }, keepTags: undefined } },
      ],
      [['-d1', '-a', '{user}-*'], { filter: { ...none, glob: 'ann-*' } }],
      [
        ['-d1', '--host', 'a', '--host', 'b', '--tag', 'x', '--tag', 'y,z', '--path', 'some/where/', '--path', '/'],
        { filter: { ...none, hosts: ['a', 'b'], tags: [['x'], ['y', 'z']], paths: [path.resolve('some/where'), '/'] } },
      ],
      [['-d1', '--group-by', 'host,paths,tag'], { groupBy: ['host', 'paths', 'tags'], dryRun: undefined }],
      [['-d1', '--group-by', '', '-n', '--allow-delete-all'], { groupBy: [], dryRun: true, allowDeleteAll: true }],
      [['-d1', '-s', '--save-space'], borg({ daily: 1 })],
    ]
    for (const [args, want] of rows) {
      const { operations, calls } = pruning()
      const { exitCode, stderr } = await runCli(['prune', 'r', ...args], { operations })
      assert.equal(exitCode, 0, stderr)
      for (const [name, value] of Object.entries(want))
        assert.deepEqual(calls[0]?.[name as keyof Call], value, `${args.join(' ')}: ${name}`)
    }
  })

  it('understands every way to name a repository', async () => {
    for (const [argv, env, want] of [
      [[], {}, '/home/ann/.local/share/cairn/repository'],
      [['r'], {}, 'r'],
      [['-r', 'r'], {}, 'r'],
      [['-r', 'r', 'r'], {}, 'r'],
      [[], { CAIRN_REPO: 'r' }, 'r'],
      [['r::'], {}, 'r'],
    ] as const) {
      const { operations, calls } = pruning()
      const { stderr } = await runCli(['prune', ...argv, '-d', '7'], { env, operations })
      assert.equal(calls[0]?.location, want, stderr)
    }
  })

  it('refuses what makes no sense', async () => {
    const rows: [args: string[], message: RegExp][] = [
      [['--keep-daily', 'x'], /whole number, or -1 for all/],
      [['--keep-daily', '-2'], /whole number, or -1 for all/],
      [['--keep-daily', '1.5'], /whole number/],
      [['--keep-daily='], /whole number|argument missing/],
      [['--keep-within', '0d'], /H, d, w, m, y/],
      [['--keep-within', '-1d'], /H, d, w, m, y/],
      [['--keep-within', '5'], /H, d, w, m, y/],
      [['--keep-within', '5M'], /H, d, w, m, y/],
      [['--keep-tag', 'a,,b'], /must be a tag/],
      [['-d1', '--tag', ''], /must be a tag|argument missing/],
      [['-d1', '--host='], /must not be empty|argument missing/],
      [['-d1', '--group-by', 'name'], /some of host, paths and tags/],
      [['-d1', '--group-by', 'toString'], /some of host, paths and tags/],
      [['-d1', '-P', 'a', '-a', 'b'], /cannot be used with/],
      [['-d1', '--prefix', '{nobody}'], /unknown placeholder/],
      [['--policy', 'restic', '-d1'], /Allowed choices are borg, kopia/],
      [['--policy', 'kopia', '--keep-secondly', '1'], /--keep-secondly is no rule of the policy 'kopia'/],
      [['--policy', 'kopia', '--keep-within', '1d'], /--keep-within is no rule of the policy 'kopia'/],
      [['--keep-latest', '1'], /--keep-latest is no rule of the policy 'borg'/],
      [['--keep-13weekly', '1', '--keep-3monthly', '1'], /exclude each other/],
    ]
    for (const [args, message] of rows) {
      const { exitCode, stdout, stderr } = await runCli(['prune', 'r', ...args])
      assert.equal(exitCode, 2, args.join(' '))
      assert.match(stderr, message)
      assert.equal(stdout, '')
    }
    const one = await runCli(['prune', 'r::monday', '-d1'])
    assert.equal(one.exitCode, 2)
    assert.match(one.stderr, /the one snapshot 'monday'.*--prefix/)
  })

  it("lists decisions in Borg's words, with the reasons of each", async () => {
    const events: PruneEvent[] = [
      kept,
      { ...kept, reasons: [{ rule: 'yearly', number: 2, oldest: true }] },
      { ...kept, reasons: [{ rule: 'latest', number: 1 }, { rule: 'pinned' }, { rule: 'tag', tags: ['a', 'b'] }] },
      { ...kept, snapshot: checkpoint, reasons: [{ rule: 'checkpoint' }] },
      removed,
      { ...removed, number: 2, snapshot: checkpoint, because: 'superseded' },
    ]
    const { operations } = pruning(events, { kept: 4, removed: 2, reclaimableBytes: 5 << 20, sizes: SOME_SIZES })
    const { stdout, stderr, exitCode } = await runCli(['prune', 'r', '-d3', '--list'], { operations })
    assert.deepEqual([exitCode, stderr], [0, ''])
    const monday = 'monday                               Sat, 2026-11-21 13:44:05 [0123456789abcdef0123456789abcdef]'
    assert.deepEqual(stdout.split('\n'), [
      `Keeping archive (rule: daily #3):        ${monday}`,
      `Keeping archive (rule: yearly[oldest] #2): ${monday}`,
      `Keeping archive (rule: latest #1, pinned, tag a,b): ${monday}`,
      `Keeping checkpoint archive:              monday.checkpoint                    Sat, 2026-11-21 13:44:05 [0123456789abcdef0123456789abcdef]`,
      `Pruning archive (1/2):                   sun\\x1bday                           Sat, 2026-11-21 13:44:05 [${'fe'.repeat(16)}] (no rule keeps it)`,
      `Pruning archive (2/2):                   monday.checkpoint                    Sat, 2026-11-21 13:44:05 [0123456789abcdef0123456789abcdef] (a newer snapshot took its place)`,
      "Deleted 2 snapshots, kept 4; 'cairn compact' would free 5.00 MiB.",
      '',
    ])
    const dry = await runCli(['prune', 'r', '-d3', '--list', '-n'], pruning([removed]))
    assert.match(
      dry.stdout,
      /^Would prune: {29}sun.*\nWould delete 1 snapshot, and keep 12; 'cairn compact' would free 5\.00 MiB then\.\n$/,
    )
  })

  it('prints only the sum without --list, and nothing with --quiet', async () => {
    assert.equal(
      await sumOf({ kept: 1, removed: 1, reclaimableBytes: 5 << 20, sizes: SOME_SIZES }),
      "Deleted 1 snapshot, kept 1; 'cairn compact' would free 5.00 MiB.\n",
    )
    assert.equal(
      await sumOf({ kept: 2, removed: 0, reclaimableBytes: 5 << 20, sizes: SOME_SIZES }),
      'Deleted nothing, kept 2 snapshots.\n',
    )
    assert.equal(
      await sumOf({ kept: 0, removed: 0, reclaimableBytes: 5 << 20, sizes: SOME_SIZES }),
      'No snapshot was chosen, so nothing is deleted.\n',
    )
    assert.equal(await sumOf({ kept: 1, removed: 1, reclaimableBytes: 5 << 20, sizes: SOME_SIZES }, '-q'), '')
  })

  it('heads groups', async () => {
    const group = { host: 'vm', paths: ['/a', '/b'], tags: [] }
    const events: PruneEvent[] = [
      { type: 'group', group },
      { ...kept, group },
    ]
    const { stdout } = await runCli(['prune', 'r', '-d3', '--list'], pruning(events))
    assert.match(stdout, /^Snapshots with host vm; paths \/a, \/b; no tags:\nKeeping archive/)
  })

  it('has an object for each decision, and one for the sum', async () => {
    const group = { host: 'vm', paths: ['/a\udcff'], tags: ['t'] }
    const events: PruneEvent[] = [{ type: 'group', group }, { ...kept, group }, removed]
    const { stdout } = await runCli(['prune', 'r', '-d3', '--json', '-n'], pruning(events))
    const [first, second, third, ...rest] = jsonLines(stdout)
    assert.deepEqual(rest, [])
    const { snapshot, ...keep } = first ?? {}
    assert.deepEqual(keep, {
      message_type: 'decision',
      action: 'keep',
      matches: ['daily #3'],
      reasons: [{ rule: 'daily', number: 3 }],
      group: { host: 'vm', paths: ['/a\ufffd'], paths_b64: ['L2H/'], tags: ['t'] },
    })
    assert.equal((snapshot as { name: string }).name, 'monday')
    assert.deepEqual([second?.['action'], second?.['reason'], second?.['group']], ['remove', 'no-rule', undefined])
    assert.deepEqual(third, {
      message_type: 'summary',
      dry_run: true,
      snapshots_kept: 12,
      snapshots_removed: 1,
      reclaimable_bytes: 5 << 20,
    })
  })

  it('prints what was deleted before an error, and the error', async () => {
    const operations: Partial<Operations> = {
      prune: async () => ({
        pruneSnapshots: async (_, { onEvent }) => {
          onEvent?.(removed)
          throw new CairnError('STORAGE_FULL', 'Cannot prune the rest, after 1 of 2 snapshots were deleted: no space')
        },
      }),
    }
    const { exitCode, stdout, stderr } = await runCli(['prune', 'r', '-d1', '--list'], { operations })
    assert.equal(exitCode, 1)
    assert.match(stdout, /^Pruning archive \(1\/2\):[^\n]*\n$/)
    assert.match(stderr, /after 1 of 2 snapshots were deleted: no space; make room/)
  })

  it('warns in a dry run of what the run itself would refuse', async () => {
    const warning: PruneEvent = { type: 'warning', message: 'Without --dry-run: no', code: 'INVALID_ARGUMENT' }
    const { exitCode, stderr } = await runCli(['prune', 'r', '-n', '--keep-within', '1d'], pruning([warning]))
    assert.deepEqual([exitCode, stderr], [0, 'cairn: warning: Without --dry-run: no\n'])
  })
})
