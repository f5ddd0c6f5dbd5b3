import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CairnError, ERROR_CODES, type ErrorCode } from '../../src/base/errors.ts'
import { COMMANDS } from '../../src/cli/commands.ts'
import { VERSION } from '../../src/operations/version.ts'
import { allCommands, CapturedStream, jsonLines, runCli, wordsOf } from './harness.ts'

/** Runs `list` against a repository that fails in this way. */
const listFailing = (error: unknown, ...options: string[]): ReturnType<typeof runCli> =>
  runCli(['list', '/repo', ...options], {
    operations: {
      list: async () => ({
        listSnapshots: async () => {
          throw error
        },
        listEntries: () => assert.fail(),
      }),
    },
  })

/** Commands with nothing to choose. */
const WITHOUT_EXAMPLES = new Set(['version'])

describe('help', () => {
  for (const { name, summary, hidden } of COMMANDS) {
    if (hidden) continue
    it(`of ${name} says what it is for, with usage and, where there is something to choose, examples`, async () => {
      const { exitCode, stdout, stderr } = await runCli([name, '--help'])
      assert.equal(exitCode, 0)
      assert.equal(stderr, '')
      assert.ok(stdout.startsWith(`Usage: cairn ${name}`))
      assert.ok(stdout.toLowerCase().includes(summary.toLowerCase()))
      assert.ok(!stdout.includes('[options]'), 'a usage of its own')
      const examples = stdout.split('Examples:\n')[1]?.match(/^ .*cairn /gm) ?? []
      if (!WITHOUT_EXAMPLES.has(name))
        assert.ok(examples.length >= 2 && examples.length <= 4, `${examples.length} examples`)
      assert.equal((await runCli(['help', name])).stdout, stdout)
    })
  }

  it('of all commands, and those below them, fits on a terminal of 80 columns, and in a file', async () => {
    for (const command of await allCommands()) {
      const [, ...words] = wordsOf(command)
      for (const stdout of [new CapturedStream(80), new CapturedStream()]) {
        const help = await runCli([...words, '--help'], { stdout, env: { NO_COLOR: '1' } })
        assert.equal(help.exitCode, 0)
        for (const line of help.stdout.split('\n')) assert.ok(line.length <= 80, `${words.join(' ')}: ${line}`)
      }
    }
  })

  it('fills its paragraphs to the width there is, and leaves examples as they are', async () => {
    const [narrow = '', wide = ''] = await Promise.all(
      [50, 200].map(
        async (columns) => (await runCli(['serve', '--help'], { stdout: new CapturedStream(columns) })).stdout,
      ),
    )
    const [words = '', examples] = narrow.split('Examples:')
    assert.match(words, /^Nobody calls/m)
    const paragraphs = words.slice(words.indexOf('Nobody')).split('\n')
    assert.ok(paragraphs.every((line) => line.length <= 50) && paragraphs.length > 8, words)
    assert.match(wide, /^Nobody calls.{80,}$/m)
    assert.ok(
      wide.split('\n').every((line) => line.length <= 110),
      wide,
    )
    assert.equal(wide.split('Examples:')[1], examples)
  })

  it('of the program lists every command with its summary before the options', async () => {
    const { exitCode, stdout } = await runCli(['--help'])
    assert.equal(exitCode, 0)
    for (const { name, summary, hidden } of COMMANDS)
      if (!hidden) assert.match(stdout, new RegExp(`^  ${name}\\b.*${summary}$`, 'm'))
    assert.ok(stdout.indexOf('create, backup') < stdout.indexOf('Options:'))
    assert.equal((await runCli(['help'])).stdout, stdout)
    assert.equal((await runCli(['-h'])).stdout, stdout)
  })

  it('has colours on a terminal, unless NO_COLOR is set', async () => {
    const colored = await runCli(['--help'], { stdout: new CapturedStream(80) })
    assert.ok(colored.stdout.includes('\u001B[1mExamples:'))
    for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
      assert.ok(!(await runCli(['--help'], { stdout: new CapturedStream(80), env })).stdout.includes('\u001B'))
    }
  })
})

describe('usage errors', () => {
  const table: [argv: string[], message: RegExp][] = [
    [['lst'], /unknown command 'lst'; did you mean list\? see 'cairn --help'/],
    [['snapshots'], /unknown command 'snapshots'; it is 'cairn list' here/],
    [['nonsense'], /unknown command 'nonsense'; see/],
    [['create', '--coment', 'x', 'a'], /unknown option '--coment'; did you mean --comment\? see 'cairn create --help'/],
    [['--jsn', 'list'], /unknown option '--jsn'/],
    [['list', '-r'], /option '-r, --repo <REPO>' argument missing; see 'cairn list --help'/],
    [['create', '--workers', '0', 'a'], /'0' is invalid/],
    [['create', '--workers', 'two', 'a'], /whole number/],
    [['create', '--filter', 'AZ', 'a'], /Status letters/],
    [['create'], /no file or folder/],
    [['create', 'r::n'], /if 'r::n' is one, write it after --/],
    [['create', 'r::latest', 'a'], /'latest' always means/],
    [['create', 'r::a\nb', 'a'], /control characters/],
    [['create', 'r::{nwo}', 'a'], /unknown placeholder '\{nwo\}'/],
    [['create', '-r', 'r', 's::n', 'a'], /two repositories/],
    [['create', '-r', 'r::n', 'a'], /without ::NAME/],
    [['create', '-r', '', 'a'], /without ::NAME/],
    [['init'], /none is named/],
    [['init', 'r::n'], /without '::n'/],
    [['init', 'r', '-e', 'rot13'], /Allowed choices are repokey, keyfile, none/],
    [['init', 'a', 'b'], /too many arguments/],
    [['extract'], /no snapshot was named/],
    [['extract', '/mnt/r'], /no snapshot was named/],
    [['extract', '/mnt/r', 'monday'], /no snapshot was named/],
    [['extract', 'r::a/b'], /names of snapshots have no '\/'/],
    [['restore'], /no folder was named; write --target DIR/],
    [['diff', 'r::a'], /two snapshots are needed/],
    [['diff', 'r::a', 's::b'], /snapshots of two repositories/],
    [['version', 'x'], /too many arguments/],
  ]
  for (const [argv, message] of table) {
    it(`cairn ${argv.map((word) => JSON.stringify(word)).join(' ')} ends with 2 and one line`, async () => {
      const { exitCode, stdout, stderr } = await runCli(argv)
      assert.equal(exitCode, 2)
      assert.equal(stdout, '')
      assert.match(stderr, message)
      assert.match(stderr, /^cairn: error: .*\n$/)
    })
  }

  it('without a command, shows the help on standard error and ends with 2', async () => {
    const { exitCode, stdout, stderr } = await runCli([])
    assert.equal(exitCode, 2)
    assert.equal(stdout, '')
    assert.match(stderr, /^Usage: cairn COMMAND/)
    assert.match(stderr, /cairn: error: no command was given/)
  })

  it('are JSON with --json, also when it comes last', async () => {
    const { exitCode, stdout, stderr } = await runCli(['list', '--nonsense', '--json'])
    assert.equal(exitCode, 2)
    assert.equal(stdout, '')
    const [line] = jsonLines(stderr)
    assert.deepEqual(
      { ...line, message: '' },
      { message_type: 'exit_error', code: 2, error: 'INVALID_ARGUMENT', message: '' },
    )
  })
})

describe('errors of operations', () => {
  for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
    it(`${code} ends with ${ERROR_CODES[code].exit}`, async () => {
      const { exitCode, stderr } = await listFailing(new CairnError(code, 'Cannot do it: it was thus'))
      assert.equal(exitCode, ERROR_CODES[code].exit)
      if (code !== 'INTERNAL') assert.match(stderr, /^cairn: (error: )?Cannot do it: it was thus.*\n$/)
    })
  }

  it('say what to do next, unless the message does', async () => {
    const { stderr } = await listFailing(new CairnError('REPOSITORY_NOT_FOUND', 'Cannot open /repo: it is not there'))
    assert.match(stderr, /it is not there; .*'cairn init'/)
    const own = await listFailing(new CairnError('REPOSITORY_NOT_FOUND', 'Cannot open /repo: gone; mount it'))
    assert.equal(own.stderr, 'cairn: error: Cannot open /repo: gone; mount it\n')
  })

  it('explain the default repository when none was named', async () => {
    const { stderr, exitCode } = await runCli(['list'], {
      operations: {
        list: async () => ({
          listSnapshots: ({ location }) =>
            Promise.reject(new CairnError('REPOSITORY_NOT_FOUND', `Cannot open ${location}: gone`)),
          listEntries: () => assert.fail(),
        }),
      },
    })
    assert.equal(exitCode, 10)
    assert.match(stderr, /\/home\/ann\/\.local\/share\/cairn\/repository: gone; no repository was named/)
  })

  it('are JSON with --json, on the last line of standard error', async () => {
    const { exitCode, stdout, stderr } = await listFailing(
      new CairnError('WRONG_PASSWORD', 'Cannot open it: wrong'),
      '--json',
    )
    assert.equal(exitCode, 12)
    assert.equal(stdout, '')
    const last = jsonLines(stderr).at(-1)
    assert.equal(last?.['message_type'], 'exit_error')
    assert.equal(last?.['code'], 12)
    assert.equal(last?.['error'], 'WRONG_PASSWORD')
  })

  it('from outside do not reach the terminal as commands', async () => {
    const { stderr } = await listFailing(new CairnError('NOT_FOUND', 'Cannot find \u001B]0;owned\u0007\nx'))
    assert.equal(stderr, 'cairn: error: Cannot find \\x1b]0;owned\\x07\\nx\n')
  })

  it('that are bugs come with the stack and ask for a report', async () => {
    for (const error of [
      new TypeError('x is undefined'),
      new CairnError('INTERNAL', 'y', { cause: new TypeError('x is undefined') }),
    ]) {
      const { exitCode, stderr } = await listFailing(error)
      assert.equal(exitCode, 1)
      assert.match(stderr, /please report it/)
      assert.match(stderr, /TypeError: x is undefined\n {4}at /)
    }
  })

  it('by a signal end with its code', async () => {
    const error = new CairnError('CANCELLED', 'Interrupted by SIGTERM', {
      details: { signal: 'SIGTERM', exitCode: 143 },
    })
    const { exitCode, stderr } = await listFailing(error)
    assert.equal(exitCode, 143)
    assert.equal(stderr, 'cairn: Interrupted by SIGTERM\n')
    assert.equal((await listFailing(new CairnError('CANCELLED', 'Interrupted'))).exitCode, 130)
  })
})

describe('--show-rc and --exit-codes', () => {
  it('tell the exit code in the words of Borg', async () => {
    assert.equal((await runCli(['version', '--show-rc'])).stderr, 'terminating with success status, rc 0\n')
    const failed = await listFailing(new CairnError('WRONG_PASSWORD', 'no; no'), '--show-rc')
    assert.match(failed.stderr, /terminating with error status, rc 12\n$/)
    const ended = await listFailing(new CairnError('CANCELLED', 'no'), '--show-rc')
    assert.match(ended.stderr, /terminating with signal status, rc 130\n$/)
  })

  it("can be Borg's", async () => {
    const failed = await listFailing(new CairnError('WRONG_PASSWORD', 'no; no'), '--show-rc', '--exit-codes', 'borg')
    assert.equal(failed.exitCode, 2)
    assert.match(failed.stderr, /terminating with error status, rc 2\n$/)
    const ended = await listFailing(new CairnError('CANCELLED', 'no'), '--exit-codes', 'borg')
    assert.equal(ended.exitCode, 130)
  })
})

describe('version', () => {
  it('is printed by the command and by the option', async () => {
    for (const argv of [['version'], ['--version'], ['-V']]) {
      const { exitCode, stdout } = await runCli(argv)
      assert.equal(exitCode, 0)
      assert.equal(stdout, `cairn ${VERSION}\n`)
    }
    const [line] = jsonLines((await runCli(['version', '--json'])).stdout)
    assert.equal(line?.['message_type'], 'version')
    assert.equal(line?.['version'], VERSION)
  })

  it('refers to the packages of a checkout for their licences', async () => {
    assert.match((await runCli(['version', '--licenses'])).stdout, /node_modules/)
  })
})
