/** How mounts begin and end: in the background, by a signal, killed, or not at all. Nothing may be left hanging. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  statSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { testBytes } from '../src/chunker/testing.ts'
import { hasPrograms, run } from '../src/platform/testing.ts'
import { commitFolder } from './full-snapshot.ts'
import { SKIP_UNLESS_FUSE, isMounted, mount, unmount, until } from './mounting.ts'
import { TestRepository, cairn, cairnCommand, newFolder } from './testing.ts'

let repository: TestRepository

before(async () => {
  const source = newFolder()
  writeFileSync(`${source}/f`, 'content')
  writeFileSync(`${source}/large`, testBytes('life', 20 << 20))
  writeFileSync(`${source}/unread`, 'unread')
  repository = await TestRepository.create({ encryption: 'none' })
  await commitFolder(repository, source)
})

/** The process that serves a mount, found by its command line. */
function serverOf(directory: string): number {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (
        readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`\0mount\0`) &&
        readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(directory)
      )
        return Number(pid)
    } catch {
      // it has ended
    }
  }
  return assert.fail(`nobody serves ${directory}`)
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

describe('a mount in the background', { skip: SKIP_UNLESS_FUSE }, () => {
  it('can be used as soon as the command returns, and its process ends with it', async () => {
    const directory = newFolder()
    const { status, stderr } = cairn(['mount', `${repository.location}::latest`, directory])
    assert.deepEqual([status, stderr], [0, `cairn: mounted on ${directory}; 'cairn umount' ends it\n`])
    assert.equal(readFileSync(`${directory}/f`, 'utf8'), 'content')
    const server = serverOf(directory)
    // Its own session: no terminal takes it along. And nobody waits for the end of its output, or for its folder.
    assert.match(
      readFileSync(`/proc/${server}/stat`, 'utf8'),
      new RegExp(`^${server} \\(.*\\) \\S \\S+ \\S+ ${server} 0 `),
    )
    assert.equal(run('readlink', `/proc/${server}/cwd`).trim(), '/')
    for (const fd of [0, 1, 2]) assert.equal(run('readlink', `/proc/${server}/fd/${fd}`).trim(), '/dev/null')
    unmount(directory)
    assert.ok(!isMounted(directory))
    await until(() => !isAlive(server))
  })

  it('that cannot be says why, with an exit code, and leaves nothing', () => {
    const directory = newFolder()
    const file = `${newFolder()}/f`
    writeFileSync(file, '')
    for (const [args, exit, message] of [
      [[`${repository.location}::nope`, directory], 1, /^cairn: error: Cannot find the snapshot 'nope'/],
      [[`${repository.location}::latest`, directory, 'no/path'], 1, /^cairn: error: Cannot find 'no\/path'/],
      [[`${directory}/none`, directory], 10, /^cairn: error: Cannot open the repository/],
      [[repository.location, `${directory}/none`], 1, /^cairn: error: Cannot mount on .*: no such file or directory; /],
      [[repository.location, file], 1, /^cairn: error: Cannot mount on .*: it is no folder; /],
    ] as const) {
      const { status, stdout, stderr } = cairn(['mount', ...args])
      assert.match(stderr, message)
      assert.deepEqual([status, stdout], [exit, ''])
      assert.equal(stderr.split('\n').length, 2, stderr)
    }
    assert.ok(!isMounted(directory))
  })

  it('tells in the system log what is damaged, and why it ended', (t) => {
    if (!hasPrograms(t, 'unshare', 'python3')) return
    const copy = repository.copy()
    for (const key of copy.objects('packs/')) {
      const bytes = readFileSync(path.join(copy.location, key))
      if (bytes[6] === 1) bytes.fill(0, 100, bytes.length - 100)
      writeFileSync(path.join(copy.location, key), bytes)
    }
    const directory = newFolder()
    const devices = newFolder()
    // Devices of its own, among them the log.
    const printed = run(
      'unshare',
      '-m',
      'sh',
      '-c',
      `for name in null zero urandom fuse; do touch ${devices}/$name; mount --bind /dev/$name ${devices}/$name; done
      mkdir ${devices}/control; mount -t fusectl none ${devices}/control; mount --rbind ${devices} /dev
      exec python3 -c "$0" "$1"`,
      `
import socket, subprocess, sys
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind("/dev/log")
subprocess.run(["sh", "-c", sys.argv[1]])
log.setblocking(False)
try:
    while True: print(log.recv(65536).decode())
except BlockingIOError: pass`,
      `${cairnCommand(['mount', `${copy.location}::latest`, directory])} 2>&1 | cat
      server=$(pgrep -f '[m]ain.ts mount .*${directory}')
      cat ${directory}/large > /dev/null 2>&1 || echo failed
      echo 1 > /dev/control/$(stat -c %Ld ${directory})/abort
      while [ -e /proc/$server ]; do :; done`,
    )
    const [mounted = '', failed, ...logged] = printed.trim().split('\n')
    assert.deepEqual([mounted, failed], [`cairn: mounted on ${directory}; 'cairn umount' ends it`, 'failed'])
    const cut = logged.pop() ?? ''
    assert.ok(logged.length > 0)
    for (const line of logged)
      assert.match(line, /^<12>.* cairn\[\d+\]: warning: cannot read snapshot-1\/large: Cannot read pack /)
    assert.match(cut, /cairn\[\d+\]: error: Cannot go on serving .*; mount it again$/)
  })

  it('prints JSON', () => {
    const directory = newFolder()
    const mounted = cairn(['mount', '--json', repository.location, directory])
    assert.deepEqual(JSON.parse(mounted.stdout), { message_type: 'mounted', mount_point: directory })
    const unmounted = cairn(['umount', '--json', directory])
    assert.deepEqual(JSON.parse(unmounted.stdout), { message_type: 'unmounted', mount_point: directory })
    const again = cairn(['umount', '--json', directory])
    const { message: _, ...rest } = JSON.parse(again.stderr) as Record<string, unknown>
    assert.deepEqual(rest, { message_type: 'exit_error', code: 1, error: 'TARGET_FAILED' })
  })
})

describe('the end of a mount', { skip: SKIP_UNLESS_FUSE }, () => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    it(`is clean by ${signal}`, async (t) => {
      const { directory, end, stderr } = await mount(t, [`${repository.location}::latest`])
      assert.equal(await end(signal), 0)
      assert.ok(!isMounted(directory))
      assert.deepEqual(readdirSync(directory), [])
      assert.ok(stderr().endsWith(`cairn: unmounted ${directory}\n`), stderr())
    })
  }

  it('comes by a signal also when somebody uses it, who then gets errors', async (t) => {
    const { directory, end, stderr } = await mount(t, [`${repository.location}::latest`])
    const open = openSync(`${directory}/unread`, 'r')
    const reader = spawn('sh', ['-c', `cd '${directory}' && while cat large f > /dev/null; do :; done`], {
      stdio: 'ignore',
    })
    await sleep(300)
    assert.equal(await end(), 0)
    assert.ok(!isMounted(directory))
    assert.match(stderr(), /was in use when it was unmounted\n$/)
    await until(() => reader.exitCode !== null)
    assert.throws(() => readFileSync(open), { code: 'ENOTCONN' })
    closeSync(open)
  })

  it('is refused by umount as long as somebody uses it, and comes by a later one', async (t) => {
    const { directory, stderr } = await mount(t, [`${repository.location}::latest`])
    const open = openSync(`${directory}/large`, 'r')
    const { status, stderr: refusal } = cairn(['umount', directory])
    assert.equal(status, 1)
    assert.match(
      refusal,
      /^cairn: error: Cannot unmount .*: resource busy or locked; 'fuser -vm .* tells which programs use it\n$/,
    )
    assert.equal(readFileSync(`${directory}/f`, 'utf8'), 'content')
    closeSync(open)
    unmount(directory)
    await until(() => stderr().endsWith(`cairn: unmounted ${directory}\n`))
  })

  it('comes by umount(8) as well, and while it is being read', async (t) => {
    const { directory, process: server } = await mount(t, [`${repository.location}::latest`])
    const readers = Array.from({ length: 4 }, () =>
      spawn('sh', ['-c', `while cat '${directory}/large' > /dev/null; do :; done`], { stdio: 'ignore' }),
    )
    await sleep(200)
    run('umount', '-l', directory)
    await until(() => readers.every(({ exitCode }) => exitCode !== null))
    await until(() => server.exitCode !== null)
    assert.equal(server.exitCode, 0)
  })

  it('by kill -9 is tidied up by the next mount, and by umount', async (t) => {
    for (const tidy of ['mount', 'umount']) {
      const { directory, process: server } = await mount(t, [`${repository.location}::latest`])
      readdirSync(directory) // the kernel remembers what it has seen
      const open = openSync(`${directory}/large`, 'r')
      server.kill('SIGKILL')
      await until(() => server.signalCode !== null)
      assert.ok(isMounted(directory))
      assert.throws(() => statfsSync(directory), { code: 'ENOTCONN' })
      closeSync(open)
      if (tidy === 'mount') {
        assert.equal(cairn(['mount', `${repository.location}::latest`, directory]).status, 0)
        assert.equal(readFileSync(`${directory}/f`, 'utf8'), 'content')
      }
      unmount(directory)
      assert.deepEqual([isMounted(directory), readdirSync(directory)], [false, []])
    }
  })

  it('by a connection that is cut is an error, and leaves no mount', async (t) => {
    const { directory, process: server, stderr } = await mount(t, [`${repository.location}::latest`])
    const { dev } = statSync(directory)
    const control = newFolder()
    run('mount', '-t', 'fusectl', 'cairn-test', control)
    t.after(() => run('umount', '-l', control))
    writeFileSync(`${control}/${dev & 0xff}/abort`, '1')
    await until(() => server.exitCode !== null)
    assert.equal(server.exitCode, 1)
    assert.match(stderr(), /Cannot go on serving .*; mount it again\n$/)
    assert.ok(!isMounted(directory))
  })
})

describe('mount', { skip: SKIP_UNLESS_FUSE }, () => {
  it('refuses a folder where snapshots are mounted already', async (t) => {
    const { directory } = await mount(t, [`${repository.location}::latest`])
    const { status, stderr } = cairn(['mount', repository.location, directory])
    assert.equal(status, 1)
    assert.match(stderr, /snapshots are mounted there already/)
    assert.equal(readFileSync(`${directory}/f`, 'utf8'), 'content')
  })

  it('takes a folder by way of symlinks', () => {
    const folder = newFolder()
    mkdirSync(`${folder}/real`)
    symlinkSync('real', `${folder}/link`)
    assert.equal(cairn(['mount', `${repository.location}::latest`, `${folder}/link`]).status, 0)
    assert.ok(isMounted(`${folder}/real`))
    unmount(`${folder}/link`)
    assert.ok(!isMounted(`${folder}/real`))
  })

  it('leaves alone what others have mounted', (t) => {
    const directory = newFolder()
    run('mount', '-t', 'tmpfs', 'cairn-test', directory)
    t.after(() => run('umount', directory))
    const { status, stderr } = cairn(['umount', directory])
    assert.equal(status, 1)
    assert.match(stderr, /no snapshots are mounted there/)
    assert.ok(isMounted(directory))
  })

  it('says what to do where there is no FUSE', () => {
    const directory = newFolder()
    const command = ['unshare', '-m', 'sh', '-c', 'mount --bind /dev/null /dev/fuse && exec "$@"', 'sh']
    const { status, stderr } = cairn(['mount', repository.location, directory], { command })
    assert.equal(status, 1)
    assert.match(stderr, /^cairn: error: Cannot mount on .*; where FUSE cannot be used, --webdav shows the same/)
  })
})
