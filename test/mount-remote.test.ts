/**
 * A mount of a repository on another machine, whose connection is slow, breaks and comes back: a real SSH server on loopback. The
 * connection goes through this process, which must not wait for the mount by blocking calls.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { access, readFile, readdir } from 'node:fs/promises'
import { after, before, describe, it, type TestContext } from 'node:test'
import { testBytes } from '../src/chunker/testing.ts'
import { commitFolder } from './full-snapshot.ts'
import { type Mounted, SKIP_UNLESS_FUSE, isMounted, mountWith, unmount, until } from './mounting.ts'
import { Proxy, SKIP_WITHOUT_SSHD, type Sshd, startSshd } from './sshd.ts'
import { TestRepository, newFolder } from './testing.ts'

const CAIRN = `${process.execPath} ${new URL('../src/main.ts', import.meta.url).pathname}`

let sshd: Sshd
let repository: TestRepository
let source: string

before(async () => {
  if (SKIP_UNLESS_FUSE || SKIP_WITHOUT_SSHD) return
  sshd = await startSshd()
  source = newFolder()
  // More than is read ahead, so that each has to be fetched.
  for (const name of ['one', 'two', 'three']) writeFileSync(`${source}/${name}`, testBytes(name, 20 << 20))
  mkdirSync(`${source}/folder`)
  for (let i = 0; i < 20_000; i++) writeFileSync(`${source}/folder/a-file-of-no-content-with-the-number-${i}`, '')
  repository = await TestRepository.create({ encryption: 'none' })
  await commitFolder(repository, source)
})
after(() => sshd?.stop())

/** Mounts the repository by way of a proxy; with `snapshot`, that one. */
async function newMount(t: TestContext, snapshot = ''): Promise<Mounted & { proxy: Proxy }> {
  const proxy = await Proxy.start(sshd.port)
  const env = { CAIRN_RSH: sshd.rsh(proxy.port).join(' '), CAIRN_REMOTE_PATH: CAIRN }
  const mounted = await mountWith(t, env, [`far:${repository.location}${snapshot}`], '--workers', '1')
  return { ...mounted, proxy }
}

/** Starts a program that reads, and waits until its read is under way. */
async function startReader(...command: string[]): Promise<ChildProcess> {
  const [program = '', ...args] = command
  const reader = spawn(program, args, { stdio: 'ignore' })
  const proc = `/proc/${reader.pid}`
  await until(() => {
    assert.equal(reader.exitCode, null, command.join(' '))
    const where = readFileSync(`${proc}/stack`, 'latin1')
    if (!where.includes('folio_wait')) return where.includes('fuse_')
    // For a page of the file it has opened, not of the program itself.
    return existsSync(`${proc}/fd/3`) && command.includes(readlinkSync(`${proc}/fd/3`))
  })
  return reader
}

/** Resolves when it is there. */
async function untilThere(path: string): Promise<void> {
  return access(path).catch(() => untilThere(path))
}

async function endOf(reader: ChildProcess): Promise<number | NodeJS.Signals | null> {
  if (reader.exitCode === null && reader.signalCode === null) await once(reader, 'exit')
  return reader.exitCode ?? reader.signalCode
}

describe('a mount of a far repository', { skip: SKIP_UNLESS_FUSE || SKIP_WITHOUT_SSHD }, () => {
  it('connects again when the connection is cut, and shows what is new', async (t) => {
    const { directory, proxy, stderr } = await newMount(t)
    const inside = `${directory}/snapshot-1`
    assert.deepEqual(await readFile(`${inside}/one`), readFileSync(`${source}/one`))
    proxy.cut()
    assert.deepEqual(await readFile(`${inside}/two`), readFileSync(`${source}/two`))
    proxy.cut()
    const copy = newFolder()
    writeFileSync(`${copy}/new`, 'new')
    await repository.create([copy], { name: 'later' })
    await untilThere(`${directory}/later`)
    assert.equal(await readFile(`${directory}/later${copy}/new`, 'utf8'), 'new')
    assert.match(stderr(), /^cairn: mounted on [^\n]*\n$/)
  })

  it('fails as long as the machine cannot be reached, says why, and then goes on', async (t) => {
    const { directory, proxy, stderr } = await newMount(t, '::snapshot-1')
    proxy.isClosed = true
    proxy.cut()
    await assert.rejects(readFile(`${directory}/one`), { code: 'EIO' })
    assert.equal((await readdir(directory)).length, 4)
    assert.match(stderr(), /\ncairn: warning: cannot read snapshot-1\/one: Cannot open far:.*\n$/)
    proxy.isClosed = false
    const read = async (): Promise<Buffer> => readFile(`${directory}/one`).catch(read)
    assert.deepEqual(await read(), readFileSync(`${source}/one`))
  })

  it('lets go at once of who is interrupted while the machine does not answer', async (t) => {
    const { directory, proxy, stderr } = await newMount(t, '::snapshot-1')
    await readdir(directory)
    proxy.stall()
    for (const command of [
      ['cat', `${directory}/one`],
      ['dd', 'iflag=direct', 'bs=1M', 'of=/dev/null', `if=${directory}/two`],
      ['ls', `${directory}/folder`],
    ])
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL', 'SIGALRM'] as const) {
        const reader = await startReader(...command)
        reader.kill('SIGWINCH') // which ends nothing
        reader.kill(signal)
        assert.equal(await endOf(reader), signal, command.join(' '))
      }
    // The connection does not count as broken yet.
    assert.deepEqual([proxy.connections, stderr().split('\n').length], [1, 2])
    proxy.resume()
    assert.deepEqual(await readFile(`${directory}/one`), readFileSync(`${source}/one`))
    assert.equal((await readdir(`${directory}/folder`)).length, 20_000)
  })

  it('fails nobody for a signal that his program takes note of', async (t) => {
    const { directory, proxy } = await newMount(t, '::snapshot-1')
    await readdir(directory)
    proxy.stall()
    // Perl, as C, goes on reading only if reading did not fail.
    const script = `$SIG{USR1} = sub { $seen++ }; opendir(D, $ARGV[0]) or die "$!"; @names = readdir(D); die "$!" if $!; exit(@names == 20002 && $seen ? 7 : 1)`
    const reader = await startReader('perl', '-e', script, `${directory}/folder`)
    reader.kill('SIGUSR1')
    await until(() => /^SigQ:/m.test(readFileSync(`/proc/${reader.pid}/status`, 'latin1')))
    proxy.resume()
    assert.equal(await endOf(reader), 7)
  })

  it('ends while reads are under way, by a signal and by umount', async (t) => {
    for (const way of ['signal', 'umount']) {
      const { directory, proxy, process: server, end } = await newMount(t, '::snapshot-1')
      await readdir(directory)
      proxy.stall()
      const readers = await Promise.all(['one', 'two'].map((name) => startReader('cat', `${directory}/${name}`)))
      if (way === 'signal') assert.equal(await end(), 0)
      else {
        for (const reader of readers) reader.kill('SIGKILL')
        for (const reader of readers) await endOf(reader)
        unmount(directory)
        await until(() => server.exitCode !== null)
        assert.equal(server.exitCode, 0)
      }
      assert.ok(!isMounted(directory))
      for (const reader of readers) assert.equal(await endOf(reader), way === 'signal' ? 1 : 'SIGKILL')
    }
  })
})
