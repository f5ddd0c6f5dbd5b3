/** Disks, quotas and file sizes that come to their end in the middle of a run of the command line. */
import assert from 'node:assert/strict'
import { closeSync, ftruncateSync, mkdirSync, openSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { type TestContext, before, describe, it } from 'node:test'
import { testBytes } from '../src/chunker/testing.ts'
import { hasPrograms, newFileSystem } from '../src/platform/testing.ts'
import { listSnapshots } from '../src/operations/list.ts'
import { TestRepository, cairn, expectSound, newFolder } from './testing.ts'

const MIB = 1 << 20
const old = newFolder()
const source = newFolder()

before(() => {
  writeFileSync(`${old}/f`, testBytes('old', MIB))
  mkdirSync(`${source}/sub`)
  for (let i = 0; i < 20; i++) writeFileSync(`${source}/sub/${i}`, testBytes(`full ${i}`, MIB))
})

const create = (repository: TestRepository, command: readonly string[] = []): ReturnType<typeof cairn> =>
  cairn(['create', `${repository.location}::new`, source, '--workers', '1', '-C', 'none'], { command })

/** A repository with one snapshot, on a small file system of its own; `fill` leaves so many bytes of it free. */
async function onSmallDisk(
  t: TestContext,
): Promise<{ repository: TestRepository; disk: string; fill: (freeBytes: number) => void } | undefined> {
  const disk = newFileSystem(t, 'tmpfs', { mount: ['size=64m'] })?.directory
  if (disk === undefined) return undefined
  const repository = await TestRepository.create({ encryption: 'none', folder: disk })
  await repository.create([old], { name: 'old' })
  const fill = (freeBytes: number): void => {
    rmSync(`${disk}/ballast`, { force: true })
    const { bavail, bsize } = statfsSync(disk)
    writeFileSync(`${disk}/ballast`, Buffer.alloc(Math.max(0, bavail * bsize - freeBytes)))
  }
  return { repository, disk, fill }
}

/** A run that came to the end of the space has said so, and left nothing behind but what the next run takes up. */
async function expectFull(
  repository: TestRepository,
  { status, stdout, stderr }: ReturnType<typeof cairn>,
  message: RegExp,
): Promise<void> {
  assert.equal(status, 1, stderr)
  assert.equal(stdout, '')
  assert.match(stderr, /^cairn: error: [^\n]+\n$/)
  assert.match(stderr, message)
  assert.deepEqual(readdirSync(`${repository.location}/.tmp`), [])
  const { snapshots } = await listSnapshots(repository.access)
  assert.deepEqual(
    snapshots.map(({ name }) => name),
    ['old'],
  )
  await repository.expectRestored(old, 'old')
  await expectSound(repository)
}

/** The next run succeeds, and nothing is stored twice. */
async function expectNext(repository: TestRepository): Promise<void> {
  const { status, stderr } = create(repository)
  assert.equal(status, 0, stderr)
  await repository.expectRestored(source, 'new')
  await expectSound(repository)
  assert.deepEqual(readdirSync(`${repository.location}/.tmp`), [])
  assert.deepEqual(repository.objects('sessions/'), [])
  const bytes = repository.packBytes()
  assert.ok(bytes < 21.3 * MIB, `${bytes} bytes stored of 21 MiB`)
}

const DISK_FULL = /the disk has no space left for .*free some space.*run again/

describe('a disk that is full', () => {
  it('ends the run at a pack, and the next one goes on from there', async (t) => {
    const small = await onSmallDisk(t)
    if (!small) return
    const { repository, fill } = small
    fill(18 * MIB) // room for the first pack of 16 MiB
    await expectFull(repository, create(repository), DISK_FULL)
    assert.ok(repository.packBytes() > 16 * MIB)
    fill(40 * MIB)
    await expectNext(repository)
  })

  it('ends the run wherever it is, and costs nothing that was saved', async (t) => {
    const small = await onSmallDisk(t)
    if (!small) return
    const { repository, fill } = small
    const ends = new Set<string>()
    // From no room for a session object to room for everything, by way of names, packs, index and commit.
    const needs = 21 * MIB
    for (const freeBytes of [0, 4096, 8192, 16_384, 32_768, MIB, needs, needs + 65_536, needs + 98_304]) {
      fill(freeBytes)
      const result = create(repository)
      if (result.status === 0) break
      await expectFull(repository, result, DISK_FULL)
      ends.add(/Cannot (?:store|write to) (\w+)/.exec(result.stderr)?.[1] ?? result.stderr)
    }
    t.diagnostic(`ended at: ${[...ends].join(', ')}`)
    assert.ok(ends.has('sessions') && ends.has('packs'))
    fill(40 * MIB)
    if (repository.objects('commits/').length === 1) await expectNext(repository)
  })

  it('leaves no half of a repository behind when it is made', async (t) => {
    const disk = newFileSystem(t, 'tmpfs', { mount: ['size=1m'] })?.directory
    if (disk === undefined) return
    const fill = openSync(`${disk}/ballast`, 'w')
    const passphrase = { env: { CAIRN_PASSPHRASE: 'secret' } }
    for (let free = 0; ; free += 4096) {
      ftruncateSync(fill, 0)
      const { bavail, bsize } = statfsSync(disk)
      writeFileSync(fill, Buffer.alloc(Math.max(0, bavail * bsize - free)))
      const { status, stderr } = cairn(['init', `${disk}/repo`], passphrase)
      if (status === 0) break
      assert.equal(status, 1, stderr)
      assert.match(stderr, /^cairn: error: [^\n]*no space left[^\n]*free some space[^\n]*\n$/)
      assert.ok(free < 100_000)
    }
    closeSync(fill)
    rmSync(`${disk}/ballast`)
    const { status, stderr } = cairn(['create', `${disk}/repo::n`, old, '-C', 'zstd'], passphrase)
    assert.equal(status, 1, stderr) // 1 MiB of it
    assert.match(stderr, DISK_FULL)
  })
})

describe('space that is to stay free', () => {
  it('is left, but for small objects, and the message says how to get at it', async (t) => {
    const small = await onSmallDisk(t)
    if (!small) return
    const { repository, fill, disk } = small
    assert.equal(cairn(['config', repository.location, 'additional_free_space', '8M']).status, 0)
    fill(26 * MIB)
    await expectFull(repository, create(repository), /are to stay free; .*additional_free_space SIZE', then run again/)
    const { bavail, bsize } = statfsSync(disk)
    assert.ok(bavail * bsize > 7.9 * MIB, `${bavail * bsize} bytes are free`)
    assert.ok(repository.packBytes() > 16 * MIB)
    fill(40 * MIB)
    await expectNext(repository)
  })
})

describe('a quota', () => {
  it('is kept, and once it is raised the next run goes on', async () => {
    const repository = await TestRepository.create({ encryption: 'none' })
    await repository.create([old], { name: 'old' })
    assert.equal(cairn(['config', repository.location, 'storage_quota', '20M']).status, 0)
    await expectFull(repository, create(repository), /the quota is 20.*storage_quota SIZE', then run again/)
    assert.equal(cairn(['config', repository.location, 'storage_quota', '40M']).status, 0)
    await expectNext(repository)
  })
})

describe('a limit to the size of files', () => {
  it('ends the run with a message that says so', async (t) => {
    if (!hasPrograms(t, 'prlimit')) return
    const repository = await TestRepository.create({ encryption: 'none' })
    await repository.create([old], { name: 'old' })
    await expectFull(repository, create(repository, ['prlimit', `--fsize=${8 * MIB}`]), /ulimit -f.*run again/)
    await expectNext(repository)
  })
})
