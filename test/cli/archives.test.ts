import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CairnError } from '../../src/base/errors.ts'
import type { PipeOptions } from '../../src/operations/create-from-pipe.ts'
import type { ExportEvent, ExportOptions, ExportResult } from '../../src/operations/export.ts'
import type { ImportOptions } from '../../src/operations/import.ts'
import type { RepositoryAccess } from '../../src/operations/repository-access.ts'
import type { VerifyOptions, VerifyResult } from '../../src/operations/verify.ts'
import {
  aCreateResult,
  aSnapshot,
  CapturedStream,
  jsonLines,
  type RunOptions,
  type RunResult,
  runCli,
} from './harness.ts'

interface Calls {
  readonly pipes: PipeOptions[]
  readonly exports: ExportOptions[]
  readonly imports: ImportOptions[]
  readonly verifications: VerifyOptions[]
  readonly locations: string[]
}

const EXPORTED: ExportResult = {
  snapshot: aSnapshot(),
  fileCount: 3,
  totalSize: 2048,
  entryCount: 5,
  archiveSize: 1024,
  checksum: 'ab'.repeat(32),
  sidecar: 'a.tar.meta.json',
  losses: [],
  unmatchedPatterns: 0,
  durationMs: 1500,
}
const VERIFIED: VerifyResult = {
  createdAt: '2026-11-21T12:44:05.000Z',
  fileCount: 3,
  totalSize: 2048,
  archiveSize: 1024,
  checksum: 'ab'.repeat(32),
}

async function run(
  argv: readonly string[],
  given: RunOptions & {
    readonly events?: readonly ExportEvent[]
    readonly exported?: Partial<ExportResult>
    readonly verified?: VerifyResult | CairnError
  } = {},
): Promise<RunResult & Calls> {
  const calls: Calls = { pipes: [], exports: [], imports: [], verifications: [], locations: [] }
  const at = ({ location }: RepositoryAccess): void => void calls.locations.push(location)
  const result = await runCli(argv, {
    ...given,
    operations: {
      createFromPipe: async () => ({
        createFromPipe: async (access, options) => {
          at(access)
          calls.pipes.push(options)
          return aCreateResult()
        },
      }),
      export: async () => ({
        exportSnapshot: async (access, options) => {
          at(access)
          calls.exports.push(options)
          for (const event of given.events ?? []) options.onEvent?.(event)
          if ('sink' in options.target) await options.target.sink.write(Buffer.from('archive'))
          return { ...EXPORTED, ...given.exported }
        },
      }),
      import: async () => ({
        importArchive: async (access, options) => {
          at(access)
          calls.imports.push(options)
          return aCreateResult()
        },
      }),
      verify: async () => ({
        verifyArchive: async (options) => {
          calls.verifications.push(options)
          const { verified = VERIFIED } = given
          if (verified instanceof CairnError) throw verified
          return verified
        },
      }),
    },
  })
  return { ...result, ...calls }
}

describe('cairn create with a pipe', () => {
  it('takes standard input for -, and a command after --', async () => {
    const stdin = await run(['create', '/r::n', '-', '--stdin-name', 'x.sql', '--stdin-mode', '640'])
    assert.deepEqual(
      stdin.pipes.map(({ command, file }) => ({ command, file })),
      [{ command: undefined, file: { path: 'x.sql', user: undefined, group: undefined, mode: 0o640 } }],
    )
    const command = await run(['create', '--content-from-command', '/r::n', '--', 'pg_dump', '-Fc', 'a::b'])
    assert.deepEqual(command.pipes[0]?.command, ['pg_dump', '-Fc', 'a::b'])
    assert.deepEqual(command.pipes[0]?.file, { path: 'stdin', user: undefined, group: undefined, mode: 0o660 })
    assert.deepEqual([command.locations, command.pipes[0]?.name], [['/r'], 'n'])
  })

  it('refuses what makes no sense', async () => {
    for (const argv of [
      ['/r::n', '-', '/etc'],
      ['--content-from-command', '/r::n'],
      ['/r::n', '-', '--stdin-mode', '8'],
      ['-n', '/r::n', '-'],
      ['/r::n', '-', '--pattern', 'R /etc'],
      ['--content-from-command', '/r::n', '--pattern', 'R /etc', '--', 'date'],
    ])
      assert.equal((await run(['create', ...argv])).exitCode, 2, argv.join(' '))
  })
})

describe('cairn export', () => {
  it('knows by the name of the file what it is to be', async () => {
    const xz = { compress: ['xz', '-c'], decompress: ['xz', '-dc'] }
    for (const [name, format, filter] of [
      ['a.tar', 'tar', undefined],
      ['a.TAR.GZ', 'tar', 'gzip'],
      ['a.tgz', 'tar', 'gzip'],
      ['a.tar.zst', 'tar', 'zstd'],
      ['a.tar.xz', 'tar', xz],
      ['a.zip', 'zip', undefined],
    ] as const) {
      const { exitCode, exports } = await run(['export', '/r::n', name])
      assert.deepEqual([exitCode, exports[0]?.format, exports[0]?.filter], [0, format, filter], name)
      assert.deepEqual(exports[0]?.target, { file: name, replace: false })
    }
    assert.match((await run(['export', '/r::n', 'a.rar'])).stderr, /Cannot tell what a\.rar is to be/)
    assert.equal((await run(['export', '/r::n', 'a.rar', '--format', 'tar'])).exports[0]?.filter, undefined)
    assert.deepEqual((await run(['export', '/r::n', 'a', '--tar-filter', "zstd -T0 'x y'"])).exports[0]?.filter, {
      compress: ['zstd', '-T0', 'x y'],
      decompress: ['zstd', '-T0', 'x y'],
    })
    assert.equal((await run(['export', '/r::n', 'a.tar.gz', '--tar-filter', 'none'])).exports[0]?.filter, undefined)
    assert.equal((await run(['export', '/r::n', 'a.zip', '--tar-filter', 'gzip'])).exitCode, 2)
  })

  it('passes on paths, patterns, --strip-components and --force, also as export-tar', async () => {
    const { exports } = await run([
      'export-tar',
      '/r::n',
      'a.tar',
      '/home/ann/',
      '--strip-components',
      '2',
      '-e',
      '*.o',
      '--force',
    ])
    const [options] = exports
    assert.deepEqual([options?.snapshot, options?.paths, options?.stripComponents], ['n', ['home/ann'], 2])
    assert.deepEqual(options?.patterns, [{ kind: 'exclude', value: '*.o' }])
    assert.deepEqual(options?.target, { file: 'a.tar', replace: true })
  })

  it('writes to standard output nothing but the archive, and never to a terminal', async () => {
    const events: ExportEvent[] = [{ type: 'entry', path: 'f', sizeBytes: 1 }]
    const { exitCode, stdout } = await run(['export', '/r::n', '-', '--list'], { events: [] })
    assert.deepEqual([exitCode, stdout], [0, 'archive'])
    const listed = await run(['export', '/r::n', 'a.tar', '--list'], { events })
    assert.equal(listed.stdout.split('\n')[0], 'f')
    const terminal = await run(['export', '/r::n', '-'], { stdout: new CapturedStream(80) })
    assert.equal(terminal.exitCode, 2)
    assert.match(terminal.stderr, /to a terminal/)
  })

  it('tells what is lost, and ends with warnings when a pattern matches nothing', async () => {
    const events: ExportEvent[] = [{ type: 'warning', code: 'LOST', message: 'zip cannot hold holes: lost of \u001Bf' }]
    const { exitCode, stderr, stdout } = await run(['export', '/r::n', 'a.zip'], { events })
    assert.equal(exitCode, 0)
    assert.match(stderr, /warning: zip cannot hold holes: lost of /)
    assert.ok(!stderr.includes('\u001B'))
    assert.match(stdout, /^Exported 3 files \(2\.00 KiB\) of monday to a\.zip \(1\.00 KiB\) in 1\.5/)
    assert.equal((await run(['export', '/r::n', 'a.zip'], { exported: { unmatchedPatterns: 1 } })).exitCode, 3)
    const json = await run(['export', '/r::n', 'a.zip', '--json'], { events })
    assert.equal(jsonLines(json.stdout)[0]?.['checksum'], EXPORTED.checksum)
    assert.equal(jsonLines(json.stderr)[0]?.['code'], 'LOST')
  })

  it('refuses to guess what is missing', async () => {
    for (const argv of [[], ['/r::n'], ['/r::n', 'a.tar', '--format', 'rar']])
      assert.equal((await run(['export', ...argv])).exitCode, 2, argv.join(' '))
  })
})

describe('cairn import', () => {
  it('takes file and snapshot in either order, or the snapshot as with other commands', async () => {
    for (const argv of [
      ['a.tar', '/r::n'],
      ['/r::n', 'a.tar'],
      ['a.tar', 'n', '-r', '/r'],
      ['::n', 'a.tar', '-r', '/r'],
    ]) {
      const { imports, locations, stderr } = await run(['import', ...argv])
      assert.deepEqual(
        [imports[0]?.file, imports[0]?.name, locations, stderr],
        ['a.tar', 'n', ['/r'], ''],
        argv.join(' '),
      )
    }
    const plain = await run(['import-tar', '-', '-r', '/r'])
    assert.deepEqual([plain.imports[0]?.file, plain.imports[0]?.nameIsDefault], ['-', true])
  })

  it('passes its options on', async () => {
    const { imports } = await run([
      'import',
      'a',
      '/r::n',
      '--tar-filter',
      'zstd',
      '--ignore-zeros',
      '--numeric-ids',
      '--atime',
      '--comment',
      'c',
      '--tag',
      'a,b',
    ])
    const { filter, ignoreZeros, numericIds, atime, comment, tags } = imports[0] ?? {}
    assert.deepEqual(
      [filter, ignoreZeros, numericIds, atime, comment, tags],
      ['zstd', true, true, true, 'c', ['a', 'b']],
    )
    assert.equal((await run(['import'])).exitCode, 2)
    assert.equal((await run(['import', 'a', '/r/x'])).exitCode, 2)
  })
})

describe('cairn verify', () => {
  it('says that an archive is what it was, or that nobody knows', async () => {
    const { exitCode, stdout, verifications } = await run(['verify', 'a.tar'])
    assert.deepEqual([exitCode, verifications[0]?.file, verifications[0]?.against], [0, 'a.tar', undefined])
    assert.match(stdout, /^a\.tar is what it was when it was made \(2026-11-21T12:44:05\.000Z\): 3 files/)
    const unverified = await run(['verify', 'a.tar'], { verified: { ...VERIFIED, createdAt: undefined } })
    assert.equal(unverified.exitCode, 3)
    assert.match(unverified.stderr, /a\.tar is unverified: without a\.tar\.meta\.json/)
    const json = await run(['verify', 'a.tar', '--json'])
    assert.equal(jsonLines(json.stdout)[0]?.['verified'], true)
  })

  it('compares with a snapshot, and has an exit code for every way to differ', async () => {
    const { verifications } = await run(['verify', 'a.tar', '/r::n'])
    assert.deepEqual([verifications[0]?.against?.access.location, verifications[0]?.against?.snapshot], ['/r', 'n'])
    for (const [code, exitCode] of [
      ['NOT_FOUND', 1],
      ['ARCHIVE_CORRUPT', 65],
      ['SIZE_DIFFERS', 66],
      ['CHECKSUM_DIFFERS', 67],
      ['CONTENT_DIFFERS', 68],
    ] as const) {
      assert.equal(
        (await run(['verify', 'a.tar'], { verified: new CairnError(code, 'Cannot trust it') })).exitCode,
        exitCode,
      )
    }
    assert.equal((await run(['verify'])).exitCode, 2)
    assert.equal((await run(['verify', '-'])).exitCode, 2)
  })
})
