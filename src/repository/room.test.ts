/** Stores that are full, or must not become so. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, rmdirSync, statfsSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { isCairnError } from '../base/errors.ts'
import { testBytes } from '../chunker/testing.ts'
import { skip } from '../platform/testing.ts'
import { LocalStorage } from '../storage/local/local-storage.ts'
import { MemoryStorage } from '../storage/memory/memory-storage.ts'
import type { Storage } from '../storage/storage.ts'
import { FaultyStorage } from '../storage/testing.ts'
import { DEFAULT_SETTINGS, type RepositorySettings } from './config.ts'
import { type TestRepository, commitChunks, keysOf, newTestRepository, reopen, saveChunks } from './testing.ts'
import { WriteSession } from './write-session.ts'

const MIB = 1 << 20

/** A store that says how much is free: what it had minus what lies in it. */
class SmallStorage extends FaultyStorage {
  readonly #sizeBytes: number

  constructor(inner: Storage, sizeBytes: number) {
    super(inner)
    this.#sizeBytes = sizeBytes
  }

  override async freeBytes(): Promise<number> {
    return this.#sizeBytes - (await bytesIn(this))
  }
}

async function bytesIn(storage: Storage): Promise<number> {
  return (await Array.fromAsync(storage.list(''))).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
}

/** Packs that hold one chunk each, not compressible, in 100 KiB. */
function chunksOf(count: number): Buffer[] {
  return Array.from({ length: count }, (_, i) => Buffer.from(testBytes(`chunk ${i}`, 100_000)))
}

async function withSettings(
  storage: Storage,
  settings: Partial<RepositorySettings>,
): Promise<TestRepository & { ids: Uint8Array[]; old: Buffer[] }> {
  const made = await newTestRepository({ storage, encryption: 'none' })
  const old = [Buffer.from('old')]
  const { ids } = await commitChunks(made.repository, old)
  await made.repository.changeSettings(settings)
  return { ...made, repository: await reopen(made), ids, old }
}

/** Saves chunks, a pack each, until one is refused. */
async function saveUntilFull(
  { repository }: TestRepository,
  session: WriteSession,
  chunks: readonly Buffer[],
): Promise<Error> {
  for (const chunk of chunks) {
    try {
      await saveChunks(repository, session, [chunk])
    } catch (error) {
      assert.ok(isCairnError(error, 'STORAGE_FULL'), String(error))
      return error
    }
  }
  return assert.fail('everything was stored')
}

describe('the reserve', () => {
  it('is not touched by packs, and is there for what ends the run', async () => {
    const storage = new SmallStorage(new MemoryStorage(), MIB)
    const made = await withSettings(storage, { additionalFreeSpace: MIB >> 1 })
    const session = await WriteSession.open(made.repository)
    const error = await saveUntilFull(made, session, chunksOf(10))
    assert.match(
      error.message,
      /a pack of 97\.\d KiB in memory: \d+ KiB are free and 512 KiB are to stay free; .*'cairn config memory additional_free_space SIZE'/,
    )
    const free = await storage.freeBytes()
    assert.ok(free >= MIB >> 1 && free < (MIB >> 1) + 101_000, `${free} bytes are free`)
    assert.ok(session.packs.length > 3)
    await storage.put('packs/filler', new Uint8Array(free - (MIB >> 2)))
    await session.abandon()
    assert.equal((await keysOf(storage, `index/${session.id}-`)).length, 1)
    assert.deepEqual(await keysOf(storage, 'sessions/'), [])
  })

  it('holds when many packs are on their way at once', async () => {
    const storage = new SmallStorage(new MemoryStorage(), MIB)
    const made = await withSettings(storage, { additionalFreeSpace: MIB >> 1 })
    const session = await WriteSession.open(made.repository)
    const results = await Promise.allSettled(chunksOf(10).map((chunk) => saveChunks(made.repository, session, [chunk])))
    assert.ok(results.some(({ status }) => status === 'fulfilled'))
    assert.ok(results.some(({ status }) => status === 'rejected'))
    assert.ok((await storage.freeBytes()) >= MIB >> 1)
  })

  it('asks nothing of a store that cannot tell, and nothing where it is off', async () => {
    const made = await withSettings(new MemoryStorage(), { additionalFreeSpace: 2 ** 50 })
    const session = await WriteSession.open(made.repository)
    await saveChunks(made.repository, session, chunksOf(2))
    await session.commit({})
    const off = await withSettings(new SmallStorage(new MemoryStorage(), 1000), {})
    const other = await WriteSession.open(off.repository)
    await saveChunks(off.repository, other, chunksOf(2))
    await other.commit({})
  })
})

describe('the quota', () => {
  it('is not passed by packs, and counts what was there before', async () => {
    const storage = new MemoryStorage()
    const made = await withSettings(storage, { storageQuota: 500_000 })
    for (const [first, count] of [
      [0, 2],
      [2, 2],
    ] as const) {
      const session = await WriteSession.open(await reopen(made))
      const repository = made.repository
      await repository.loadIndex()
      await saveChunks(repository, session, chunksOf(10).slice(first, first + count))
      await session.commit({})
    }
    const before = await bytesIn(storage)
    assert.ok(before > 400_000 && before < 500_000)
    const session = await WriteSession.open(made.repository)
    const error = await saveUntilFull(made, session, chunksOf(6).slice(4))
    assert.match(
      error.message,
      /\d{3} KiB are stored and the quota is 488 KiB; .*'cairn config memory storage_quota SIZE'/,
    )
    await session.abandon()
    assert.ok((await bytesIn(storage)) <= 500_000)
    // A run that adds nothing but its snapshot is no matter of the quota.
    await made.repository.changeSettings({ storageQuota: 1 })
    const small = await WriteSession.open(await reopen(made))
    await small.commit({ run: 'small' })
  })
})

describe('settings', () => {
  it('are there for all who open the repository later, in every mode', async () => {
    for (const encryption of ['repokey', 'none'] as const) {
      const made = await newTestRepository({ encryption })
      assert.deepEqual(await made.repository.changeSettings({ storageQuota: 7 }), {
        ...DEFAULT_SETTINGS,
        storageQuota: 7,
      })
      await made.repository.changeSettings({ additionalFreeSpace: 9 })
      assert.deepEqual((await reopen(made)).config, {
        ...made.repository.config,
        settings: { ...DEFAULT_SETTINGS, additionalFreeSpace: 9, storageQuota: 7 },
      })
    }
  })

  it('do not lose a change that another process makes meanwhile', async () => {
    for (const kind of ['get', 'put'] as const) {
      const made = await newTestRepository({ encryption: 'none' })
      const faulty = new FaultyStorage(made.storage)
      const repository = await reopen(made, faulty)
      let once = true
      const original = faulty[kind].bind(faulty) as (...args: unknown[]) => Promise<never>
      Object.assign(faulty, {
        // After it was read, or after it was replaced.
        async [kind](...args: unknown[]): Promise<unknown> {
          const result: unknown = await original(...args)
          if (once) {
            once = false
            await made.repository.changeSettings({ additionalFreeSpace: 9 })
          }
          return result
        },
      })
      await repository.changeSettings({ storageQuota: 7 })
      assert.deepEqual((await reopen(made)).config.settings, {
        ...DEFAULT_SETTINGS,
        additionalFreeSpace: 9,
        storageQuota: 7,
      })
    }
  })

  it('of a repository that is append-only bind all that open it later, and can be changed by them', async () => {
    const made = await newTestRepository({ encryption: 'repokey' })
    await made.storage.put('packs/aa/aa', Buffer.from('a pack'))
    await made.repository.changeSettings({ appendOnly: true })
    const denied = { code: 'STORAGE_DENIED', message: /append-only/ }
    const { storage } = await reopen(made)
    await assert.rejects(storage.delete('packs/aa/aa'), denied)
    await assert.rejects(storage.put('packs/aa/aa', Buffer.from('another')), denied)
    await (await reopen(made)).changeSettings({ appendOnly: false })
    await (await reopen(made)).storage.delete('packs/aa/aa')
  })

  it('that cannot be stored leave the repository as it was', async () => {
    const made = await newTestRepository({ encryption: 'none' })
    const faulty = new FaultyStorage(made.storage)
    faulty.fail({ kind: 'put', prefix: 'config' })
    const repository = await reopen(made, faulty)
    await assert.rejects(repository.changeSettings({ storageQuota: 7 }), { code: 'STORAGE_UNAVAILABLE' })
    assert.deepEqual((await reopen(made)).config, made.repository.config)
  })
})

/** A disk of so many MiB, or `undefined` after the test was skipped. */
function mountDisk(t: TestContext, mebibytes: number): string | undefined {
  const folder = mkdtempSync(path.join(tmpdir(), 'cairn-disk-'))
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', folder])
  if (status !== 0) {
    rmdirSync(folder)
    skip(t, 'no disk can be mounted here')
    return undefined
  }
  t.after(() => {
    execFileSync('umount', [folder])
    rmdirSync(folder)
  })
  return folder
}

/** Chunks that fill one pack. */
function onePack(number: number): Buffer[] {
  return Array.from({ length: 4 }, (_, i) => Buffer.from(testBytes(`pack ${number}, chunk ${i}`, 4 * MIB)))
}

const freeBytes = (folder: string): number => {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}

async function prepare(disk: string, settings: Partial<RepositorySettings>) {
  return withSettings(await LocalStorage.create(path.join(disk, 'repo')), settings)
}

/** Stores packs until the disk is full; returns how many it took. */
async function fill(made: TestRepository, session: WriteSession): Promise<number> {
  for (let packs = 0; ; packs++) {
    try {
      await saveChunks(made.repository, session, onePack(packs))
    } catch (error) {
      assert.ok(isCairnError(error, 'STORAGE_FULL'), String(error))
      assert.match(error.message, /free/)
      assert.deepEqual(readdirSync(path.join(made.storage.location, '.tmp')), [])
      return packs
    }
  }
}

async function assertOldReads(made: Awaited<ReturnType<typeof prepare>>): Promise<void> {
  const repository = await reopen(made)
  await repository.loadIndex()
  for (const [i, id] of made.ids.entries()) assert.deepEqual(Buffer.from(await repository.readChunk(id)), made.old[i])
}

describe('a real disk', () => {
  it('keeps its reserve, and the run after has what was stored', async (t) => {
    const disk = mountDisk(t, 100)
    if (!disk) return
    const made = await prepare(disk, { additionalFreeSpace: 40 * MIB })
    const session = await WriteSession.open(made.repository)
    const packs = await fill(made, session)
    assert.equal(packs, 3)
    assert.ok(freeBytes(disk) >= 40 * MIB, `${freeBytes(disk)} bytes are free`)
    await session.abandon()
    assert.deepEqual(await keysOf(made.storage, 'sessions/'), [])
    await assertOldReads(made)
    const next = await WriteSession.open(await reopen(made))
    assert.equal(next.adopted.packs, packs)
    await next.commit({})
    await assertOldReads(made)
  })

  it('that is full is a clean error: nothing half-stored stays, older snapshots read, and the run can be closed', async (t) => {
    const disk = mountDisk(t, 60)
    if (!disk) return
    const made = await prepare(disk, {})
    const session = await WriteSession.open(made.repository)
    const packs = await fill(made, session)
    assert.equal(packs, 3)
    await assertOldReads(made)
    // Not one block is left, so not even the index can be stored.
    const filler = path.join(disk, 'filler')
    writeFileSync(filler, Buffer.alloc(freeBytes(disk)))
    await session.abandon()
    const [key = '', ...others] = await keysOf(made.storage, 'sessions/')
    assert.deepEqual([key, ...others], [`sessions/${session.id}`])
    assert.deepEqual(await keysOf(made.storage, `index/${session.id}-`), [])
    assert.deepEqual(readdirSync(path.join(made.storage.location, '.tmp')), [])
    await assertOldReads(made)

    // Time goes by, then there is room again.
    rmSync(filler)
    utimesSync(path.join(made.storage.location, key), new Date(0), new Date(0))
    const repository = await reopen(made)
    const next = await WriteSession.open(repository)
    assert.equal(next.adopted.packs, packs)
    await saveChunks(repository, next, onePack(0))
    assert.equal(next.packs.length, 0)
    await next.commit({})
    assert.deepEqual(await keysOf(made.storage, 'sessions/'), [])
  })

  it('that is full lets a run that could not be closed be closed once there is room', async (t) => {
    const disk = mountDisk(t, 40)
    if (!disk) return
    const made = await prepare(disk, {})
    const session = await WriteSession.open(made.repository)
    await fill(made, session)
    const filler = path.join(disk, 'filler')
    writeFileSync(filler, Buffer.alloc(freeBytes(disk)))
    await session.abandon()
    rmSync(filler)
    await session.abandon()
    assert.deepEqual(await keysOf(made.storage, 'sessions/'), [])
    assert.equal((await keysOf(made.storage, `index/${session.id}-`)).length, 1)
  })
})
