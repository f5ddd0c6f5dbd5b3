import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Operations } from '../../src/cli/world.ts'
import type { ExtractEvent, ExtractOptions, ExtractResult } from '../../src/operations/extract.ts'
import { aSnapshot, jsonLines, runCli } from './harness.ts'

interface Call extends ExtractOptions {
  readonly location: string
}

function extracting(
  events: ExtractEvent[] = [],
  incomplete = false,
  counts: Partial<ExtractResult> = {},
): { operations: Partial<Operations>; calls: Call[] } {
  const calls: Call[] = []
  const operations: Partial<Operations> = {
    extract: async () => ({
      extractSnapshot: async ({ location }, options) => {
        calls.push({ location, ...options })
        for (const event of events) options.onEvent?.(event)
        return {
          snapshot: aSnapshot({ incomplete }),
          files: 3,
          directories: 2,
          otherEntries: 1,
          filesUnchanged: 0,
          entriesKept: 0,
          entriesDeleted: 0,
          bytes: 5000,
          bytesUnchanged: 0,
          issues: events.filter((event) => event.type === 'issue').length,
          durationMs: 1500,
          ...counts,
        }
      },
      extractContents: async ({ location }, options, write) => {
        calls.push({ location, target: '', ...options })
        for (const piece of ['con', 'tents']) if (!(await write(Buffer.from(piece)))) return
      },
    }),
  }
  return { operations, calls }
}

const issue: ExtractEvent = { type: 'issue', path: 'a/b', message: 'it exists already', code: 'EEXIST' }

describe('extract and restore', () => {
  it('understand every way to name a snapshot', async () => {
    const standard = '/home/ann/.local/share/cairn/repository'
    const rows: [argv: string[], env: Record<string, string>, [string, string, string[], string]][] = [
      [['extract', 'r::a'], {}, ['r', 'a', [], '.']],
      [['extract', 'r::a', '/x', 'y/'], {}, ['r', 'a', ['x', 'y'], '.']],
      [['extract', '-r', 'r', 'latest', 'x'], {}, ['r', 'latest', ['x'], '.']],
      [['extract', '::a', '/'], { BORG_REPO: 'r' }, ['r', 'a', [], '.']],
      [['extract', 'a'], {}, [standard, 'a', [], '.']],
      [['restore', '--target', '/t'], {}, [standard, 'latest', [], '/t']],
      [['restore', '--target', '/t', '/home/ann', 'x'], {}, [standard, 'latest', ['home/ann', 'x'], '/t']],
      [['restore', '-t', 't', 'r::a', 'x'], {}, ['r', 'a', ['x'], 't']],
      [['restore', 'r::', '-t', 't'], {}, ['r', 'latest', [], 't']],
      [['restore', '0123', 'x', '-t', 't'], { CAIRN_REPO: 'r' }, ['r', '0123', ['x'], 't']],
    ]
    for (const [argv, env, expected] of rows) {
      const { operations, calls } = extracting()
      assert.equal((await runCli(argv, { env, operations })).exitCode, 0)
      const [{ location, snapshot, paths, target } = assert.fail()] = calls
      assert.deepEqual([location, snapshot, paths, target], expected, argv.join(' '))
    }
  })

  it('end with one line', async () => {
    const { operations } = extracting()
    const { stdout, stderr } = await runCli(['restore', 'r::a', '--target', '/t'], { operations })
    assert.equal(stdout, 'Restored 3 files (4.88 KiB) of monday into /t in 1.50 s\n')
    assert.equal(stderr, '')
    const here = await runCli(['extract', 'r::a'], { operations })
    assert.match(here.stdout, /into the current folder/)
    assert.equal((await runCli(['extract', 'r::a', '-q'], { operations })).stdout, '')
  })

  it('pass their options on', async () => {
    const rows: [argv: string[], expected: object][] = [
      [[], { conflict: 'fail', noXattrs: false, noAcls: false, noFlags: false, patterns: [] }],
      [['--conflict', 'mirror', '--verify', '--workers', '3'], { conflict: 'mirror', verify: true, workers: 3 }],
      [['-n', '--strip-components', '2'], { dryRun: true, stripComponents: 2 }],
      [
        ['--numeric-ids', '--noxattrs', '--noacls', '--noflags'],
        { numericIds: true, noXattrs: true, noAcls: true, noFlags: true },
      ],
      [['--no-xattrs', '--sparse'], { noXattrs: true, noAcls: false }],
      [['--no-acls', '--no-flags'], { noXattrs: false, noAcls: true, noFlags: true }],
      [
        ['-e', 'a', '--pattern', '- b', '--exclude-from', 'c', '--exclude', 'd', '--patterns-from', 'e'],
        {
          patterns: [
            { kind: 'exclude', value: 'a' },
            { kind: 'pattern', value: '- b' },
            { kind: 'exclude-from', value: 'c' },
            { kind: 'exclude', value: 'd' },
            { kind: 'patterns-from', value: 'e' },
          ],
        },
      ],
      [['sh:**/./*.txt', 'x/'], { paths: ['sh:**/./*.txt', 'x/'] }],
    ]
    for (const [options, expected] of rows) {
      const { operations, calls } = extracting()
      const { exitCode } = await runCli(['restore', 'r::a', '-t', 't', ...options], { operations })
      assert.equal(exitCode, 0)
      assert.partialDeepStrictEqual(calls, [expected])
    }
  })

  it('refuse what makes no sense', async () => {
    const rows: [string[], RegExp][] = [
      [['restore', 'r::a'], /no folder was named/],
      [['restore', 'r::a', '-t', 't', '--conflict', 'maybe'], /Allowed choices are fail, keep/],
      [['extract', 'r::a', '--strip-components', 'x'], /whole number/],
      [['extract', 'r::a', '--dry-run', '--verify'], /nothing to read back/],
    ]
    for (const [argv, message] of rows) {
      const { exitCode, stderr } = await runCli(argv)
      assert.equal(exitCode, 2)
      assert.match(stderr, message)
    }
  })

  it('print contents and nothing else with --stdout', async () => {
    const { operations, calls } = extracting()
    for (const argv of [
      ['extract', 'r::a', '--stdout', 'x'],
      ['restore', 'r::a', 'x', '--stdout'],
    ]) {
      const { stdout, stderr } = await runCli(argv, { operations })
      assert.deepEqual([stdout, stderr], ['contents', ''])
    }
    assert.deepEqual(
      calls.map(({ snapshot, paths }) => [snapshot, paths]),
      [
        ['a', ['x']],
        ['a', ['x']],
      ],
    )
  })

  it('say what becomes of each path where something is replaced, and sum up', async () => {
    const events = (['updated', 'unchanged', 'kept', 'deleted'] as const).map((action): ExtractEvent => ({
      type: 'entry',
      path: action[0] ?? '',
      sizeBytes: 1,
      action,
    }))
    const { operations } = extracting(events, false, { filesUnchanged: 1234, entriesKept: 1, entriesDeleted: 2 })
    const { stdout } = await runCli(['restore', 'r::a', '-t', 't', '--list', '--conflict', 'overwrite'], { operations })
    assert.equal(
      stdout,
      'updated   u\nunchanged u\nkept      k\ndeleted   d\n' +
        'Restored 3 files (4.88 KiB) of monday into t in 1.50 s, 1,234 unchanged, 1 kept, 2 deleted\n',
    )
    const dry = await runCli(['restore', 'r::a', '-t', 't', '-n'], { operations })
    assert.match(dry.stdout, /^Would restore 3 files of monday into t in 1.50 s, 1,234/)
    const json = await runCli(['restore', 'r::a', '-t', 't', '--json', '-v'], { operations })
    const lines = jsonLines(json.stdout)
    assert.deepEqual(
      lines.slice(0, 4).map((line) => line['action']),
      ['updated', 'unchanged', 'kept', 'deleted'],
    )
    assert.partialDeepStrictEqual(lines.at(-1), { files_unchanged: 1234, files_skipped: 1, files_deleted: 2 })
  })

  it('list what they write with --list', async () => {
    const { operations, calls } = extracting([{ type: 'entry', path: 'a/\u001B', sizeBytes: 3, action: 'restored' }])
    assert.equal((await runCli(['extract', 'r::a', '--list', '-q'], { operations })).stdout, 'a/\\x1b\n')
    assert.equal(calls[0]?.listEntries, true)
  })

  it('warn and exit with 3 when something could not be restored', async () => {
    const { operations } = extracting([issue])
    const { exitCode, stderr } = await runCli(['extract', 'r::a', '-q'], { operations })
    assert.equal(exitCode, 3)
    assert.equal(
      stderr,
      'cairn: warning: cannot restore a/b: it exists already\ncairn: warning: not everything could be restored: 1 problem, see above\n',
    )
  })

  it('say that the snapshot was incomplete from the beginning, which is no failure of theirs', async () => {
    const { operations } = extracting([], true)
    const { exitCode, stderr } = await runCli(['extract', 'r::a'], { operations })
    assert.equal(exitCode, 0)
    assert.match(stderr, /this snapshot is incomplete/)
  })

  it("print restic's lines with --json", async () => {
    const { operations } = extracting([
      { type: 'progress', filesDone: 1, bytesDone: 2, filesTotal: 4, bytesTotal: 8, issues: 0, currentPath: 'x' },
      { type: 'entry', path: 'x', sizeBytes: 3, action: 'restored' },
      issue,
    ])
    const { exitCode, stdout, stderr } = await runCli(['restore', 'r::a', '-t', 't', '--json', '-v'], { operations })
    assert.equal(exitCode, 3)
    const [status, entry, summary] = jsonLines(stdout)
    assert.deepEqual(
      [status?.['message_type'], status?.['percent_done'], status?.['files_restored'], status?.['bytes_restored']],
      ['status', 0.25, 1, 2],
    )
    assert.deepEqual(entry, { message_type: 'verbose_status', action: 'restored', item: 'x', size: 3 })
    assert.deepEqual(
      [summary?.['message_type'], summary?.['files_restored'], summary?.['bytes_restored'], summary?.['error_count']],
      ['summary', 3, 5000, 1],
    )
    assert.deepEqual(jsonLines(stderr), [
      {
        message_type: 'error',
        error: { message: 'it exists already' },
        during: 'restore',
        item: 'a/b',
        code: 'EEXIST',
      },
    ])
  })
})
