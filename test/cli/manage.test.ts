/** Commands that change what is said of snapshots, or delete them. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Operations } from '../../src/cli/world.ts'
import type { SnapshotInfo } from '../../src/operations/snapshot-info.ts'
import { aSnapshot, jsonLines, runCli, SOME_SIZES } from './harness.ts'

process.env['TZ'] = 'Europe/Berlin'

const TUESDAY = aSnapshot({ name: 'tuesday', id: 'fe'.repeat(16), pinned: true, tags: ['a', 'b'], comment: 'why' })

/** Operations that answer with these snapshots; `calls` tells what was asked for. */
function managing(snapshots: readonly SnapshotInfo[], calls: unknown[] = []): Partial<Operations> {
  const answer = async ({ location }: { location: string }, ...rest: readonly unknown[]): Promise<SnapshotInfo[]> => {
    calls.push([location, ...rest])
    return [...snapshots]
  }
  return {
    delete: async () => ({
      deleteSnapshots: async ({ location }, { onDeleted, ...options }) => {
        calls.push([location, options])
        for (const [i, snapshot] of snapshots.entries())
          onDeleted?.({ snapshot, number: i + 1, total: snapshots.length })
        return { snapshots, reclaimableBytes: 3 << 20, sizes: SOME_SIZES }
      },
    }),
    undelete: async () => ({
      undeleteSnapshot: async (access, options) => (await answer(access, options))[0] ?? assert.fail(),
    }),
    rename: async () => ({
      renameSnapshot: async (access, ...rest) => (await answer(access, ...rest))[0] ?? assert.fail(),
    }),
    labels: async () => ({ changeTags: answer, changeComment: answer, pinSnapshots: answer }),
    rewrite: async () => ({
      rewriteSnapshots: async ({ location }, { onLeftOut, onRewritten, ...options }) => {
        calls.push([location, options])
        const results = snapshots.map((before, i) => ({
          before,
          after: i === 0 && !options.dryRun ? aSnapshot({ id: 'ab'.repeat(16) }) : undefined,
          leftOut: i === 0 ? 2 : 0,
        }))
        for (const result of results) {
          if (result.leftOut > 0) onLeftOut?.(result.before, 'home/ann/\u001B[31msecret')
          onRewritten?.(result)
        }
        return { results, reclaimableBytes: 3 << 20 }
      },
    }),
  }
}

const order = { sortBy: undefined, first: undefined, last: undefined }
const select = (...wanted: string[]): object => ({ wanted, glob: undefined, prefix: undefined, order })

describe('the snapshots that a command is about', () => {
  for (const [argv, location, selection] of [
    [['/r::a'], '/r', select('a')],
    [['/r::a', 'b', '/r::c', '::d'], '/r', select('a', 'b', 'c', 'd')],
    [['-r', '/r', 'a', 'b'], '/r', select('a', 'b')],
    [['/r', 'a'], '/r', select('a')],
    [['/r', '-a', '{hostname}-*'], '/r', { wanted: [], glob: 'vm-*', prefix: undefined, order }],
    [['/r::a', '--prefix', '{user}-'], '/r', { wanted: ['a'], glob: undefined, prefix: 'ann-', order }],
    [['::a'], '/home/ann/.local/share/cairn/repository', select('a')],
  ] as const) {
    it(`are those named by ${argv.join(' ')}`, async () => {
      const calls: unknown[] = []
      const operations = managing([aSnapshot()], calls)
      for (const verb of ['delete', 'pin', 'unpin'])
        assert.equal((await runCli([verb, ...argv], { operations })).exitCode, 0)
      assert.equal((await runCli(['tag', ...argv, '--add', 'x'], { operations })).exitCode, 0)
      assert.equal((await runCli(['rewrite', ...argv, '-e', 'x'], { operations })).exitCode, 0)
      assert.deepEqual(calls, [
        [location, { selection, dryRun: false, force: false }],
        [location, selection, true],
        [location, selection, false],
        [location, selection, { add: ['x'], remove: undefined, set: undefined }],
        [location, { selection, patterns: [{ kind: 'exclude', value: 'x' }], dryRun: undefined }],
      ])
    })
  }

  it('have to be named', async () => {
    for (const [argv, message] of [
      [
        ['delete', '/r'],
        /Cannot delete the whole repository \/r: .* name them \(REPO::SNAPSHOT\), or choose all with -a/,
      ],
      [['tag', '/r', '--add', 'x'], /no snapshot was named/],
      [['pin', '/r'], /Cannot pin: no snapshot was named/],
      [['unpin', '/r'], /Cannot unpin: no snapshot was named/],
      [['rewrite', '/r', '-e', 'x'], /no snapshot was named/],
      [['undelete'], /no snapshot was named/],
      [['rename', '/r::a'], /want a snapshot and a name/],
      [['comment', '/r::a'], /want a snapshot and a text/],
      [['rename', '/r::a', 'b', 'c'], /too many arguments|want a snapshot and a name/],
      [['rename', '/r::a', 'b/c'], /a name has no '\/'/],
      [['rename', '/r::a', 'latest'], /'latest' always means/],
      [['undelete', '/r::a', '--name', ''], /the name is empty/],
      [['tag', '/r::a'], /want --add, --remove or --set/],
      [['tag', '/r::a', '--set', 'x', '--add', 'y'], /--set replaces all/],
      [['rewrite', '/r::a'], /nothing to leave out was given/],
      [['delete', '/r::a', '/s::b'], /snapshots of two repositories/],
    ] as const) {
      const { exitCode, stdout, stderr } = await runCli(argv, { operations: managing([]) })
      assert.deepEqual([exitCode, stdout], [2, ''], argv.join(' '))
      assert.match(stderr, message)
    }
  })
})

describe('delete', () => {
  it('says what compact would free, and lists what it deletes when told to', async () => {
    const operations = managing([aSnapshot(), TUESDAY])
    const { stdout, stderr } = await runCli(['delete', '/r::monday', 'tuesday', '--list', '--force'], { operations })
    assert.equal(
      stdout,
      `monday                               Sat, 2026-11-21 13:44:05 [0123456789abcdef0123456789abcdef]
tuesday                              Sat, 2026-11-21 13:44:05 [${'fe'.repeat(16)}] (pinned) (tags: a, b) # why
`,
    )
    assert.match(
      stderr,
      /^cairn: deleted monday, tuesday; 'cairn compact' would free 3.00 MiB, and until then 'cairn undelete'/,
    )
    const dry = await runCli(['delete', '/r::monday', '-n'], { operations })
    assert.deepEqual(
      [dry.stdout, dry.stderr],
      ['', "cairn: would delete monday, tuesday; 'cairn compact' would free 3.00 MiB then\n"],
    )
    assert.equal((await runCli(['delete', '/r::monday', '-q'], { operations })).stderr, '')
    const none = await runCli(['delete', '/r', '-a', 'x*'], { operations: managing([]) })
    assert.deepEqual([none.exitCode, none.stderr], [0, 'cairn: deleted nothing: no snapshot matches\n'])
  })

  it('prints an object a snapshot, and their sum, with --json', async () => {
    const { stdout, stderr } = await runCli(['delete', '/r::x', '--json', '--list'], {
      operations: managing([aSnapshot(), TUESDAY]),
    })
    assert.equal(stderr, '')
    assert.deepEqual(
      jsonLines(stdout).map(({ message_type, name, pinned, tags }) => [message_type, name, pinned, tags]),
      [
        ['deleted', 'monday', false, []],
        ['deleted', 'tuesday', true, ['a', 'b']],
        ['summary', undefined, undefined, undefined],
      ],
    )
  })
})

describe('undelete, rename and comment', () => {
  it('take a snapshot and a text, with placeholders', async () => {
    const calls: unknown[] = []
    const operations = managing([aSnapshot()], calls)
    const said: string[] = []
    for (const argv of [
      ['undelete', '/r::a'],
      ['undelete', '-r', '/r', 'a', '--name', '{hostname}-again'],
      ['rename', '/r::a', '{user}-b'],
      ['rename', '-r', '/r', 'latest', 'b'],
      ['comment', '/r::a', 'on {hostname}'],
      ['comment', '/r::a', ''],
    ]) {
      const { exitCode, stderr } = await runCli(argv, { operations })
      assert.equal(exitCode, 0, stderr)
      said.push(stderr)
    }
    assert.deepEqual(calls, [
      ['/r', { wanted: 'a', name: undefined }],
      ['/r', { wanted: 'a', name: 'vm-again' }],
      ['/r', 'a', 'ann-b'],
      ['/r', 'latest', 'b'],
      ['/r', { wanted: ['a'] }, 'on vm'],
      ['/r', { wanted: ['a'] }, ''],
    ])
    assert.deepEqual(said.slice(0, 4), [
      'cairn: undeleted monday\n',
      'cairn: undeleted monday\n',
      'cairn: renamed monday to ann-b\n',
      'cairn: renamed monday to b\n',
    ])
    const { stdout } = await runCli(['rename', '/r::a', 'b', '--json'], { operations })
    assert.deepEqual(
      jsonLines(stdout).map(({ message_type, name }) => [message_type, name]),
      [['renamed', 'b']],
    )
  })
})

describe('tag', () => {
  it('takes several tags at once, and none', async () => {
    const calls: unknown[][] = []
    const operations = managing([TUESDAY], calls)
    await runCli(['tag', '/r::a', '--add', 'x,y', '--add', 'z', '--remove', 'w'], { operations })
    await runCli(['tag', '/r::a', '--set', ''], { operations })
    assert.deepEqual(
      calls.map(([, , changes]) => changes),
      [
        { add: ['x', 'y', 'z'], remove: ['w'], set: undefined },
        { add: undefined, remove: undefined, set: [] },
      ],
    )
  })
})

describe('rewrite', () => {
  it('says what is left out of which snapshot', async () => {
    const operations = managing([aSnapshot(), TUESDAY])
    const { stdout, stderr } = await runCli(['rewrite', '/r', '-a', '*', '-e', 'x', '--list'], { operations })
    assert.equal(stdout, 'x home/ann/\\x1b[31msecret\n')
    assert.equal(
      stderr,
      `cairn: left 2 entries out of monday, now [${'ab'.repeat(16)}]\ncairn: tuesday stays as it is: nothing in it matches\ncairn: 'cairn compact' would free 3.00 MiB\n`,
    )
    const dry = await runCli(['recreate', '/r', '-a', '*', '-e', 'x', '-n'], { operations })
    assert.match(dry.stderr, /^cairn: would leave 2 entries out of monday\n/)
    const json = await runCli(['rewrite', '/r::a', '-e', 'x', '--list', '--json'], { operations })
    assert.deepEqual(
      jsonLines(json.stdout).map(({ message_type, entries_left_out, path, reclaimable_bytes }) => [
        message_type,
        entries_left_out ?? path ?? reclaimable_bytes,
      ]),
      [
        ['left_out', 'home/ann/\u001B[31msecret'],
        ['rewritten', 2],
        ['rewritten', 0],
        ['summary', 3 << 20],
      ],
    )
  })
})

describe('list --deleted', () => {
  it('asks for what was deleted, and says so when there is nothing', async () => {
    const asked: unknown[] = []
    const operations: Partial<Operations> = {
      list: async () => ({
        listSnapshots: async (_access, options) => {
          asked.push(options)
          return { repositoryId: '12'.repeat(16), encryption: 'none', snapshots: [], lastSnapshot: undefined }
        },
        listEntries: () => assert.fail(),
      }),
    }
    const { stdout, stderr } = await runCli(['list', '/r', '--deleted'], { operations })
    assert.deepEqual([stdout, stderr], ['', 'cairn: repository /r has no deleted snapshots\n'])
    assert.deepEqual(asked, [{ deleted: true, filter: { prefix: undefined, glob: undefined, finished: false }, order }])
    const entries = await runCli(['list', '/r::a', '--deleted'], { operations })
    assert.equal(entries.exitCode, 2)
    assert.match(entries.stderr, /'cairn undelete' it first/)
  })
})
