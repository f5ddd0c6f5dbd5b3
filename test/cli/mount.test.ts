import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { describe, it } from 'node:test'
import type { Background } from '../../src/cli/world.ts'
import type { MountOptions, ServeOptions } from '../../src/operations/mount.ts'
import { type RunOptions, type RunResult, jsonLines, runCli } from './harness.ts'

const ENV = { CAIRN_REPO: '/repo' }

/** Runs a command line with operations that only tell what they were asked for. */
async function run(
  argv: readonly string[],
  { wasBusy = false, ...options }: RunOptions & { readonly wasBusy?: boolean } = {},
): Promise<RunResult & { location: string; options: MountOptions & ServeOptions; unmounted: string[] }> {
  const asked = { location: '', options: {} as MountOptions & ServeOptions }
  const unmounted: string[] = []
  const mount = async () => ({
    async mountSnapshots({ location }: { location: string }, given: MountOptions) {
      Object.assign(asked, { location, options: given })
      await given.onMounted()
      given.onIssue({ path: 'monday/f\n', message: 'it is damaged', code: 'DATA_CORRUPT' })
      return { isInterrupted: true, wasBusy }
    },
    async serveSnapshots({ location }: { location: string }, given: ServeOptions) {
      Object.assign(asked, { location, options: given })
      given.onServing('http://127.0.0.1:1234/secret/')
    },
    async unmountSnapshots(directory: string) {
      unmounted.push(directory)
    },
  })
  const result = await runCli(argv, { ...options, operations: { mount } })
  return { ...result, ...asked, unmounted }
}

describe('cairn mount', () => {
  it('takes a repository or a snapshot, a folder, and paths', async () => {
    for (const [argv, env, location, snapshot, mountPoint, paths] of [
      [['/r', '/mnt'], {}, '/r', undefined, '/mnt', []],
      [['/r::monday', '/mnt'], {}, '/r', 'monday', '/mnt', []],
      [['/r::monday', 'mnt', '/home/ann/', 'etc'], {}, '/r', 'monday', 'mnt', ['home/ann', 'etc']],
      [['mnt'], ENV, '/repo', undefined, 'mnt', []],
      [['monday', 'mnt'], ENV, '/repo', 'monday', 'mnt', []],
      [['./mnt', 'home'], ENV, '/repo', undefined, './mnt', ['home']],
      [['-r', '/other', 'latest', '/mnt'], ENV, '/other', 'latest', '/mnt', []],
      [['::monday', '/mnt'], ENV, '/repo', 'monday', '/mnt', []],
      [['latest', '/mnt'], {}, '/home/ann/.local/share/cairn/repository', 'latest', '/mnt', []],
      [['/mnt'], {}, '/home/ann/.local/share/cairn/repository', undefined, '/mnt', []],
      [['/r::monday', 'mnt', 'sh:**/*.txt'], {}, '/r', 'monday', 'mnt', ['sh:**/*.txt']],
    ] as const) {
      const result = await run(['mount', '-f', ...argv], { env })
      const { options } = result
      assert.equal(result.exitCode, 0, result.stderr)
      assert.deepEqual(
        [result.location, options.snapshot, options.mountPoint, options.paths],
        [location, snapshot, mountPoint, paths],
        argv.join(' '),
      )
    }
  })

  it('passes on what options say', async () => {
    const { options } = await run(
      [
        'mount',
        '-f',
        '/r',
        '/mnt',
        '-o',
        'allow_other,ro,uid=5',
        '-o',
        'gid=6,umask=077,ignore_permissions',
        '-a',
        'web-*',
      ].concat([
        '--sort-by',
        'name',
        '--last',
        '3',
        '--strip-components',
        '2',
        '--numeric-ids',
        '--workers',
        '4',
        '-e',
        '*.o',
      ]),
    )
    const {
      allowOther,
      ignorePermissions,
      uid,
      gid,
      umask,
      filter,
      order,
      stripComponents,
      numericIds,
      workers,
      patterns,
    } = options
    assert.deepEqual(
      { allowOther, ignorePermissions, uid, gid, umask, filter, order, stripComponents, numericIds, workers, patterns },
      {
        allowOther: true,
        ignorePermissions: true,
        uid: 5,
        gid: 6,
        umask: 0o77,
        filter: { prefix: undefined, glob: 'web-*', finished: false },
        order: { sortBy: ['name'], first: undefined, last: 3 },
        stripComponents: 2,
        numericIds: true,
        workers: 4,
        patterns: [{ kind: 'exclude', value: '*.o' }],
      },
    )
    assert.match(options.timeOf('2026-11-21T12:44:05.000Z'), /^2026-11-2\dT\d\d:44:05$/)
  })

  it('refuses what makes no sense, as wrong usage', async () => {
    for (const [argv, message] of [
      [[], /name the folder to mount on/],
      [['/r::monday'], /name the folder to mount on/],
      [['/r', '/mnt', '-o', 'rw'], /a mount is read-only/],
      [['/r', '/mnt', '-o', 'versions'], /'versions' is unknown; there are allow_other/],
      [['/r', '/mnt', '-o', 'uid=ann'], /is unknown/],
      [['/r', '/mnt', '-o', 'umask=9'], /is unknown/],
      [['/r::monday', '/mnt', '--last', '2'], /when 'monday' is named/],
      [['/r', '/mnt', '--first', '2', '--last', '2'], /'--first <N>' cannot be used with option '--last <N>'/],
      [['/r', '/mnt', '--first', '0'], /whole number/],
      [['/r', '/mnt', '--port', '80'], /--port without --webdav/],
      [['/r', '--webdav', '--port', '70000'], /port from 0 to 65535/],
      [['/r', '--webdav', '-o', 'ro'], /-o with --webdav/],
    ] as const) {
      const { exitCode, stderr } = await run(['mount', '-f', ...argv])
      assert.deepEqual([exitCode, message.test(stderr)], [2, true], stderr)
    }
  })

  it('tells when it can be used, what cannot be read, and its end', async () => {
    const plain = await run(['mount', '-f', '/r', '/mnt'])
    assert.equal(
      plain.stderr,
      "cairn: mounted on /mnt; 'cairn umount' ends it\n" +
        'cairn: warning: cannot read monday/f\\n: it is damaged\n' +
        'cairn: unmounted /mnt\n',
    )
    assert.match(
      (await run(['mount', '-f', '/r', '/mnt'], { wasBusy: true })).stderr,
      /was in use when it was unmounted\n$/,
    )
    const json = await run(['mount', '-f', '--json', '/r', '/mnt'])
    assert.deepEqual(jsonLines(json.stdout), [
      { message_type: 'mounted', mount_point: '/mnt' },
      { message_type: 'unmounted', mount_point: '/mnt', was_busy: false },
    ])
    assert.deepEqual(jsonLines(json.stderr), [
      {
        message_type: 'error',
        error: { message: 'it is damaged' },
        during: 'read',
        item: 'monday/f\n',
        code: 'DATA_CORRUPT',
      },
    ])
  })

  it('goes on in the background unless it is told not to', async () => {
    const ran: (readonly string[])[] = []
    let detached = 0
    let logged = ''
    const log = new Writable({ write: (text, _, done) => ((logged += String(text)), done()) })
    const background = (changes: Partial<Background>): Background => ({
      run: async (argv) => (ran.push(argv), 7),
      isInside: false,
      detach: async () => {
        detached++
        return log
      },
      ...changes,
    })
    const argv = ['mount', '/r', '/mnt', '--last', '1']
    const { exitCode } = await run(argv, { background: background({}) })
    assert.deepEqual([exitCode, ran, detached], [7, [argv], 0])
    assert.equal((await run(argv, { background: background({ run: async () => undefined }) })).exitCode, 0)
    const borg = await run(argv, { calledAs: 'borg', background: background({ run: async () => 13 }) })
    assert.equal(borg.exitCode, 13) // which it was told already as Borg's
    const inside = await run(argv, { background: background({ isInside: true }) })
    assert.deepEqual([inside.exitCode, inside.options.mountPoint, detached], [0, '/mnt', 1])
    assert.equal(inside.stderr, "cairn: mounted on /mnt; 'cairn umount' ends it\n")
    assert.equal(logged, 'cairn: warning: cannot read monday/f\\n: it is damaged\n')
    const raw = await run(['mount', '/r', '/mnt/caf\udce9'], { background: background({}) })
    assert.deepEqual([raw.exitCode, ran.length], [2, 1])
    assert.match(raw.stderr, /an argument is not UTF-8; add --foreground/)
  })

  it('serves by WebDAV, and prints the address', async () => {
    const { options, location, stdout, stderr } = await run([
      'mount',
      '--webdav',
      '--port',
      '8080',
      '/r::monday',
      'home',
    ])
    assert.deepEqual([location, options.snapshot, options.paths, options.port], ['/r', 'monday', ['home'], 8080])
    assert.equal(stdout, 'http://127.0.0.1:1234/secret/\n')
    assert.match(stderr, /^cairn: serving until Ctrl\+C/)
    const json = await run(['mount', '--webdav', '--json', '/r'])
    assert.deepEqual(jsonLines(json.stdout), [{ message_type: 'serving', url: 'http://127.0.0.1:1234/secret/' }])
  })
})

describe('cairn umount', () => {
  it('unmounts a folder', async () => {
    const { unmounted, stdout, stderr, exitCode } = await run(['umount', '/mnt'])
    assert.deepEqual([unmounted, stdout, stderr, exitCode], [['/mnt'], '', '', 0])
    assert.equal((await run(['umount'])).exitCode, 2)
  })
})
