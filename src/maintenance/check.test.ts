import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { CairnError } from '../base/errors.ts'
import { asChunkId } from '../base/ids.ts'
import { testBytes } from '../chunker/testing.ts'
import { blake3 } from '../codec/hash.ts'
import { readIndex, segmentsOf } from '../repository/low-level.ts'
import { openRepository } from '../repository/repository.ts'
import {
  type MemoryKeyFiles,
  TEST_PASSPHRASE,
  type TestRepository,
  answerOnce,
  keysOf,
  newTestRepository,
  reopen,
  saveChunks,
} from '../repository/testing.ts'
import { WriteSession } from '../repository/write-session.ts'
import { encodeAttachment } from '../snapshot/attachment.ts'
import { encodeContent } from '../snapshot/content.ts'
import { testRef } from '../snapshot/testing.ts'
import type { MemoryStorage } from '../storage/memory/memory-storage.ts'
import type { Storage } from '../storage/storage.ts'
import { checked, objectsOf, openSnapshot } from './testing.ts'

const FILES = { a: 'content of a', b: 'content of b', c: 'content of c' }

/** Commits a snapshot from a repository opened anew, as another process would. */
async function commit(made: TestRepository, name: string, files: Readonly<Record<string, string>>): Promise<void> {
  await (await openSnapshot(await reopen(made), name, files)).commit()
}

function unreachable(): never {
  throw new Error('content of one chunk needs no list')
}

/** Packs of file content: their headers say so. */
async function dataPacksOf(storage: Storage): Promise<string[]> {
  const keys = await keysOf(storage, 'packs/')
  const kinds = await Promise.all(keys.map(async (key) => (await storage.get(key))[6]))
  return keys.filter((_, i) => kinds[i] === 1)
}

describe('check()', () => {
  it('finds nothing in an empty repository', async () => {
    const { repository } = await newTestRepository()
    const result = await checked(repository, { readData: true })
    assert.deepEqual(result.errors, [])
    assert.deepEqual([result.packs, result.snapshots, result.chunks, result.packsRead], [0, 0, 0, 0])
  })

  it('looks only at what it is told to', async () => {
    const made = await newTestRepository({ encryption: 'none' })
    await commit(made, 'first', FILES)
    await commit(made, 'second', { ...FILES, d: 'more' })
    const { repository, storage } = made
    const one = await checked(repository, { snapshot: 'first' })
    assert.deepEqual([one.snapshots, one.trees], [1, 1])
    await assert.rejects(checked(repository, { snapshot: 'third' }), { code: 'NOT_FOUND' })
    const noSnapshots = await checked(repository, { scope: 'repository' })
    assert.deepEqual([noSnapshots.snapshots, noSnapshots.trees, noSnapshots.bytesRead], [0, 0, 0])

    const [dataPack = ''] = await dataPacksOf(storage)
    await storage.delete(dataPack)
    assert.deepEqual((await checked(repository, { scope: 'snapshots' })).errors, [])
    assert.deepEqual([...objectsOf(await checked(repository, { scope: 'repository' }))], [dataPack])
  })

  it('reads parts of the data that together are all of it', async () => {
    const made = await newTestRepository({ encryption: 'none' })
    for (let i = 0; i < 8; i++) await commit(made, `snapshot ${i}`, { file: testBytes(`${i}`, 200).toString('hex') })
    const { repository } = made
    const { packs } = await checked(repository)
    const parts = await Promise.all([1, 2, 3].map((part) => checked(repository, { readData: { part, of: 3 } })))
    assert.equal(
      parts.reduce((sum, { packsRead }) => sum + packsRead, 0),
      packs,
    )
    assert.ok(parts.every(({ packsRead }) => packsRead < packs))
    for (const [percent, count] of [
      [100, packs],
      [50, packs / 2],
      [0.01, 1],
    ] as const) {
      assert.equal((await checked(repository, { readData: { percent } })).packsRead, count)
    }
  })

  it('counts the files that are lost of every snapshot, also where it has looked already', async () => {
    const made = await newTestRepository({ encryption: 'none' })
    await commit(made, 'first', FILES)
    await commit(made, 'same', FILES)
    await commit(made, 'other', { ...FILES, d: 'content of d' })
    const { repository, storage } = made
    const dataPacks = await dataPacksOf(storage)
    const sizes = await Promise.all(dataPacks.map(async (key) => (await storage.get(key)).length))
    await storage.delete(dataPacks[sizes.indexOf(Math.max(...sizes))] ?? '')
    const { errors } = await checked(repository)
    const affected = errors.flatMap(({ snapshot }) => (snapshot ? [snapshot] : []))
    assert.deepEqual(affected.map(({ name }) => name).sort(), ['first', 'other', 'same'])
    for (const { files, paths } of affected) assert.deepEqual([files, paths], [3, ['a', 'b', 'c']])
    assert.equal(errors.length, 4)
  })

  it('names no more than a few paths of a snapshot, and counts the rest', async () => {
    const made = await newTestRepository({ encryption: 'none' })
    const files = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`file ${i}`, `content ${i}`]))
    await commit(made, 'many', files)
    for (const key of await dataPacksOf(made.storage)) await made.storage.delete(key)
    const { errors } = await checked(made.repository)
    assert.equal(errors.length, 2)
    const { snapshot, message = '' } = errors.find((error) => error.snapshot) ?? {}
    assert.deepEqual([snapshot?.files, snapshot?.paths.length], [100, 5])
    assert.match(message, /100 files cannot be restored: file 0, file 1, .* and 95 more \(chunk [0-9a-f]{64} is lost/)
  })

  it('finds what is lost of attachments, of the folder itself and of what detects changes', async () => {
    const lost = encodeAttachment(testBytes('attachment', 5000), (data) => asChunkId(blake3(data)))
    const content = encodeContent([testRef(1)], unreachable)
    for (const [fields, files, told] of [
      [{ node: { xattrs: lost } }, 3, /3 files cannot be restored: a, b, c /],
      [{ node: { holes: lost } }, 3, /3 files cannot be restored: a, b, c /],
      [{ node: { holes: lost }, root: { xattrs: lost } }, 4, /4 files cannot be restored: a, b, c, \/ /],
      [{ root: { xattrs: lost } }, 1, /1 file cannot be restored: \/ /],
      [{ snapshot: { stamps: content } }, 0, /can be restored, but the next backup has to read all/],
      [{ snapshot: { samples: content } }, 0, /can be restored, but the next backup has to read all/],
      [{ snapshot: { furtherNames: content } }, 0, /can be restored, but a mount has to look at all of them/],
    ] as const) {
      const { repository } = await newTestRepository({ encryption: 'none' })
      await (await openSnapshot(repository, 'it', FILES, fields)).commit()
      const { errors } = await checked(repository)
      assert.deepEqual(
        errors.map(({ snapshot }) => snapshot?.files),
        [files],
      )
      assert.match(errors[0]?.message ?? '', told)
      assert.match(errors[0]?.message ?? '', /chunk [0-9a-f]{64} is lost/)
    }
  })

  it('finds the other copy of chunks that two runs have stored', async () => {
    const made = await newTestRepository({ encryption: 'none' })
    const one = await openSnapshot(await reopen(made), 'one', FILES)
    const two = await openSnapshot(await reopen(made), 'two', FILES)
    await one.commit()
    await two.commit()
    const packs = await keysOf(made.storage, 'packs/')
    assert.equal(packs.length, 4)
    for (const lost of packs) {
      for (const damage of ['missing', 'flipped']) {
        const storage = (made.storage as MemoryStorage).clone()
        const bytes = await storage.get(lost)
        bytes[60] = (bytes[60] ?? 0) ^ 1
        await (damage === 'missing' ? storage.delete(lost) : storage.put(lost, bytes))
        const { errors } = await checked(await reopen(made, storage), { readData: true })
        assert.deepEqual(
          errors.map(({ object }) => object),
          [lost],
        )
      }
    }
  })

  it('notes what runs that never committed have left, which is no error', async () => {
    const made = await newTestRepository()
    await commit(made, 'first', FILES)
    const before = await keysOf(made.storage)
    const { session } = await openSnapshot(await reopen(made), 'never', { other: 'content' })
    await session.flushIndex()
    await made.storage.put('packs/zz/other', Buffer.from('not ours'))
    await made.storage.put('index/other', Buffer.from('not ours'))
    const { errors, notes, orphanPacks } = await checked(await reopen(made), { readData: true })
    assert.deepEqual(errors, [])
    const added = (await keysOf(made.storage)).filter((key) => !before.includes(key) && /^(?:packs|index)/.test(key))
    assert.deepEqual(notes.map(({ object }) => object).sort(), added)
    assert.equal(orphanPacks, 3)
    await session.abandon()
  })

  it('names sessions, claims and key slots that cannot be read', async () => {
    const made = await newTestRepository()
    await commit(made, 'first', FILES)
    const [slot = ''] = await keysOf(made.storage, 'keys/')
    const [claim = ''] = await keysOf(made.storage, 'names/')
    const own = Buffer.from(await made.storage.get(slot)).toString()
    const session = await WriteSession.open(await reopen(made))
    const [key = ''] = await keysOf(made.storage, 'sessions/')
    const damages: Record<string, Uint8Array> = {
      [key]: (await made.storage.get(key)).map((byte, i) => (i === 70 ? byte ^ 1 : byte)),
      [claim]: Buffer.from('nobody'),
      'keys/11': Buffer.from('{'),
      'keys/22': Buffer.from(own.replace(made.repository.id, '0'.repeat(32))),
      [`condemned/${'ab'.repeat(16)}`]: Buffer.from('x'),
      [`waiting/${'ab'.repeat(16)}`]: Buffer.from('y'),
      'keys/33': Buffer.from(own.replace('argon2id', 'none')),
    }
    assert.deepEqual((await checked(await reopen(made))).errors, [])
    for (const [object, bytes] of Object.entries(damages)) {
      const storage = (made.storage as MemoryStorage).clone()
      await storage.put(object, bytes)
      const found = objectsOf(await checked(await reopen(made, storage)))
      assert.deepEqual([...found].slice(0, 1), [object])
    }
    await session.abandon()
    assert.equal(Buffer.from(await made.storage.get(slot)).toString(), own)
  })

  it('writes nothing', async () => {
    const made = await newTestRepository()
    await commit(made, 'first', FILES)
    const { storage } = made
    Object.assign(storage, { put: refuse, putIfAbsent: refuse, delete: refuse })
    assert.deepEqual((await checked(await reopen(made), { readData: true })).errors, [])
  })

  it('ends when it is told to, and when the store fails as a whole', async () => {
    const made = await newTestRepository()
    await commit(made, 'first', FILES)
    await assert.rejects(checked(made.repository, { readData: true, signal: AbortSignal.abort() }), {
      code: 'CANCELLED',
    })
    made.storage.list = () => {
      throw new CairnError('STORAGE_UNAVAILABLE', 'Cannot list: gone')
    }
    await assert.rejects(checked(made.repository), { code: 'STORAGE_UNAVAILABLE' })
  })
})

describe('check() beside other runs', () => {
  it('never takes a backup for damage, however they interleave', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(6), { minLength: 40, maxLength: 40 }), fc.boolean(), async (waits, readData) => {
        const made = await newTestRepository({ encryption: 'none' })
        await commit(made, 'before', FILES)
        // The check waits for some turns before each of its operations, while the backups go on.
        let step = 0
        const turn = async (): Promise<void> => {
          const turns = waits[step++ % waits.length] ?? 0
          for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
        }
        const { repository } = made
        const slow = slowed(made.storage, turn)
        const backups = (async () => {
          for (let i = 0; i < 4; i++)
            await commit(made, `run ${i}`, { ...FILES, own: `content ${i}`, [`file ${i}`]: 'x' })
        })()
        const { errors } = await checked(await openRepository(slow, unlocking(made)), { readData })
        await backups
        assert.deepEqual(errors, [])
        assert.deepEqual((await checked(repository)).errors, [])
      }),
      { numRuns: 25 },
    )
  })

  it('looks again when packs have been moved meanwhile, at whatever moment', async () => {
    const made = await newTestRepository({ encryption: 'none' })
    await commit(made, 'first', FILES)
    await commit(made, 'second', { ...FILES, d: 'content of d' })
    const operations = { count: 0 }
    await checked(await openRepository(counted(made.storage, operations), unlocking(made)), { readData: true })
    assert.ok(operations.count > 20, String(operations.count))
    let moved = 0
    for (let at = 1; at <= operations.count; at++) {
      const storage = (made.storage as MemoryStorage).clone()
      let left = at
      const view = slowed(storage, async () => {
        if (--left === 0) moved += await moveAll({ ...made, storage })
      })
      const repository = await openRepository(view, unlocking(made))
      for (const readData of [false, true]) {
        const { errors, snapshots } = await checked(repository, { readData })
        assert.deepEqual(errors, [], `moved at operation ${at}`)
        assert.equal(snapshots, 2)
      }
    }
    assert.ok(moved > 20)
  })

  it('still finds what is missing while the index changes all the time', async () => {
    const made = await newTestRepository({ encryption: 'none' })
    await commit(made, 'first', FILES)
    const [lost = ''] = await keysOf(made.storage, 'packs/')
    await made.storage.delete(lost)
    let runs = 0
    const view = slowed(made.storage, async () => {
      const name = `run ${runs++}`
      if (runs % 5 === 0) await commit(made, name, { own: name })
    })
    const { errors } = await checked(await openRepository(view, unlocking(made)))
    assert.ok(errors.some(({ object }) => object === lost))
    assert.ok(runs > 5)
  })
})

async function refuse(): Promise<never> {
  assert.fail('it writes')
}

function unlocking({ keyFiles }: { keyFiles: MemoryKeyFiles }): Parameters<typeof openRepository>[1] {
  return { keyFiles, askPassphrase: answerOnce(TEST_PASSPHRASE) }
}

/** The same storage for one client, which awaits `turn` before each of its operations and of the objects it lists. */
function slowed(storage: Storage, turn: () => Promise<void>): Storage {
  return {
    location: storage.location,
    get: async (...given) => (await turn(), storage.get(...given)),
    put: async (...given) => (await turn(), storage.put(...given)),
    putIfAbsent: async (...given) => (await turn(), storage.putIfAbsent(...given)),
    delete: async (...given) => (await turn(), storage.delete(...given)),
    close: () => storage.close(),
    async *list(...given) {
      await turn()
      for await (const object of storage.list(...given)) {
        yield object
        await turn()
      }
    },
  }
}

function counted(storage: Storage, operations: { count: number }): Storage {
  return slowed(storage, async () => void operations.count++)
}

/** Stores all chunks anew, in packs of their own, then deletes the old index objects and packs: what reclaiming space comes to. */
async function moveAll(made: TestRepository): Promise<number> {
  const repository = await reopen(made)
  await repository.loadIndex()
  const old = [...(await keysOf(made.storage, 'index/')), ...(await keysOf(made.storage, 'packs/'))]
  const reading = await readIndex(made.storage, repository.keys)
  const chunks: Uint8Array[] = []
  for (const { packs } of reading.objects()) {
    for (const pack of packs) {
      for (const { ids, chunks: count } of segmentsOf(pack)) {
        for (let i = 0; i < count; i++)
          chunks.push(Buffer.from(await repository.readChunk(ids.subarray(32 * i, 32 * i + 32))))
      }
    }
  }
  const session = await WriteSession.open(repository)
  const fresh = await newTestRepository({ encryption: 'none' })
  await fresh.repository.loadIndex()
  await saveChunks(fresh.repository, session, chunks)
  await session.commit({ moved: chunks.length })
  for (const key of old) await made.storage.delete(key)
  return 1
}
