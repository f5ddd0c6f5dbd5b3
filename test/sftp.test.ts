/** Repositories on a machine that has SFTP and nothing else, by a real SSH server on loopback. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { newFileSystem } from '../src/platform/testing.ts'
import { LocalStorage } from '../src/storage/local/local-storage.ts'
import { openStorage } from '../src/storage/location.ts'
import type { Storage } from '../src/storage/storage.ts'
import { describeStorage } from '../src/storage/suite.ts'
import { Proxy, SKIP_WITHOUT_SSHD, type Sshd, startSshd } from './sshd.ts'
import { TestRepository, cairn, expectSound, newFolder } from './testing.ts'
import { digestTree } from './tree-digest.ts'

const MIB = 1 << 20

let sshd: Sshd

describe('over SFTP', { skip: SKIP_WITHOUT_SSHD }, () => {
  before(async () => {
    sshd = await startSshd()
  })
  after(() => sshd.stop())

  describeStorage('a folder of another machine', async () => open(`${newFolder()}/repo`, { create: true }))

  it('the command line does all that it does with a folder, and others may use the folder itself', async () => {
    const folder = newFolder()
    const source = newFolder()
    for (let i = 0; i < 50; i++) writeFileSync(`${source}/f${i}`, `content ${i} `.repeat(i * 100))
    writeFileSync(`${source}/large`, randomBytes(20 * MIB))
    const repository = `sftp:${userInfo().username}@far:${folder}/repo`
    const env = { CAIRN_RSH: sshd.rsh().join(' '), CAIRN_PASSPHRASE: 'secret' }
    const run = (...args: string[]): string => {
      const { status, stdout, stderr } = cairn(args, { env })
      assert.equal(status, 0, `${args.join(' ')}: ${stderr}`)
      return stdout
    }
    run('init', '-e', 'repokey', repository)
    run('create', `${repository}::one`, source)
    run('create', `${folder}/repo::two`, source)
    assert.match(run('list', '--short', repository), /^one\ntwo\n$/)
    run('delete', `${repository}::one`)
    run('compact', '--threshold', '0', repository)
    run('check', '--read-data', repository)
    const target = newFolder()
    run('restore', '-r', repository, 'two', '--target', target)
    assert.deepEqual(digestTree(path.join(target, source)), digestTree(source))
    assert.equal(cairn(['list', `sftp://far${folder}/none`], { env }).status, 10)
    assert.match(cairn(['init', '-e', 'none', repository], { env }).stderr, /there is one already/)
  })

  it('puts objects where a local storage finds them, and the other way round', async () => {
    const folder = `${newFolder()}/repo`
    const far = await open(folder, { create: true })
    const near = await LocalStorage.open(folder)
    await far.put('packs/ab/abcd', Buffer.from('from afar'))
    await near.put('index/x', Buffer.from('from here'))
    assert.equal(Buffer.from(await near.get('packs/ab/abcd')).toString(), 'from afar')
    assert.equal(Buffer.from(await far.get('index/x')).toString(), 'from here')
    assert.equal(await far.putIfAbsent('index/x', Buffer.from('y')), false)
    assert.equal(await near.putIfAbsent('packs/ab/abcd', Buffer.from('y')), false)
    await far.close()
  })

  it('makes a repository only where there is nothing else', async () => {
    const folder = newFolder()
    writeFileSync(`${folder}/file`, 'x')
    const refused = { code: 'INVALID_ARGUMENT' }
    await assert.rejects(open(folder, { create: true }), { ...refused, message: /it holds 'file'/ })
    await assert.rejects(open(`${folder}/file`, { create: true }), { ...refused, message: /it is a file/ })
    await assert.rejects(open(`${folder}/a/b`, { create: true }), { ...refused, message: /want a folder at/ })
    await assert.rejects(open(`${folder}/file`), { code: 'REPOSITORY_NOT_FOUND', message: /not a folder/ })
    await (await open(folder, { create: true, mayContain: ['file'] })).close()
  })

  it('lists no symbolic links, and nothing that has no valid key', async () => {
    const folder = newFolder()
    mkdirSync(`${folder}/packs`)
    writeFileSync(`${folder}/packs/UPPER`, 'x')
    writeFileSync(`${folder}/secret`, 'x')
    symlinkSync(`${folder}/secret`, `${folder}/packs/link`)
    const storage = await open(folder)
    assert.deepEqual(await Array.fromAsync(storage.list('packs/')), [])
    await storage.close()
  })

  it('leaves no half objects and no temporary files behind when the connection is cut', async () => {
    const folder = `${newFolder()}/repo`
    await (await open(folder, { create: true })).close()
    for (const cutAfter of [100_000, MIB, 3 * MIB]) {
      const proxy = await Proxy.start(sshd.port, { cutAfter })
      const storage = await open(folder, { rsh: sshd.rsh(proxy.port) })
      const code = 'STORAGE_UNAVAILABLE'
      await assert.rejects(storage.put('packs/a', randomBytes(4 * MIB)), { code, message: /^Cannot store packs\/a: / })
      await assert.rejects(storage.get('packs/a'), { code })
      await storage.close()
    }
    const storage = await open(folder)
    assert.deepEqual(await Array.fromAsync(storage.list('')), [])
    await storage.close()
  })

  it('notices a server that says nothing any more', async () => {
    const folder = `${newFolder()}/repo`
    const proxy = await Proxy.start(sshd.port, { stallAfter: MIB })
    const storage = await open(folder, { create: true, rsh: sshd.rsh(proxy.port), silenceMs: 1000 })
    await assert.rejects(storage.put('packs/a', randomBytes(4 * MIB)), { message: /nothing has arrived for 1 seconds/ })
    await storage.close()
  })

  it('resumes what was cut', async () => {
    const repository = await TestRepository.create({ encryption: 'none' })
    const source = newFolder()
    writeFileSync(`${source}/large`, randomBytes(40 * MIB))
    const create = (name: string, port: number) =>
      repository.create([source], {
        name,
        access: { location: `sftp://far${repository.location}`, rsh: sshd.rsh(port) },
      })
    const proxy = await Proxy.start(sshd.port, { cutAfter: 20 * MIB })
    await assert.rejects(create('cut', proxy.port), { code: 'STORAGE_UNAVAILABLE' })
    await create('next', sshd.port)
    await repository.expectRestored(source, 'next')
    await expectSound(repository)
  })

  it('says that a disk is full, and what is denied', async (t) => {
    const disk = newFileSystem(t, 'tmpfs', { mount: ['size=8m'] })?.directory
    if (disk === undefined) return
    const storage = await open(`${disk}/repo`, { create: true })
    await storage.put('packs/a', randomBytes(4 * MIB))
    assert.ok(((await storage.freeBytes?.()) ?? 0) < 5 * MIB)
    await assert.rejects(storage.put('packs/b', randomBytes(6 * MIB)), {
      code: 'STORAGE_FULL',
      message: /no space left/,
    })
    assert.deepEqual(
      (await Array.fromAsync(storage.list(''))).map(({ key }) => key),
      ['packs/a'],
    )
    await storage.put('packs/c', randomBytes(MIB))
    await storage.close()
  })

  it('makes a folder again that somebody removed', async () => {
    const folder = `${newFolder()}/repo`
    const storage = await open(folder, { create: true })
    await storage.put('packs/a', Buffer.from('x'))
    rmSync(`${folder}/packs`, { recursive: true })
    await assert.rejects(storage.put('packs/b', Buffer.from('x')))
    await storage.put('packs/b', Buffer.from('x'))
    chmodSync(folder, 0o700)
    await storage.close()
  })

  it('says what is wrong with the far end', async () => {
    const folder = newFolder()
    const code = 'STORAGE_UNAVAILABLE'
    await assert.rejects(open(folder, { rsh: [...sshd.rsh(), '-p', '1'] }), { code, message: /Connection refused/ })
    await assert.rejects(open(folder, { rsh: ['echo'] }), { code, message: /no SFTP|was cut/ })
    await assert.rejects(openStorage('sftp://far/~bob/x', { rsh: sshd.rsh() }), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(openStorage('sftp://far/~/no-such-folder-of-cairn', { rsh: sshd.rsh() }), {
      code: 'REPOSITORY_NOT_FOUND',
    })
  })
})

async function open(folder: string, options: object = {}): Promise<Storage> {
  return openStorage(`sftp://far${folder}`, { rsh: sshd.rsh(), ...options })
}
