/** What the name `borg` changes, and Borg's words under our own name. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CairnError, ERROR_CODES, type ErrorCode } from '../../src/base/errors.ts'
import type { Operations } from '../../src/cli/world.ts'
import type { CreateEvent, CreateOptions } from '../../src/operations/create.ts'
import type { ExtractOptions } from '../../src/operations/extract.ts'
import type { InitOptions } from '../../src/operations/init.ts'
import { aCreateResult, aSnapshot, jsonLines, runCli, type RunOptions, type RunResult } from './harness.ts'

process.env['TZ'] = 'Europe/Berlin'

const REPO = { BORG_REPO: '/mnt/r' }

function asBorg(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return runCli(argv, { ...options, calledAs: 'borg', env: { ...REPO, ...options.env } })
}

function issueOf(code: string): CreateEvent {
  return { type: 'issue', during: 'read', path: '/etc/x', message: 'no', code }
}

/** A `create` that sends these events; `calls` gets its options. */
function creating(events: readonly CreateEvent[] = [], calls: CreateOptions[] = []): Partial<Operations> {
  const issues = events.filter((event) => event.type === 'issue' && event.code !== 'SKIPPED').length
  return {
    create: async () => ({
      createSnapshot: async (_access, options) => {
        calls.push(options)
        for (const event of events) if (event.type !== 'entry' || options.listEntries) options.onEvent?.(event)
        return aCreateResult({ issues, snapshot: aSnapshot({ name: options.name }) })
      },
    }),
  }
}

function failing(failure: CairnError): Partial<Operations> {
  return {
    list: async () => ({
      listSnapshots: async () => {
        throw failure
      },
      listEntries: () => assert.fail(),
    }),
  }
}

function typesOf(text: string): unknown[] {
  return jsonLines(text).map(({ type }) => type)
}

const ENTRIES: CreateEvent[] = [
  { type: 'entry', status: 'A', fileType: 'file', path: 'etc/a', sizeBytes: 1 },
  { type: 'entry', status: 'U', fileType: 'symlink', path: 'etc/link', sizeBytes: 1 },
  { type: 'entry', status: 'U', fileType: 'file', path: 'src/u', sizeBytes: 1 },
  { type: 'entry', status: 'x', path: 'src/x\n', sizeBytes: 0 },
]

describe('called borg', () => {
  it('says nothing of what goes well, on either stream, unless asked', async () => {
    const operations = creating(ENTRIES)
    assert.deepEqual(await asBorg(['create', '::n', '/etc'], { operations }), { exitCode: 0, stdout: '', stderr: '' })
    assert.deepEqual(await asBorg(['create', '--filter', 'A', '::n', '/etc'], { operations }), {
      exitCode: 0,
      stdout: '',
      stderr: '',
    })
    const verbose = await asBorg(['create', '--info', '::n', '/etc'], { operations })
    assert.equal(verbose.stderr, 'cairn: saving /etc as n in /mnt/r\n')
  })

  it('lists what is saved on standard error, by the path as it was given', async () => {
    const operations = creating(ENTRIES)
    const { stdout, stderr } = await asBorg(['create', '--list', '::n', '/etc', 'src'], { operations })
    assert.equal(stdout, '')
    assert.equal(stderr, 'A /etc/a\ns /etc/link\nU src/u\nx src/x\\n\n')
    const filtered = await asBorg(['create', '--list', '--filter', 'AME', '::n', '/etc', 'src'], { operations })
    assert.equal(filtered.stderr, 'A /etc/a\n')
  })

  it('writes sums as Borg does, in decimal units unless told otherwise', async () => {
    const operations = creating()
    const decimal = await asBorg(['create', '--stats', '::n', '/etc'], { operations })
    assert.equal(decimal.stdout, '')
    assert.match(decimal.stderr, /^This archive: +629\.15 MB +262\.14 MB +3\.15 MB$/m)
    const binary = await asBorg(['create', '--stats', '--iec', '::n', '/etc'], { operations })
    assert.match(binary.stderr, /^This archive: +600\.00 MiB +250\.00 MiB +3\.00 MiB$/m)
  })

  it("ends with Borg's exit codes, and with those of Borg 1.4 when asked", async () => {
    const codes = async (options: RunOptions, argv: string[]): Promise<number[]> => [
      (await asBorg(argv, options)).exitCode,
      (await asBorg(argv, { ...options, env: { BORG_EXIT_CODES: 'modern' } })).exitCode,
    ]
    for (const [issues, want] of [
      [[], [0, 0]],
      [['SKIPPED'], [0, 0]],
      [['EACCES'], [1, 105]],
      [
        ['EACCES', 'SKIPPED', 'EPERM'],
        [1, 105],
      ],
      [['CHANGED'], [1, 100]],
      [
        ['EACCES', 'ENOENT'],
        [1, 1],
      ],
      [['EMFILE'], [1, 1]],
    ] as const)
      assert.deepEqual(await codes({ operations: creating(issues.map(issueOf)) }, ['create', '::n', '/etc']), want)
    for (const [code, modern] of [
      ['REPOSITORY_NOT_FOUND', 13],
      ['WRONG_PASSWORD', 52],
      ['DATA_CORRUPT', 90],
      ['INTERNAL', 2],
    ] as const)
      assert.deepEqual(await codes({ operations: failing(new CairnError(code, 'x; y')) }, ['list']), [2, modern])
    const signal = new CairnError('CANCELLED', 'Interrupted', { details: { exitCode: 143 } })
    assert.deepEqual(await codes({ operations: failing(signal) }, ['list']), [143, 143])
    const own = await asBorg(['list', '--exit-codes', 'cairn'], {
      operations: failing(new CairnError('WRONG_PASSWORD', 'x; y')),
    })
    assert.equal(own.exitCode, 12)
  })

  it('never falls back to a default repository, and takes no path for an archive', async () => {
    for (const argv of [['list'], ['create', '::n', '/etc'], ['prune', '--keep-daily', '1'], ['init', '-e', 'none']]) {
      const { exitCode, stderr } = await runCli(argv, { calledAs: 'borg' })
      assert.deepEqual(
        [exitCode, stderr],
        [2, 'cairn: error: Cannot find the repository: none is named; write REPO or set BORG_REPO\n'],
      )
    }
    for (const argv of [
      ['create', '/etc', '/home'],
      ['create', '/mnt/r::', '/etc'],
      ['create', 'etc'],
    ]) {
      const { exitCode, stderr } = await asBorg(argv)
      assert.equal(exitCode, 2)
      assert.match(stderr, /as an archive: want REPO::NAME/)
    }
  })

  it('takes the time of --timestamp for UTC, as Borg 1.2', async () => {
    const calls: CreateOptions[] = []
    await asBorg(['create', '--timestamp', '2025-01-02T03:04:05', '::n', 'a'], { operations: creating([], calls) })
    await runCli(['create', '--timestamp', '2025-01-02T03:04:05', 'r::n', 'a'], { operations: creating([], calls) })
    assert.deepEqual(
      calls.map(({ timestampMs }) => timestampMs),
      [Date.UTC(2025, 0, 2, 3, 4, 5), Date.UTC(2025, 0, 2, 2, 4, 5)],
    )
  })

  it('overwrites what is there when it extracts, and lists it on standard error', async () => {
    const calls: ExtractOptions[] = []
    const operations: Partial<Operations> = {
      extract: async () => ({
        extractSnapshot: async (_access, options) => {
          calls.push(options)
          options.onEvent?.({ type: 'entry', path: 'etc/a', sizeBytes: 1, action: 'restored' })
          const counts = { files: 1, directories: 0, otherEntries: 0, filesUnchanged: 0, entriesKept: 0 }
          const more = { entriesDeleted: 0, bytes: 1, bytesUnchanged: 0, issues: 0, durationMs: 1 }
          return { snapshot: aSnapshot(), ...counts, ...more }
        },
        extractContents: () => assert.fail(),
      }),
    }
    const { stdout, stderr } = await asBorg(['extract', '--list', '::n'], { operations })
    assert.deepEqual([stdout, stderr, calls[0]?.conflict], ['', 'etc/a\n', 'overwrite'])
  })

  it('tells its version as what it stands in for, and what it is', async () => {
    assert.match((await asBorg(['--version'])).stdout, /^borg 1\.2\.4 \(cairn \d/)
    const { stderr } = await asBorg(['--show-version', '--show-rc', 'create', '::n', 'a'], { operations: creating() })
    assert.match(stderr, /^borgbackup version 1\.2\.4 \(cairn .*\)\nterminating with success status, rc 0\n$/)
  })

  it("makes repositories in Borg's modes", async () => {
    const calls: InitOptions[] = []
    const operations: Partial<Operations> = {
      init: async () => ({
        initRepository: async (options) => {
          calls.push(options)
          return { repositoryId: '12', location: 'r', encryption: options.encryption, keyFile: undefined }
        },
      }),
    }
    const env = { BORG_PASSPHRASE: 'x' }
    for (const mode of ['none', 'repokey', 'repokey-blake2', 'keyfile', 'keyfile-blake2', 'authenticated'])
      assert.equal((await asBorg(['init', '--storage-quota', '1G', '-e', mode], { operations, env })).exitCode, 0)
    assert.deepEqual(
      calls.map(({ encryption }) => encryption),
      ['none', 'repokey', 'repokey', 'keyfile', 'keyfile', 'repokey'],
    )
    assert.deepEqual(calls[0]?.settings, { storageQuota: 2 ** 30, appendOnly: false })
    for (const argv of [
      ['-e', 'toString'],
      ['-e', ''],
    ])
      assert.equal((await asBorg(['init', ...argv], { operations, env })).exitCode, 2)
  })
})

describe("Borg's options under our own name", () => {
  it('that have no effect are passed over with a warning, and silently under the name borg', async () => {
    const operations = creating()
    const argv = ['--lock-wait', '5', 'create', '--umask=0077', '--noctime', 'r::n', 'a', '-q']
    const { exitCode, stderr } = await runCli(argv, { operations })
    assert.deepEqual(
      [exitCode, stderr],
      [
        0,
        'cairn: warning: --lock-wait has no effect: there are no locks here\n' +
          'cairn: warning: --umask has no effect: a repository is for nobody but its owner\n',
      ],
    )
    assert.equal((await asBorg(argv, { operations })).stderr, '')
  })

  it('that would have to have one are refused, before anything is done', async () => {
    for (const [argv, message] of [
      [['create', '--read-special', 'r::n', 'a'], /Cannot create with --read-special: .*devices and FIFOs/],
      [['delete', '--cache-only', 'r::n'], /--cache-only: .*nothing else was to be deleted/],
      [['recreate', 'r::n', '--target', 'x'], /Cannot rewrite with --target/],
    ] as const) {
      const { exitCode, stderr } = await runCli(argv)
      assert.equal(exitCode, 2)
      assert.match(stderr, message)
    }
  })

  it('choose how unchanged files are recognized, never with less care than Borg', async () => {
    for (const [mode, detect] of [
      ['ctime,size,inode', 'ctime'],
      ['ctime,size', 'ctime'],
      ['mtime,size,inode', 'mtime'],
      ['size', 'mtime'],
      ['rechunk,mtime', 'full-hash'],
      ['disabled', 'full-hash'],
    ] as const) {
      const calls: CreateOptions[] = []
      await runCli(['create', '--files-cache', mode, 'r::n', 'a'], { operations: creating([], calls) })
      assert.equal(calls[0]?.detect, detect)
    }
    const wrong = await runCli(['create', '--files-cache', 'ctime,sise', 'r::n', 'a'])
    assert.match(wrong.stderr, /--files-cache <PARTS>' argument 'ctime,sise' is invalid.*It must be some of ctime,/)
  })
})

describe('--log-json', () => {
  it('makes every line of standard error an object of Borg', async () => {
    const events: CreateEvent[] = [
      { type: 'progress', filesDone: 1, bytesDone: 5, filesTotal: 2, bytesTotal: 9, issues: 0, currentPath: 'etc/a' },
      ...ENTRIES.slice(0, 1),
      issueOf('EACCES'),
    ]
    for (const run of [asBorg, runCli]) {
      const argv = ['create', '--log-json', '--list', '--stats', '--progress', '--show-rc', '/r::n', '/etc']
      const { stdout, stderr } = await run(argv, { operations: creating(events) })
      assert.equal(stdout, '')
      const lines = jsonLines(stderr)
      for (const line of lines) assert.equal(typeof line['time'], 'number')
      const [progress, status, warning] = lines
      assert.deepEqual(
        { ...progress, time: 0 },
        { type: 'archive_progress', original_size: 5, nfiles: 1, path: 'etc/a', finished: false, time: 0 },
      )
      assert.deepEqual({ ...status, time: 0 }, { type: 'file_status', status: 'A', path: '/etc/a', time: 0 })
      assert.equal(warning?.['levelname'], 'WARNING')
      assert.ok(lines.some(({ type, finished }) => type === 'archive_progress' && finished === true))
      assert.ok(
        lines.some(({ name, message }) => name === 'borg.output.stats' && String(message).startsWith('This archive')),
      )
      assert.equal(lines.at(-1)?.['name'], 'borg.output.show-rc')
    }
  })

  it("names errors by Borg's message ids, usage errors too", async () => {
    for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
      const { stderr } = await asBorg(['--log-json', 'list'], {
        operations: failing(new CairnError(code, 'Cannot; no')),
      })
      const [line] = jsonLines(stderr)
      assert.equal(line?.['levelname'], 'ERROR')
      assert.match(String(line?.['msgid']), /^[A-Z]\w+(\.\w+)?$/)
    }
    assert.deepEqual(typesOf((await runCli(['--log-json', 'nonsense'])).stderr), ['log_message'])
    assert.deepEqual(typesOf((await runCli(['list', '--nonsense', '--log-json'])).stderr), ['log_message'])
  })

  it('is silent about progress unless asked', async () => {
    const progress: CreateEvent = {
      type: 'progress',
      filesDone: 1,
      bytesDone: 5,
      filesTotal: 2,
      bytesTotal: 9,
      issues: 0,
      currentPath: '',
    }
    const { stderr } = await runCli(['create', '--log-json', 'r::n', 'a'], { operations: creating([progress]) })
    assert.equal(stderr, '')
  })
})
