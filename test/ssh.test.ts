/** Repositories on another machine, by a real SSH server on loopback. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { homedir, userInfo } from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { isCairnError } from '../src/base/errors.ts'
import { compactRepository } from '../src/operations/compact.ts'
import { setConfig } from '../src/operations/config.ts'
import { createSnapshot } from '../src/operations/create.ts'
import { deleteSnapshots } from '../src/operations/delete.ts'
import { listSnapshots } from '../src/operations/list.ts'
import type { RepositoryAccess } from '../src/operations/repository-access.ts'
import { openStorage } from '../src/storage/location.ts'
import { describeStorage } from '../src/storage/suite.ts'
import { Proxy, SKIP_WITHOUT_SSHD, type Sshd, hasIpv6, startSshd } from './sshd.ts'
import { TestRepository, cairn, expectSound, newFolder, startCairn } from './testing.ts'
import { digestTree } from './tree-digest.ts'

const MAIN = new URL('../src/main.ts', import.meta.url).pathname
const CAIRN = `${process.execPath} ${MAIN}`
const MIB = 1 << 20

let sshd: Sshd

describe('over SSH', { skip: SKIP_WITHOUT_SSHD }, () => {
  before(async () => {
    sshd = await startSshd()
  })
  after(() => sshd.stop())

  describeStorage('a folder of another machine', async () => {
    const location = `far:${newFolder()}/repo`
    return openStorage(location, { create: true, rsh: sshd.rsh(), remotePath: CAIRN })
  })

  it('the command line does all that it does with a folder', () => {
    const folder = newFolder()
    const source = newFolder()
    for (let i = 0; i < 50; i++) writeFileSync(`${source}/f${i}`, `content ${i} `.repeat(i * 100))
    const repository = `far:${folder}/repo`
    const env = { CAIRN_RSH: sshd.rsh().join(' '), CAIRN_REMOTE_PATH: CAIRN, CAIRN_PASSPHRASE: 'secret' }
    const run = (...args: string[]): string => {
      const { status, stdout, stderr } = cairn(args, { env })
      assert.equal(status, 0, `${args.join(' ')}: ${stderr}`)
      return stdout
    }
    run('init', '-e', 'repokey', repository)
    run('create', `${repository}::one`, source)
    writeFileSync(`${source}/new`, 'more')
    run('create', `${repository}::two`, source)
    assert.match(run('list', '--short', repository), /^one\ntwo\n$/)
    run('check', '--read-data', repository)
    run('rename', `${repository}::one`, 'first')
    run('delete', `${repository}::first`)
    run('compact', '--threshold', '0', repository)
    const target = newFolder()
    run('restore', '-r', repository, 'two', '--target', target)
    assert.deepEqual(digestTree(path.join(target, source)), digestTree(source))
    // As the local folder that it is, there.
    assert.match(run('list', '--short', `${folder}/repo`), /^two\n$/)
    const taken = cairn(['init', '-e', 'none', repository], { env })
    assert.match(taken.stderr, /there is one already|holds/)
    assert.equal(cairn(['list', `far:${folder}/none`], { env }).status, 10)
  })

  it('any way to write a location reaches it', async () => {
    const folder = newFolder()
    const name = `cairn-test-${process.pid}`
    await (await TestRepository.create({ folder, encryption: 'none' })).create([newSource()], { name: 'one' })
    const user = userInfo().username
    const locations = [
      `ssh://far${folder}/repo`,
      `${user}@far:${folder}/repo`,
      `ssh://${user}@127.0.0.1:${sshd.port}${folder}/repo`,
      ...(hasIpv6() ? [`ssh://${user}@[::1]:${sshd.port}${folder}/repo`] : []),
    ]
    for (const location of locations) {
      const { snapshots } = await listSnapshots(accessTo(location), {})
      assert.deepEqual(
        snapshots.map((snapshot) => snapshot.name),
        ['one'],
        location,
      )
    }
    // Below the home folder, which is where SSH starts a program.
    for (const location of [`far:${name}`, `far:~/${name}`, `ssh://far/./${name}`, `ssh://far/~/${name}`]) {
      const missing = { code: 'REPOSITORY_NOT_FOUND', message: new RegExp(`at ${homedir()}/${name}`) }
      await assert.rejects(listSnapshots(accessTo(location), {}), missing, location)
    }
  })

  it('only new data crosses the wire', async () => {
    const repository = await remoteRepository()
    const source = newFolder()
    writeFileSync(`${source}/large`, randomBytes(20 * MIB))
    const upBytes = async (name: string): Promise<number> => {
      const proxy = await Proxy.start(sshd.port)
      await repository.save(name, source, { rsh: sshd.rsh(proxy.port) })
      return proxy.bytesUp
    }
    assert.ok((await upBytes('first')) > 20 * MIB)
    assert.ok((await upBytes('unchanged')) < MIB / 4)
    writeFileSync(`${source}/copy`, 'x')
    cpSync(`${source}/large`, `${source}/copy`)
    assert.ok((await upBytes('known content')) < MIB / 2)
  })

  it('a key may be limited to a folder and to adding', async () => {
    const allowed = newFolder()
    const other = await TestRepository.create({ encryption: 'none' })
    sshd.limit(`command="${CAIRN} serve --append-only --restrict-to-path ${allowed} --storage-quota 30M",restrict`)
    const repository = await remoteRepository(allowed)
    const source = newSource()
    const limited = { ...repository.access, location: `limited:${allowed}/repo` }
    await createSnapshot(limited, { name: 'one', paths: [source], workers: 1 })
    await createSnapshot(limited, { name: 'two', paths: [source], workers: 1 })
    const denied = { code: 'STORAGE_DENIED' }
    for (const location of [`limited:${other.location}`, `limited:${allowed}/../x`, 'limited:/etc', 'limited:.'])
      await assert.rejects(listSnapshots({ ...limited, location }, {}), denied, location)
    await deleteSnapshots(limited, { selection: { wanted: ['one'] } })
    await assert.rejects(compactRepository(limited, { threshold: 0 }), denied)
    assert.deepEqual(repository.local.objects('condemned/'), [])
    writeFileSync(`${source}/large`, randomBytes(40 * MIB))
    await assert.rejects(createSnapshot(limited, { name: 'three', paths: [source], workers: 1 }), {
      code: 'STORAGE_FULL',
    })
    await expectSound(repository.local)
  })

  it('a repository that is append-only stays so for its clients', async () => {
    const repository = await remoteRepository()
    const source = newSource()
    await repository.save('one', source)
    await setConfig(repository.local.access, 'append_only', '1')
    await repository.save('two', source)
    await deleteSnapshots(repository.access, { selection: { wanted: ['one'] } })
    const denied = { code: 'STORAGE_DENIED', message: /append-only/ }
    await assert.rejects(setConfig(repository.access, 'append_only', '0'), denied)
    for (const access of [repository.access, repository.local.access])
      await assert.rejects(compactRepository(access, { threshold: 0 }), denied)
    assert.deepEqual(repository.local.objects('condemned/'), [])
    await expectSound(repository.local)

    // Whoever can write to the folder itself may turn it off.
    await setConfig(repository.local.access, 'append_only', '0')
    await compactRepository(repository.access, { threshold: 0 })
    await repository.local.expectRestored(source, 'two')
    await expectSound(repository.local)
  })

  for (const mibs of [0.003, 0.01, 1, 20]) {
    it(`a connection that is cut after ${mibs} MiB loses nothing, and the next run resumes`, async () => {
      const repository = await remoteRepository()
      const source = newSource()
      await repository.save('before', source)
      writeFileSync(`${source}/large`, randomBytes(32 * MIB))
      const proxy = await Proxy.start(sshd.port, { cutAfter: mibs * MIB })
      assert.deepEqual(await repository.start('cut', source, proxy.port).ended, [1, 'Cannot'])
      const whole = await Proxy.start(sshd.port)
      await repository.save('next', source, { rsh: sshd.rsh(whole.port) })
      if (mibs === 20) assert.ok(whole.bytesUp < 24 * MIB, 'what had been stored was sent again')
      await repository.local.expectRestored(source, 'next')
      await expectSound(repository.local)
    })
  }

  it('a connection that stalls is noticed', async () => {
    const repository = await remoteRepository()
    const source = newSource()
    writeFileSync(`${source}/large`, randomBytes(16 * MIB))
    const proxy = await Proxy.start(sshd.port, { stallAfter: 2 * MIB })
    await assert.rejects(repository.save('stalled', source, { rsh: sshd.rsh(proxy.port), silenceMs: 3000 }), {
      code: 'STORAGE_UNAVAILABLE',
      message: /nothing has arrived for 3 seconds/,
    })
    await repository.save('next', source)
    await expectSound(repository.local)
  })

  it('a connection that flips bits is given up, and nothing wrong is stored', async () => {
    const repository = await remoteRepository()
    const source = newSource()
    writeFileSync(`${source}/large`, randomBytes(4 * MIB))
    for (const flipAt of [10, 2000, 5000, MIB]) {
      const proxy = await Proxy.start(sshd.port, { flipAt })
      await assert.rejects(repository.save(`flip ${flipAt}`, source, { rsh: sshd.rsh(proxy.port) }), {
        code: 'STORAGE_UNAVAILABLE',
      })
    }
    await repository.save('next', source)
    await expectSound(repository.local)
  })

  it('a slow connection is only slow', async () => {
    const repository = await remoteRepository()
    const source = newSource()
    writeFileSync(`${source}/large`, randomBytes(MIB))
    const proxy = await Proxy.start(sshd.port, { bytesPerSecond: MIB / 4 })
    await repository.save('slow', source, { rsh: sshd.rsh(proxy.port) })
    await expectSound(repository.local)
  })

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`${signal} to all processes of a terminal leaves a repository that the next run goes on with`, async () => {
      const repository = await remoteRepository()
      const source = newSource()
      writeFileSync(`${source}/large`, randomBytes(64 * MIB))
      const { child, ended } = repository.start('interrupted', source, sshd.port)
      while (repository.local.objects('packs/').length < 2 && child.exitCode === null) await setTimeout(20)
      if (child.exitCode === null) process.kill(-(child.pid as number), signal)
      assert.deepEqual(await ended, [signal === 'SIGINT' ? 130 : 143, 'Interrupted'])
      // What it had stored is named for the next run, and it has ended by its own hand.
      assert.deepEqual(repository.local.objects('sessions/'), [])
      assert.ok(repository.local.objects('index/').length > 0)
      await repository.save('next', source)
      await expectSound(repository.local)
    })
  }

  it('says what is wrong with the far end', async () => {
    const rsh = sshd.rsh()
    const open = (options: object, location = 'far:/x'): Promise<unknown> => openStorage(location, { rsh, ...options })
    const code = 'STORAGE_UNAVAILABLE'
    await assert.rejects(open({ remotePath: 'no-cairn' }), { code, message: /no-cairn.*not found.*--remote-path/ })
    await assert.rejects(open({ remotePath: 'echo' }), { code, message: /answers 'serve', and is no 'cairn serve'/ })
    await assert.rejects(open({ rsh: [...rsh, '-o', 'User=nobody-at-all'] }), { code, message: /Permission denied/ })
    await assert.rejects(open({ rsh: [...rsh, '-p', '1'] }), { code, message: /Connection refused/ })
    await assert.rejects(open({ rsh: ['no-ssh'] }), { code, message: /there is no program no-ssh on this machine/ })
    await assert.rejects(open({ remotePath: 'printf "cairn serve 9\\n"; :' }), { code: 'FORMAT_UNSUPPORTED' })
    const storage = await openStorage(`far:${newFolder()}/new`, {
      create: true,
      rsh,
      remotePath: `echo Welcome; ${CAIRN}`,
    })
    await storage.close()
  })

  it('a run that ends leaves no process behind', async () => {
    const repository = await remoteRepository()
    await repository.save('one', newSource())
    assert.equal(spawnSync('pgrep', ['-x', '-P', String(process.pid), 'ssh']).stdout.toString(), '')
    const storage = await openStorage(repository.access.location, repository.access)
    await storage.close()
    await assert.rejects(storage.get('config'), (error) => isCairnError(error))
  })
})

function accessTo(location: string, keyFolder = newFolder()): RepositoryAccess {
  return { location, keyFolder, askPassphrase: async () => undefined, rsh: sshd.rsh(), remotePath: CAIRN }
}

/** A folder with a few small files. */
function newSource(): string {
  const source = newFolder()
  mkdirSync(`${source}/sub`)
  for (let i = 0; i < 10; i++) writeFileSync(`${source}/sub/f${i}`, `content ${i}`)
  return source
}

/** A repository that is reached over SSH, and as the folder that it is. */
async function remoteRepository(folder = newFolder()) {
  const local = await TestRepository.create({ folder, encryption: 'none' })
  const access = { ...accessTo(`far:${local.location}`, local.access.keyFolder), cacheFolder: newFolder() }
  const save = (name: string, source: string, options: Partial<RepositoryAccess> = {}): Promise<unknown> =>
    createSnapshot({ ...access, ...options }, { name, paths: [source], workers: 1 })
  /** Saves in a process of its own; `ended` is its exit code and the first word of its error. */
  const start = (name: string, source: string, port: number) => {
    const env = { CAIRN_RSH: sshd.rsh(port).join(' '), CAIRN_REMOTE_PATH: CAIRN }
    const child = startCairn(['create', `${access.location}::${name}`, source], { env })
    const said = child.stderr?.toArray() ?? Promise.resolve([])
    const ended = new Promise<[code: number | null, said: string]>((resolve) => {
      child.on('close', (code) => {
        void said.then((pieces) => {
          const text = Buffer.concat(pieces).toString()
          resolve([code, /^cairn: (?:error: )?(\w+)/m.exec(text)?.[1] ?? text])
        })
      })
    })
    return { child, ended }
  }
  return { local, access, save, start }
}
