import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { CairnError } from '../../src/base/errors.ts'
import type { Operations } from '../../src/cli/world.ts'
import type { CreateEvent, CreateOptions } from '../../src/operations/create.ts'
import type { InitOptions } from '../../src/operations/init.ts'
import type { RepositoryAccess } from '../../src/operations/repository-access.ts'
import { aCreateResult, aSnapshot, CapturedStream, jsonLines, runCli } from './harness.ts'

process.env['TZ'] = 'Europe/Berlin'

interface Call {
  readonly access: RepositoryAccess
  readonly options: CreateOptions
}

/** An operation that sends these events, or throws the error for this call, and keeps what it was asked. */
function creating(
  events: CreateEvent[] = [],
  errors: (CairnError | undefined)[] = [],
): { operations: Partial<Operations>; calls: Call[]; inits: InitOptions[] } {
  const calls: Call[] = []
  const inits: InitOptions[] = []
  const operations: Partial<Operations> = {
    create: async () => ({
      createSnapshot: async (access, options) => {
        calls.push({ access, options })
        const error = errors.shift()
        if (error) throw error
        for (const event of events) options.onEvent?.(event)
        const issues = events.filter((event) => event.type === 'issue').length
        return aCreateResult({ issues, snapshot: aSnapshot({ name: options.name, incomplete: issues > 0 }) })
      },
    }),
    init: async () => ({
      initRepository: async (options) => {
        inits.push(options)
        const keyFile = `${options.keyFolder}/12.key`
        return { repositoryId: '12'.repeat(16), location: options.location, encryption: options.encryption, keyFile }
      },
    }),
  }
  return { operations, calls, inits }
}

const missing = (): CairnError => new CairnError('REPOSITORY_NOT_FOUND', 'Cannot open it: it is not there')

const issue: CreateEvent = {
  type: 'issue',
  during: 'read',
  path: '/a/\u001Bx',
  message: 'permission denied',
  code: 'EACCES',
}
const entries: CreateEvent[] = (['A', 'M', 'U', 'C', 'E', 'd', 's'] as const).map((status) => ({
  type: 'entry',
  status,
  path: `src/${status}\n`,
  sizeBytes: 5,
}))

describe('create', () => {
  it('takes REPO::NAME first, and options', async () => {
    const { operations, calls } = creating()
    const argv = ['create', '-C', 'zstd,9', '--comment', 'by {user}', '--workers', '3', '/mnt/r::monday', '/a', 'b']
    const { exitCode } = await runCli(argv, { operations })
    assert.equal(exitCode, 0)
    const [{ access, options } = assert.fail()] = calls
    assert.equal(access.location, '/mnt/r')
    assert.equal(access.keyFolder, '/home/ann/.config/cairn/keys')
    assert.equal(options.name, 'monday')
    assert.deepEqual(options.paths, ['/a', 'b'])
    assert.equal(options.compression, 'zstd,9')
    assert.equal(options.comment, 'by ann')
    assert.equal(options.workers, 3)
    assert.deepEqual(options.commandLine, ['cairn', ...argv])
    assert.equal(options.listEntries, false)
  })

  it('takes the time of the snapshot, and refuses what is none', async () => {
    const { operations, calls } = creating()
    for (const args of [['--timestamp', '2025-01-02T03:04:05'], ['--timestamp=2025-01-02T03:04:05Z'], []])
      assert.equal((await runCli(['create', 'r::n', 'a', ...args], { operations })).exitCode, 0)
    assert.deepEqual(
      calls.map(({ options }) => options.timestampMs),
      [Date.UTC(2025, 0, 2, 2, 4, 5), Date.UTC(2025, 0, 2, 3, 4, 5), undefined],
    )
    const wrong = await runCli(['create', 'r::n', 'a', '--timestamp', 'yesterday'], { operations })
    assert.equal(wrong.exitCode, 2)
    assert.match(wrong.stderr, /--timestamp.*'yesterday' is invalid.*It must be a time like/)
    assert.equal(calls.length, 3)
  })

  it('takes the repository from -r, before or after the command, and from the environment', async () => {
    const rows: [argv: string[], env: Record<string, string>, location: string, name: string][] = [
      [['create', '-r', 'r', 'a'], {}, 'r', 'vm-2026-11-21T13:44:05'],
      [['-r', 'r', 'create', 'a'], {}, 'r', 'vm-2026-11-21T13:44:05'],
      [['create', '--repo=r', '::n', 'a'], {}, 'r', 'n'],
      [['create', 'a'], { CAIRN_REPO: 'r', BORG_REPO: 's' }, 'r', 'vm-2026-11-21T13:44:05'],
      [['create', '::{hostname}-{now:%j}', 'a'], { BORG_REPO: 's' }, 's', 'vm-325'],
      [['create', 't::n', 'a'], { CAIRN_REPO: 'r' }, 't', 'n'],
      [['create', '-r', 't', 'a'], { CAIRN_REPO: 'r' }, 't', 'vm-2026-11-21T13:44:05'],
      [['backup', '/b/{fqdn}::n', 'a'], {}, '/b/vm.example.org', 'n'],
    ]
    for (const [argv, env, location, name] of rows) {
      const { operations, calls } = creating()
      assert.equal((await runCli(argv, { env, operations })).exitCode, 0)
      const [{ access, options } = assert.fail()] = calls
      assert.deepEqual([access.location, options.name, options.paths], [location, name, ['a']], argv.join(' '))
    }
  })

  it("keeps all attributes of a file, unless told otherwise in our words or Borg's", async () => {
    const all = { xattrs: true, acls: true, flags: true }
    for (const [argv, attributes, numericIds] of [
      [[], all, undefined],
      [['--no-xattrs'], { ...all, xattrs: false }, undefined],
      [['--noxattrs', '--no-acls'], { ...all, xattrs: false, acls: false }, undefined],
      [['--noacls', '--no-flags'], { ...all, acls: false, flags: false }, undefined],
      [['--noflags', '--noatime'], { ...all, flags: false }, undefined],
      [['--nobsdflags', '--noctime', '--nobirthtime'], { ...all, flags: false }, undefined],
      [['--numeric-ids'], all, true],
      [['--numeric-owner'], all, true],
    ] as const) {
      const { operations, calls } = creating()
      const { exitCode, stderr } = await runCli(['create', ...argv, 'r::n', 'a'], { operations })
      assert.deepEqual([exitCode, stderr], [0, ''])
      assert.deepEqual([calls[0]?.options.attributes, calls[0]?.options.numericIds], [attributes, numericIds])
    }
  })

  it('takes paths with :: after --', async () => {
    const { operations, calls } = creating()
    await runCli(['create', '-r', 'r', '--', 'a::b', '--stats'], { operations })
    assert.deepEqual(calls[0]?.options.paths, ['a::b', '--stats'])
  })

  it('ends with a short summary', async () => {
    const { operations } = creating()
    const { stdout, stderr } = await runCli(['create', '/mnt/r::monday', 'a'], { operations })
    assert.equal(
      stdout,
      [
        'Saved monday (01234567) to /mnt/r',
        '  files: 1,200 new, 3 changed, 50,000 unmodified',
        '  size:  600 MiB, 3.00 MiB added to the repository',
        '  time:  2.50 s\n',
      ].join('\n'),
    )
    assert.equal(stderr, '')
    assert.equal((await runCli(['create', '-q', '/mnt/r::monday', 'a'], { operations })).stdout, '')
  })

  it("ends with Borg's block of sizes with --stats", async () => {
    const { operations } = creating()
    const { stdout } = await runCli(['create', '--stats', '/mnt/r::monday', 'a'], { operations })
    const rule = '-'.repeat(78)
    assert.equal(
      stdout,
      `${rule}
Repository: /mnt/r
Archive name: monday
Archive fingerprint: 0123456789abcdef0123456789abcdef
Time (start): Sat, 2026-11-21 13:44:05
Time (end):   Sat, 2026-11-21 13:44:07
Duration: 2.50 seconds
Number of files: 51203
${rule}
                       Original size      Compressed size    Deduplicated size
This archive:                600 MiB              250 MiB             3.00 MiB
All archives:               1.17 GiB              500 MiB              253 MiB

                       Unique chunks         Total chunks
Chunk index:                   60030               120000
${rule}
`,
    )
  })

  it('lists entries with their letters, and only some of them with --filter', async () => {
    const { operations, calls } = creating(entries)
    const all = await runCli(['create', '--list', 'r::n', 'a', '-q'], { operations })
    assert.equal(
      all.stdout,
      'AMUCEds'.replaceAll(/./g, (letter) => `${letter} src/${letter}\\n\n`),
    )
    const some = await runCli(['create', '--filter', 'AME', 'r::n', 'a', '-q'], { operations })
    assert.equal(some.stdout, 'A src/A\\n\nM src/M\\n\nE src/E\\n\n')
    assert.deepEqual(
      calls.map(({ options }) => options.listEntries),
      [true, true],
    )
  })

  it('warns about each issue at once, marks the end, and exits with 3', async () => {
    const { operations } = creating([issue])
    const { exitCode, stderr } = await runCli(['create', 'r::n', 'a', '--quiet', '--show-rc'], { operations })
    assert.equal(exitCode, 3)
    assert.equal(
      stderr,
      [
        'cairn: warning: cannot read /a/\\x1bx: permission denied',
        'cairn: warning: the snapshot is incomplete: 1 problem, see above',
        'terminating with warning status, rc 3\n',
      ].join('\n'),
    )
    assert.equal((await runCli(['create', 'r::n', 'a', '--exit-codes', 'borg'], { operations })).exitCode, 1)
  })

  it('lets the operation choose another default name, but never another given name', async () => {
    const { operations, calls } = creating()
    await runCli(['create', '-r', 'r', 'a'], { operations })
    await runCli(['create', '-r', 'r', '::n', 'a'], { operations })
    assert.deepEqual(
      calls.map(({ options }) => options.nameIsDefault),
      [true, false],
    )
  })

  it('words warnings by what happened', async () => {
    const changed: CreateEvent = { ...issue, path: '/a', message: 'it changed while it was read', code: 'CHANGED' }
    const { operations } = creating([changed])
    const { stderr } = await runCli(['create', 'r::n', 'a'], { operations })
    assert.match(stderr, /^cairn: warning: \/a: it changed while it was read\n/)
  })
})

describe('the default repository', () => {
  it('is made on first use, and the output says where it and its key are', async () => {
    const { operations, calls, inits } = creating([], [missing()])
    const env = { XDG_DATA_HOME: '/data', XDG_CONFIG_HOME: '/config' }
    const { exitCode, stdout, stderr } = await runCli(['backup', 'a'], { operations, env })
    assert.equal(exitCode, 0)
    assert.equal(calls.length, 2)
    const [init = assert.fail()] = inits
    assert.equal(init.location, '/data/cairn/repository')
    assert.equal(init.keyFolder, '/config/cairn/keys')
    assert.equal(init.encryption, 'keyfile')
    assert.equal(init.passphrase, undefined)
    assert.match(stderr, /a new one was made: \/data\/cairn\/repository\n.*\/config\/cairn\/keys\/12\.key/)
    assert.match(stderr, /keep a copy of it somewhere else too/)
    assert.match(stdout, /to \/data\/cairn\/repository/)
  })

  it('is told of as JSON too', async () => {
    const { operations } = creating([], [missing()])
    const { stdout, stderr } = await runCli(['backup', 'a', '--json'], { operations })
    const [line] = jsonLines(stdout)
    assert.equal(line?.['message_type'], 'initialized')
    assert.equal(line?.['key_file'], '/home/ann/.config/cairn/keys/12.key')
    assert.equal(stderr, '')
  })

  it('is used silently afterwards', async () => {
    const { operations, inits } = creating()
    const { stderr, stdout } = await runCli(['backup', 'a'], { operations })
    assert.equal(inits.length, 0)
    assert.equal(stderr, '')
    assert.match(stdout, /to \/home\/ann\/\.local\/share\/cairn\/repository/)
  })

  it('is not made when a repository was named, nor twice', async () => {
    const named = creating([], [missing()])
    assert.equal((await runCli(['backup', '-r', 'r', 'a'], { operations: named.operations })).exitCode, 10)
    assert.equal(named.inits.length, 0)
    const odd = creating([], [missing(), missing()])
    assert.equal((await runCli(['backup', 'a'], { operations: odd.operations })).exitCode, 10)
    assert.equal(odd.inits.length, 1)
  })

  it('may be made by two first runs at once', async () => {
    const { operations } = creating([], [missing()])
    const { exitCode, stderr } = await runCli(['backup', 'a'], {
      operations: {
        ...operations,
        init: async () => ({
          initRepository: () => Promise.reject(new CairnError('REPOSITORY_EXISTS', 'Cannot make it: it is there')),
        }),
      },
    })
    assert.equal(exitCode, 0)
    assert.equal(stderr, '')
  })
})

describe('create --json', () => {
  const progress: CreateEvent = {
    type: 'progress',
    filesDone: 1,
    bytesDone: 10,
    filesTotal: 4,
    bytesTotal: 40,
    issues: 0,
    currentPath: 'caf\uDCE9',
  }

  it("prints restic's lines", async () => {
    const { operations } = creating([progress, ...entries.slice(0, 2), issue])
    const { exitCode, stdout, stderr } = await runCli(['create', 'r::n', 'a', '--json', '--list'], { operations })
    assert.equal(exitCode, 3)
    const [status, added, modified, summary, ...rest] = jsonLines(stdout)
    assert.equal(rest.length, 0)
    assert.deepEqual(
      { ...status, seconds_elapsed: 0 },
      {
        message_type: 'status',
        seconds_elapsed: 0,
        percent_done: 0.25,
        total_files: 4,
        total_bytes: 40,
        files_done: 1,
        bytes_done: 10,
        error_count: 0,
        current_files: ['caf\uFFFD'],
      },
    )
    assert.deepEqual(added, {
      message_type: 'verbose_status',
      action: 'new',
      status: 'A',
      item: 'src/A\n',
      data_size: 5,
    })
    assert.equal(modified?.['action'], 'modified')
    assert.equal(summary?.['message_type'], 'summary')
    assert.equal(summary?.['files_new'], 1200)
    assert.equal(summary?.['total_files_processed'], 51_203)
    assert.equal(summary?.['data_added_packed'], 3 * 1024 ** 2)
    assert.equal(summary?.['total_duration'], 2.5)
    assert.equal(summary?.['snapshot_id'], '0123456789abcdef0123456789abcdef')
    assert.equal(summary?.['incomplete'], true)
    assert.deepEqual(jsonLines(stderr), [
      {
        message_type: 'error',
        error: { message: 'permission denied' },
        during: 'read',
        item: '/a/\u001Bx',
        code: 'EACCES',
      },
    ])
  })

  it('prints only results with --quiet, and no entries unless asked for', async () => {
    const { operations } = creating([progress, ...entries])
    const quiet = await runCli(['create', 'r::n', 'a', '--json', '--quiet'], { operations })
    assert.deepEqual(
      jsonLines(quiet.stdout).map((line) => line['message_type']),
      ['summary'],
    )
    const plain = await runCli(['create', 'r::n', 'a', '--json', '--no-progress'], { operations })
    assert.deepEqual(
      jsonLines(plain.stdout).map((line) => line['message_type']),
      ['summary'],
    )
  })

  it('gives the exact bytes of names that are not UTF-8', async () => {
    const { operations } = creating([{ type: 'entry', status: 'A', path: 'caf\uDCE9', sizeBytes: 1 }])
    const { stdout } = await runCli(['create', 'r::n', 'a', '--json', '-v'], { operations })
    const [entry] = jsonLines(stdout)
    assert.equal(entry?.['item'], 'caf\uFFFD')
    assert.deepEqual(Buffer.from(String(entry?.['item_b64']), 'base64'), Buffer.from('caf\u00E9', 'latin1'))
  })
})

describe('progress', () => {
  const counters = { filesTotal: undefined, bytesTotal: undefined, issues: 0, currentPath: '/x' } as const
  const progress: CreateEvent = { type: 'progress', filesDone: 7, bytesDone: 10, ...counters }

  /** Sends an event, and goes on when the status line has drawn itself, or soon where there is none. */
  const watching = (stderr: CapturedStream, hasLine: boolean): Partial<Operations> => ({
    create: async () => ({
      createSnapshot: async (_access, options) => {
        options.onEvent?.(progress)
        await sleep(20)
        if (hasLine) while (!stderr.captured.includes('files')) await sleep(20)
        options.onEvent?.(issue)
        return aCreateResult()
      },
    }),
  })

  it('is a line on a terminal that makes room for everything else and is gone in the end', async () => {
    const stderr = new CapturedStream(80)
    await runCli(['create', 'r::n', 'a'], { operations: watching(stderr, true), stderr })
    const shown = stderr.captured.replaceAll('\r\u001B[K', '<clear>')
    assert.match(shown, /^<clear>0:\d\d  7 files  10 B  .*\/x/)
    assert.match(shown, /\/x<clear>cairn: .*warning:.* cannot read/)
    assert.doesNotMatch(stderr.captured.split('permission denied').at(-1) ?? '', /files/)
  })

  it('is off with --no-progress and --quiet, on a terminal too', async () => {
    for (const option of ['--no-progress', '--quiet']) {
      const stderr = new CapturedStream(80)
      await runCli(['create', 'r::n', 'a', option], { operations: watching(stderr, false), stderr })
      assert.doesNotMatch(stderr.captured, /files/)
    }
  })

  it('has no escape codes in a pipe or on a dumb terminal', async () => {
    for (const [columns, env] of [
      [undefined, {}],
      [80, { TERM: 'dumb' }],
    ] as const) {
      const stderr = new CapturedStream(columns)
      const { stdout } = await runCli(['create', 'r::n', 'a', '--progress'], {
        operations: watching(stderr, false),
        stderr,
        env,
      })
      assert.ok(!(stderr.captured + stdout).includes('\u001B'))
    }
  })
})
