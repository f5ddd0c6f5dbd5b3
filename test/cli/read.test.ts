import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { describe, it } from 'node:test'
import { CairnError } from '../../src/base/errors.ts'
import type { Operations } from '../../src/cli/world.ts'
import type { DiffChange } from '../../src/operations/diff.ts'
import type { RepositoryInfo } from '../../src/operations/info.ts'
import type { RepositoryAccess } from '../../src/operations/repository-access.ts'
import type { EntryInfo, SnapshotInfo } from '../../src/operations/snapshot-info.ts'
import { anEntry, aSnapshot, CapturedStream, jsonLines, runCli, SOME_TOTALS } from './harness.ts'

process.env['TZ'] = 'Europe/Berlin'

/** `list` and `diff` over these records; `calls` tells what was asked for. */
function reading(
  records: { snapshots?: SnapshotInfo[]; entries?: Iterable<EntryInfo>; changes?: DiffChange[] },
  calls: unknown[] = [],
): Partial<Operations> {
  return {
    list: async () => ({
      listSnapshots: async ({ location }) => {
        calls.push([location])
        return {
          repositoryId: '12'.repeat(16),
          encryption: 'repokey',
          snapshots: records.snapshots ?? [],
          lastSnapshot: undefined,
        }
      },
      listEntries: async ({ location }, snapshot, paths, visitor) => {
        calls.push([location, snapshot, paths])
        visitor.onSnapshot?.(aSnapshot())
        for (const entry of records.entries ?? []) await visitor.onEntry(entry)
      },
    }),
    diff: async () => ({
      diffSnapshots: async ({ location }, before, after, paths, onChange) => {
        calls.push([location, before, after, paths])
        for (const change of records.changes ?? []) await onChange(change)
        return { before: aSnapshot({ id: 'aa' }), after: aSnapshot({ id: 'bb' }) }
      },
    }),
  }
}

describe('list', () => {
  const snapshots = [
    aSnapshot(),
    aSnapshot({ name: '日本\u001B[31m', id: 'fe'.repeat(16), incomplete: true, startedAt: '2026-11-22T23:30:00.000Z' }),
  ]

  it('prints snapshots as Borg does', async () => {
    const { stdout, stderr, exitCode } = await runCli(['list', '/mnt/r'], { operations: reading({ snapshots }) })
    assert.equal(exitCode, 0)
    assert.equal(stderr, '')
    assert.equal(
      stdout,
      `monday                               Sat, 2026-11-21 13:44:05 [0123456789abcdef0123456789abcdef]
日本\\x1b[31m                         Mon, 2026-11-23 00:30:00 [${'fe'.repeat(16)}] (incomplete)
`,
    )
  })

  it('marks checkpoints', async () => {
    const checkpoint = aSnapshot({ name: 'on the way', checkpoint: true, incomplete: true })
    const operations = reading({ snapshots: [aSnapshot(), checkpoint] })
    const { stdout } = await runCli(['list', '/mnt/r'], { operations })
    const [first, second] = stdout.split('\n')
    assert.doesNotMatch(first ?? '', /checkpoint/)
    assert.match(second ?? '', /^on the way .* \(checkpoint\) \(incomplete\)$/)
    const { stdout: json } = await runCli(['list', '/mnt/r', '--json'], { operations })
    assert.deepEqual(
      (JSON.parse(json) as Record<string, unknown>[]).map((snapshot) => snapshot['checkpoint']),
      [false, true],
    )
  })

  it('prints only names with --short', async () => {
    const { stdout } = await runCli(['list', '--short', '/mnt/r'], { operations: reading({ snapshots }) })
    assert.equal(stdout, 'monday\n日本\\x1b[31m\n')
  })

  it('says that there are none, but not to a script', async () => {
    const { stdout, stderr } = await runCli(['list', '/mnt/r'], { operations: reading({}) })
    assert.equal(stdout, '')
    assert.equal(stderr, 'cairn: repository /mnt/r has no snapshots yet\n')
    assert.equal((await runCli(['list', '/mnt/r', '-q'], { operations: reading({}) })).stderr, '')
    assert.equal((await runCli(['list', '/mnt/r', '--json'], { operations: reading({}) })).stdout, '[]\n')
  })

  it("prints one array with restic's fields with --json", async () => {
    const { stdout } = await runCli(['list', '/mnt/r', '--json'], { operations: reading({ snapshots }) })
    const [first, second] = JSON.parse(stdout) as Record<string, unknown>[]
    assert.equal(first?.['time'], '2026-11-21T12:44:05.000Z')
    assert.equal(first?.['short_id'], '01234567')
    assert.deepEqual(first?.['paths'], ['/home/ann'])
    assert.equal(second?.['incomplete'], true)
    assert.equal((first?.['summary'] as { files_new?: number } | undefined)?.files_new, 1200)
  })

  it('prints entries as Borg and ls do', async () => {
    const entries = [
      anEntry({ path: 'home/ann', type: 'dir', mode: 0o2755, sizeBytes: 0 }),
      anEntry(),
      anEntry({ path: 'home/ann/a\nb', user: '', group: '', sizeBytes: 123_456_789 }),
      anEntry({ path: 'home/ann/link', type: 'symlink', mode: 0o777, sizeBytes: 3, linkTarget: '\u0007../x' }),
    ]
    const { stdout } = await runCli(['list', '/mnt/r::monday'], { operations: reading({ entries }) })
    assert.equal(
      stdout,
      `drwxr-sr-x ann    staff         0 Sat, 2026-11-21 13:30:45 home/ann
-rw-r--r-- ann    staff      1234 Sat, 2026-11-21 13:30:45 home/ann/notes.txt
-rw-r--r-- 1000   1000   123456789 Sat, 2026-11-21 13:30:45 home/ann/a\\nb
lrwxrwxrwx ann    staff         3 Sat, 2026-11-21 13:30:45 home/ann/link -> \\x07../x
`,
    )
  })

  it('marks other names of a file, devices, and what changed while it was read', async () => {
    const entries = [
      anEntry({ path: 'a', hardLink: 'first\n' }),
      anEntry({ path: 'b', type: 'blockdev', sizeBytes: 0, device: { major: 259, minor: 1_048_575 } }),
      anEntry({ path: 'c', changed: true, hasXattrs: true, flags: ['nodump'], atimeNs: 1n, hardLink: 'caf\uDCE9' }),
    ]
    const { stdout } = await runCli(['list', 'r::n'], { operations: reading({ entries }) })
    assert.equal(
      stdout,
      `hrw-r--r-- ann    staff      1234 Sat, 2026-11-21 13:30:45 a link to first\\n
brw-r--r-- ann    staff  259,1048575 Sat, 2026-11-21 13:30:45 b
hrw-r--r-- ann    staff      1234 Sat, 2026-11-21 13:30:45 c link to caf\uFFFD (changed while it was read)
`,
    )
    const json = await runCli(['list', 'r::n', '--json'], { operations: reading({ entries }) })
    const [, a = {}, b, c] = jsonLines(json.stdout)
    assert.equal(a['hard_link'], 'first\n')
    assert.deepEqual(b?.['device'], { major: 259, minor: 1_048_575 })
    assert.deepEqual([c?.['changed'], c?.['has_xattrs'], c?.['flags']], [true, true, ['nodump']])
    assert.deepEqual([c?.['atime'], c?.['hard_link_b64']], ['1970-01-01T00:00:00.000000001Z', 'Y2Fm6Q=='])
    for (const name of ['changed', 'has_xattrs', 'flags', 'atime', 'device']) assert.ok(!(name in a), name)
  })

  it("prints entries as restic's lines with --json, exact to the nanosecond and the byte", async () => {
    const entries = [anEntry({ path: 'home/caf\uDCE9' })]
    const { stdout } = await runCli(['list', '/mnt/r::monday', '--json'], { operations: reading({ entries }) })
    const [snapshot, node] = jsonLines(stdout)
    assert.equal(snapshot?.['message_type'], 'snapshot')
    assert.equal(snapshot?.['name'], 'monday')
    assert.deepEqual(node, {
      message_type: 'node',
      name: 'caf\uFFFD',
      name_b64: 'Y2Fm6Q==',
      type: 'file',
      path: 'home/caf\uFFFD',
      path_b64: 'aG9tZS9jYWbp',
      uid: 1000,
      gid: 1000,
      user: 'ann',
      group: 'staff',
      size: 1234,
      mode: 0o644,
      permissions: '-rw-r--r--',
      mtime: '2026-11-21T12:30:45.123456789Z',
    })
  })

  it('understands every way to name a repository, a snapshot and paths', async () => {
    const rows: [string[], Record<string, string>, unknown[]][] = [
      [['list', 'r'], {}, ['r']],
      [['list', 'r::a', '/x/', './y'], {}, ['r', 'a', ['x', 'y']]],
      [['list', 'r', 'a'], {}, ['r', 'a', []]],
      [['list', '-r', 'r', 'a', 'x'], {}, ['r', 'a', ['x']]],
      [['list', 'latest'], { CAIRN_REPO: 'r' }, ['r', 'latest', []]],
      [['list', 's/t'], { CAIRN_REPO: 'r' }, ['s/t']],
      [['list'], { BORG_REPO: 'r' }, ['r']],
      [['list'], {}, ['/home/ann/.local/share/cairn/repository']],
      [['list', '::latest'], {}, ['/home/ann/.local/share/cairn/repository', 'latest', []]],
    ]
    for (const [argv, env, expected] of rows) {
      const calls: unknown[] = []
      await runCli(argv, { env, operations: reading({}, calls) })
      assert.deepEqual(calls, [expected], argv.join(' '))
    }
  })

  it('stops when the reader has gone, without a word', async () => {
    let produced = 0
    const endless = {
      *[Symbol.iterator](): Generator<EntryInfo> {
        for (;;) {
          produced++
          yield anEntry()
        }
      },
    }
    const head = new Writable({
      decodeStrings: false,
      write: (_chunk, _encoding, done) => done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })),
    })
    const stdout = Object.assign(head, { isTTY: false, columns: undefined, captured: '' })
    const { exitCode, stderr } = await runCli(['list', 'r::a'], { operations: reading({ entries: endless }), stdout })
    assert.equal(exitCode, 0)
    assert.equal(stderr, '')
    assert.ok(produced > 100 && produced < 100_000, `${produced} entries`)
  })
})

describe('info', () => {
  const repository: RepositoryInfo = {
    repositoryId: '12'.repeat(16),
    location: '/mnt/r',
    formatVersion: 1,
    encryption: 'keyfile',
    cipher: 'aes-256-gcm',
    chunkerParams: 'fastcdc,256K,1M,4M',
    createdAt: '2026-11-01T10:00:00.000Z',
    keyFile: '/home/ann/.config/cairn/keys/12.key',
    totals: SOME_TOTALS,
    packs: 1234,
    snapshots: 2,
    lastSnapshot: aSnapshot(),
  }
  const operations: Partial<Operations> = {
    info: async () => ({
      repositoryInfo: async () => repository,
      snapshotInfo: async (_access, { wanted }) => ({
        snapshots: wanted.map((name) => aSnapshot({ name })),
        repository,
      }),
    }),
  }

  const checkpoint: Partial<Operations> = {
    info: async () => ({
      repositoryInfo: async () => repository,
      snapshotInfo: async () => ({ snapshots: [aSnapshot({ checkpoint: true })], repository }),
    }),
  }

  it('shows a repository', async () => {
    const { stdout } = await runCli(['info', '/mnt/r'], { operations })
    assert.match(stdout, /^Encrypted: Yes \(keyfile, aes-256-gcm\)$/m)
    assert.match(stdout, /^Key file: \/home\/ann\/.config\/cairn\/keys\/12.key$/m)
    assert.match(stdout, /^Last snapshot: monday, Sat, 2026-11-21 13:44:05$/m)
    assert.match(stdout, /^All archives: {15}1.17 GiB {14}500 MiB {14}253 MiB$/m)
  })

  it('shows a snapshot', async () => {
    const { stdout } = await runCli(['info', '/mnt/r::tuesday'], { operations })
    assert.match(stdout, /^Archive name: tuesday$/m)
    assert.match(stdout, /^Duration: 2.50 seconds$/m)
    assert.match(stdout, /^Command line: cairn create repo::monday \/home\/ann$/m)
    assert.match(stdout, /^This archive: /m)
  })

  it('says of a checkpoint that it is none of the whole', async () => {
    const { stdout } = await runCli(['info', 'r::a'], { operations: checkpoint })
    assert.match(stdout, /^Complete: No, a checkpoint: it ends where its run was$/m)
  })

  it('prints one JSON document', async () => {
    const info = JSON.parse((await runCli(['info', '/mnt/r::tuesday', '--json'], { operations })).stdout)
    assert.equal(info.repository.id, '12'.repeat(16))
    assert.equal(info.encryption.mode, 'keyfile')
    assert.equal(info.stats.unique_chunks, 60_030)
    assert.equal(info.snapshots[0].name, 'tuesday')
    const whole = JSON.parse((await runCli(['info', '/mnt/r', '--json'], { operations })).stdout)
    assert.equal(whole.snapshots, undefined)
    assert.equal(whole.snapshots_count, 2)
  })
})

describe('diff', () => {
  const base = { before: undefined, after: undefined, bytesAdded: 0, bytesRemoved: 0 }
  const folder = anEntry({ type: 'dir', mode: 0o755, sizeBytes: 0 })
  const changes: DiffChange[] = [
    { ...base, path: 'a/new', change: 'added', after: anEntry(), bytesAdded: 2048 },
    { ...base, path: 'a/old', change: 'removed', before: folder },
    {
      ...base,
      path: 'a/x\u001B',
      change: 'modified',
      before: anEntry(),
      after: anEntry({ mode: 0o600 }),
      bytesAdded: 10,
      bytesRemoved: 3,
    },
    { ...base, path: 'b', change: 'metadata', before: folder, after: { ...folder, user: 'bob' } },
    { ...base, path: 'c', change: 'metadata', before: anEntry(), after: anEntry({ mtimeNs: 0n }) },
    { ...base, path: 'd', change: 'type', before: folder, after: anEntry({ type: 'symlink', mode: 0o777 }) },
  ]

  it('prints a line for each change, and the sums', async () => {
    const { stdout, exitCode } = await runCli(['diff', 'r::a', 'b'], { operations: reading({ changes }) })
    assert.equal(exitCode, 0)
    assert.equal(
      stdout,
      `+  +2.00 KiB             a/new
-                        a/old/
M      +10 B       -3 B  a/x\\x1b [-rw-r--r-- -> -rw-------]
U                        b/ [ann:staff -> bob:staff]
U                        c [Sat, 2026-11-21 13:30:45 -> Thu, 1970-01-01 01:00:00]
T                        d [drwxr-xr-x -> lrwxrwxrwx]
1 entry added, 1 removed, 4 changed; 2.01 KiB added, 3 B removed
`,
    )
  })

  it('says when nothing differs', async () => {
    assert.equal((await runCli(['diff', 'r::a', 'b'], { operations: reading({}) })).stdout, 'No differences.\n')
    assert.equal((await runCli(['diff', 'r::a', 'b', '-q'], { operations: reading({}) })).stdout, '')
  })

  it("prints restic's lines with --json", async () => {
    const { stdout } = await runCli(['diff', 'r::a', 'b', '--json'], { operations: reading({ changes }) })
    const lines = jsonLines(stdout)
    assert.deepEqual(lines[1], {
      message_type: 'change',
      path: 'a/old/',
      modifier: '-',
      bytes_added: 0,
      bytes_removed: 0,
    })
    assert.deepEqual(
      lines.map((line) => line['modifier']),
      ['+', '-', 'M', 'U', 'U', 'T', undefined],
    )
    assert.deepEqual(lines.at(-1), {
      message_type: 'statistics',
      source_snapshot: 'aa',
      target_snapshot: 'bb',
      changed_files: 1,
      added: { files: 1, dirs: 0, others: 0, bytes: 2058 },
      removed: { files: 0, dirs: 1, others: 0, bytes: 3 },
    })
  })

  it('takes both snapshots with or without their repository', async () => {
    for (const argv of [
      ['r::a', 'b', '/x'],
      ['r::a', 'r::b', 'x'],
      ['r::a', '::b', 'x'],
      ['-r', 'r', 'a', 'b', 'x/'],
      ['-r', 'r', '::a', '::b', 'x'],
    ]) {
      const calls: unknown[] = []
      await runCli(['diff', ...argv], { operations: reading({}, calls) })
      assert.deepEqual(calls, [['r', 'a', 'b', ['x']]], argv.join(' '))
    }
  })

  it('has colours on a terminal only', async () => {
    const stdout = new CapturedStream(80)
    await runCli(['diff', 'r::a', 'b'], { operations: reading({ changes }), stdout })
    assert.ok(stdout.captured.startsWith('\u001B[32m+\u001B[39m '))
  })
})

describe('a damaged repository', () => {
  const KEYS = [`commits/${'ab'.repeat(16)}`, `index/${'cd'.repeat(16)}-0-${'ef'.repeat(32)}`]

  /** Tells of damage on the way, and goes on with `show`. */
  function damaged(access: RepositoryAccess): void {
    for (const object of [...KEYS, ...KEYS])
      access.onDamaged?.(new CairnError('DATA_CORRUPT', `Cannot read ${object}: it is rotten`, { details: { object } }))
  }

  const operations: Partial<Operations> = {
    list: async () => ({
      listSnapshots: async (access) => {
        damaged(access)
        return { repositoryId: '12'.repeat(16), encryption: 'none', snapshots: [aSnapshot()], lastSnapshot: undefined }
      },
      listEntries: async (access, snapshot) => {
        damaged(access)
        throw new CairnError(snapshot === 'gone' ? 'NOT_FOUND' : 'STORAGE_DENIED', `Cannot find '${snapshot}'`)
      },
    }),
    diff: async () => ({
      diffSnapshots: async (access) => {
        damaged(access)
        return { before: aSnapshot(), after: aSnapshot() }
      },
    }),
  }

  it('is shown as far as it can be read; then everything damaged is named', async () => {
    for (const command of [
      ['list', 'r'],
      ['diff', 'r::a', 'b'],
    ]) {
      const { stdout, stderr, exitCode } = await runCli(command, { operations })
      assert.match(stdout, /^monday |No differences/)
      assert.equal(exitCode, 65)
      const lines = stderr.trimEnd().split('\n')
      assert.deepEqual(
        lines.slice(0, -1),
        KEYS.map((key) => `cairn: warning: Cannot read ${key}: it is rotten`),
      )
      assert.match(lines.at(-1) ?? '', /^cairn: error: Cannot read the whole repository: 2 objects cannot be read \(/)
      for (const key of KEYS) assert.ok(lines.at(-1)?.includes(key))
    }
  })

  it('has an error line for each object with --json', async () => {
    const { stdout, stderr, exitCode } = await runCli(['list', 'r', '--json'], { operations })
    assert.equal((JSON.parse(stdout) as unknown[]).length, 1)
    assert.equal(exitCode, 65)
    const lines = jsonLines(stderr)
    assert.deepEqual(
      lines.slice(0, -1),
      KEYS.map((item) => ({
        message_type: 'error',
        error: { message: `Cannot read ${item}: it is rotten` },
        during: 'read',
        item,
        code: 'DATA_CORRUPT',
      })),
    )
    assert.deepEqual([lines.at(-1)?.['message_type'], lines.at(-1)?.['code']], ['exit_error', 65])
  })

  it('may be why something is not found, and is no excuse for anything else', async () => {
    const gone = await runCli(['list', 'r::gone'], { operations })
    assert.equal(gone.exitCode, 65)
    assert.match(gone.stderr, /error: Cannot find 'gone': 2 objects cannot be read/)
    const denied = await runCli(['list', 'r::other'], { operations })
    assert.equal(denied.exitCode, 1)
    assert.match(denied.stderr, /error: Cannot find 'other';/)
  })
})
