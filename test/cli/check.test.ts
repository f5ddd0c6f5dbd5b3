import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { toRawName } from '../../src/base/raw-name.ts'
import type { Operations } from '../../src/cli/world.ts'
import { LATIN1_NAME } from '../testing.ts'
import type { CheckEvent, CheckOptions, CheckResult } from '../../src/operations/check.ts'
import { CapturedStream, jsonLines, runCli } from './harness.ts'

interface Call extends CheckOptions {
  readonly location: string
}

function checking(
  events: CheckEvent[] = [],
  changes: Partial<CheckResult> = {},
): { operations: Partial<Operations>; calls: Call[] } {
  const calls: Call[] = []
  const operations: Partial<Operations> = {
    check: async () => ({
      checkRepository: async ({ location }, options) => {
        calls.push({ location, ...options })
        for (const event of events) options.onEvent?.(event)
        return {
          errors: events.filter((event) => event.type === 'error').length,
          brokenPacks: [],
          packs: 1200,
          packsRead: 0,
          bytesRead: 5000,
          chunks: 60_000,
          snapshots: 12,
          trees: 3456,
          orphanPacks: 0,
          durationMs: 1500,
          ...changes,
        }
      },
    }),
  }
  return { operations, calls }
}

const PACK = 'ab'.repeat(32)
const lostPack: CheckEvent = {
  type: 'error',
  code: 'DATA_CORRUPT',
  object: `packs/ab/${PACK}`,
  message: `Cannot use pack ${PACK}: it is missing`,
}
const affected: CheckEvent = {
  type: 'error',
  code: 'DATA_CORRUPT',
  object: 'commits/0123',
  message: "Snapshot 'monday' is damaged: 2 files cannot be restored: a\u001B, b",
  snapshot: { id: '0123' as never, name: 'monday', files: 2, directories: 0, paths: [LATIN1_NAME, 'b'] },
}

describe('check', () => {
  it('understands every way to name a repository, a snapshot and what to read', async () => {
    const standard = '/home/ann/.local/share/cairn/repository'
    const rows: [argv: string[], env: Record<string, string>, want: Partial<Call>][] = [
      [[], {}, { location: standard, snapshot: undefined, readData: undefined, scope: 'all' }],
      [['/mnt/r'], {}, { location: '/mnt/r', snapshot: undefined }],
      [['r::a'], {}, { location: 'r', snapshot: 'a' }],
      [['r', 'a'], {}, { location: 'r', snapshot: 'a' }],
      [['-r', 'r', 'latest'], {}, { location: 'r', snapshot: 'latest' }],
      [['a'], { CAIRN_REPO: 'r' }, { location: 'r', snapshot: 'a' }],
      [['r', '--read-data'], {}, { readData: true }],
      [['r', '--verify-data'], {}, { readData: true }],
      [['r', '--read-data-subset', '1/7'], {}, { readData: { part: 1, of: 7 } }],
      [['r', '--read-data-subset=2.5%'], {}, { readData: { percent: 2.5 } }],
      [['r', '--repository-only', '--workers', '3'], {}, { scope: 'repository', workers: 3 }],
      [['r', '--archives-only'], {}, { scope: 'snapshots' }],
    ]
    for (const [argv, env, want] of rows) {
      const { operations, calls } = checking()
      const { exitCode, stderr } = await runCli(['check', ...argv], { env, operations })
      assert.equal(exitCode, 0, stderr)
      const [call] = calls
      for (const [name, value] of Object.entries(want))
        assert.deepEqual(call?.[name as keyof Call], value, argv.join(' '))
    }
  })

  it('refuses what makes no sense', async () => {
    const rows: [argv: string[], message: RegExp][] = [
      [['r', '--repository-only', '--archives-only'], /--repository-only and --archives-only exclude each other/],
      [['r', '--archives-only', '--verify-data'], /--archives-only and reading data exclude/],
      [['r', '--archives-only', '--read-data-subset', '1/2'], /--archives-only and reading data exclude/],
      [['r::a', '--repository-only'], /--repository-only and a snapshot exclude/],
      [['r::a', '--repair'], /--repair and a snapshot exclude/],
      [['r', '--repair', '--archives-only'], /--repair and looking at a part exclude/],
      ...['0/3', '4/3', '1/0', '0%', '101%', '-1%', '10G', '1/', ''].map((part): [string[], RegExp] => [
        ['r', `--read-data-subset=${part}`],
        /part like 1\/7, or a share like 2\.5%|argument missing/,
      ]),
    ]
    for (const [argv, message] of rows) {
      const { exitCode, stdout, stderr } = await runCli(['check', ...argv])
      assert.equal(exitCode, 2, argv.join(' '))
      assert.match(stderr, message)
      assert.equal(stdout, '')
    }
  })

  it('ends with what it looked at, and that there were no errors', async () => {
    const { operations } = checking()
    const { exitCode, stdout, stderr } = await runCli(['check', 'r'], { operations })
    assert.equal(exitCode, 0)
    assert.equal(stderr, '')
    assert.equal(
      stdout,
      'Checked 12 snapshots with 3,456 different folders, 1,200 packs with 60,000 chunks; read 4.88 KiB in 1.50 s.\nNo errors were found.\n',
    )
    assert.equal((await runCli(['check', 'r', '-q'], { operations })).stdout, '')
    const whole = checking([], { packsRead: 1200, orphanPacks: 1 })
    const read = await runCli(['check', 'r', '--read-data'], whole)
    assert.match(
      read.stdout,
      /1,200 packs read wholly; .*\n1 pack is in no index: .* no error\.\nNo errors were found\.\n$/,
    )
  })

  it('reports errors one by one, says what to do, and exits with 65', async () => {
    const { operations } = checking([lostPack, affected])
    const { exitCode, stdout, stderr } = await runCli(['check', 'r'], { operations })
    assert.equal(exitCode, 65)
    assert.doesNotMatch(stdout, /No errors/)
    const [first, second, third, ...rest] = stderr.split('\n')
    assert.equal(first, `cairn: error: Cannot use pack ${PACK}: it is missing`)
    assert.equal(second, "cairn: error: Snapshot 'monday' is damaged: 2 files cannot be restored: a\\x1b, b")
    assert.match(third ?? '', /^cairn: error: The repository is damaged: 2 errors were found, see above; put back/)
    assert.deepEqual(rest, [''])
    assert.equal((await runCli(['check', 'r', '--exit-codes', 'borg'], { operations })).exitCode, 2)
  })

  it('tells of what does no harm when it is asked for', async () => {
    const { operations } = checking([{ type: 'note', object: 'packs/ab/cd', message: 'is in no index' }])
    assert.equal((await runCli(['check', 'r'], { operations })).stderr, '')
    const { exitCode, stderr } = await runCli(['check', 'r', '-v'], { operations })
    assert.deepEqual([exitCode, stderr], [0, 'cairn: packs/ab/cd is in no index\n'])
    const { stdout } = await runCli(['check', 'r', '-v', '--json'], { operations })
    assert.deepEqual(jsonLines(stdout)[0], {
      message_type: 'verbose_status',
      action: 'note',
      item: 'packs/ab/cd',
      message: 'is in no index',
    })
  })

  it('shows how far it is on a terminal', async () => {
    const { operations } = checking([
      {
        type: 'progress',
        phase: 'packs',
        done: 3,
        total: 9,
        bytesDone: 50,
        bytesTotal: 100,
        errors: 1,
        currentPath: '',
      },
    ])
    const stderr = new CapturedStream(100)
    const slow: Partial<Operations> = {
      check: async () => {
        const inner = await operations.check?.()
        assert.ok(inner)
        return {
          checkRepository: async (access, options) => {
            const result = await inner.checkRepository(access, options)
            while (!stderr.captured.includes('packs')) await new Promise((resolve) => setTimeout(resolve, 10))
            return result
          },
        }
      },
    }
    await runCli(['check', 'r', '--read-data'], { operations: slow, stderr })
    assert.match(stderr.captured, /50%  3\/9 packs  50 B\/100 B/)
    assert.match(stderr.captured, /1 problem/)
  })

  it("prints restic's lines with --json", async () => {
    const { operations } = checking(
      [
        {
          type: 'progress',
          phase: 'snapshots',
          done: 1,
          total: 4,
          bytesDone: 2,
          bytesTotal: undefined,
          errors: 0,
          currentPath: 'x',
        },
        lostPack,
        affected,
      ],
      { brokenPacks: [PACK], orphanPacks: 3 },
    )
    const { exitCode, stdout, stderr } = await runCli(['check', 'r', '--json'], { operations })
    assert.equal(exitCode, 65)
    const [status, summary] = jsonLines(stdout)
    assert.deepEqual(status, {
      message_type: 'status',
      seconds_elapsed: 0,
      percent_done: 0.25,
      phase: 'snapshots',
      snapshots_done: 1,
      total_snapshots: 4,
      bytes_read: 2,
      error_count: 0,
    })
    assert.equal(summary?.['message_type'], 'summary')
    assert.equal(summary?.['num_errors'], 2)
    assert.deepEqual(summary?.['broken_packs'], [PACK])
    assert.deepEqual([summary?.['suggest_repair_index'], summary?.['suggest_prune']], [false, true])
    const [pack, snapshot, end] = jsonLines(stderr)
    assert.deepEqual(pack, {
      message_type: 'error',
      error: { message: `Cannot use pack ${PACK}: it is missing` },
      during: 'check',
      item: `packs/ab/${PACK}`,
      code: 'DATA_CORRUPT',
    })
    assert.deepEqual([snapshot?.['snapshot_name'], snapshot?.['files'], snapshot?.['dirs']], ['monday', 2, 0])
    assert.deepEqual(snapshot?.['paths_b64'], [toRawName(LATIN1_NAME).toString('base64'), 'Yg=='])
    assert.deepEqual([end?.['message_type'], end?.['code'], end?.['error']], ['exit_error', 65, 'DATA_CORRUPT'])
  })
})
