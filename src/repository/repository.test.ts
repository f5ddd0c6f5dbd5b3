import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { CairnError } from '../base/errors.ts'
import { asChunkId, toHex } from '../base/ids.ts'
import { COMPRESSION_CODES, type CompressionName } from '../codec/compression.ts'
import { testBytes } from '../chunker/testing.ts'
import { parseChunkerParams } from '../chunker/params.ts'
import { MemoryStorage } from '../storage/memory/memory-storage.ts'
import type { Storage } from '../storage/storage.ts'
import { type CrashPoint, FaultyStorage } from '../storage/testing.ts'
import { createRepository } from './create-repository.ts'
import { openRepository } from './repository.ts'
import {
  ALL_MODES,
  CHEAP_ARGON2,
  MemoryKeyFiles,
  TEST_PASSPHRASE,
  answerOnce,
  commitChunks,
  copyToMemory,
  keysOf,
  newTestRepository,
  reopen,
  saveChunks,
} from './testing.ts'
import { WriteSession } from './write-session.ts'

const MIB = 1 << 20

describe('createRepository()', () => {
  for (const encryption of ALL_MODES) {
    it(`writes a config, and a key slot where the mode has one (${encryption})`, async () => {
      const { storage, keyFiles, repository } = await newTestRepository({ encryption })
      const keys = await keysOf(storage)
      assert.deepEqual(
        keys.map((key) => key.replace(/[0-9a-f]{32}/, 'ID')),
        encryption === 'repokey' ? ['config', 'keys/ID'] : ['config'],
      )
      assert.deepEqual([...keyFiles.files.keys()], encryption === 'keyfile' ? [repository.id] : [])
      assert.equal(repository.config.createdAt, '2026-11-01T00:00:00.000Z')
      assert.equal(repository.config.cipher, encryption === 'none' ? 'none' : 'aes-256-gcm')
    })

    it(`leaves nothing in the way when it crashes at any operation (${encryption})`, async () => {
      const counting = new FaultyStorage(new MemoryStorage())
      await newTestRepository({ encryption, storage: counting })
      for (let nth = 1; nth <= counting.countMutations(); nth++) {
        for (const point of ['before', 'after', 'torn'] as readonly CrashPoint[]) {
          // Half a config is what only a store without atomic puts leaves, and such a store is no `Storage`.
          if (point === 'torn' && nth === counting.countMutations()) continue
          const inner = new MemoryStorage()
          const faulty = new FaultyStorage(inner)
          faulty.crashAt(nth, point)
          await assert.rejects(newTestRepository({ encryption, storage: faulty }), { code: 'INTERNAL' })
          const isMade = (await keysOf(inner)).includes('config')
          assert.equal(isMade, nth === counting.countMutations() && point === 'after')
          if (isMade) continue
          const made = await newTestRepository({ encryption, storage: inner })
          const { ids } = await commitChunks(made.repository, [Buffer.from('content')])
          const again = await reopen(made)
          await again.loadIndex()
          assert.equal(Buffer.from(await again.readChunk(ids[0] as Uint8Array)).toString(), 'content')
        }
      }
    })
  }

  it('refuses a place that holds a repository, whatever comes first in a listing', async () => {
    const { storage, repository } = await newTestRepository()
    await commitChunks(repository, [Buffer.from('x')])
    for (const order of [(a: string, b: string) => (a < b ? -1 : 1), (a: string, b: string) => (a < b ? 1 : -1)]) {
      const sorted = new MemoryStorage()
      for (const key of (await keysOf(storage)).sort(order)) await sorted.put(key, await storage.get(key))
      const before = await keysOf(sorted)
      await assert.rejects(newTestRepository({ storage: sorted }), { code: 'REPOSITORY_EXISTS' })
      assert.deepEqual(await keysOf(sorted), before)
    }
  })

  it('refuses a place that holds anything else, by its name, and a repository that lost its config', async () => {
    const { storage, repository } = await newTestRepository()
    await commitChunks(repository, [Buffer.from('x')])
    await storage.delete('config')
    await assert.rejects(newTestRepository({ storage }), {
      code: 'INVALID_ARGUMENT',
      message: /something else is there/,
    })
    const photos = new MemoryStorage()
    await photos.put('configuration', Buffer.from('x'))
    await assert.rejects(newTestRepository({ storage: photos }), {
      code: 'INVALID_ARGUMENT',
      message: /\(configuration\)/,
    })
    assert.deepEqual(await keysOf(photos), ['configuration'])
  })

  it('refuses a store that lets a second put replace the first, and leaves nothing behind', async () => {
    const storage = new MemoryStorage()
    storage.putIfAbsent = async (key, data) => {
      await storage.put(key, data)
      return true
    }
    await assert.rejects(newTestRepository({ storage }), { code: 'INVALID_ARGUMENT', message: /second put/ })
    assert.deepEqual(await keysOf(storage), [])
  })

  it('wants a passphrase for repokey', async () => {
    const storage = new MemoryStorage()
    const options = { encryption: 'repokey', passphrase: undefined, keyFiles: new MemoryKeyFiles() } as const
    await assert.rejects(createRepository(storage, options), { code: 'INVALID_ARGUMENT' })
    assert.deepEqual(await keysOf(storage), [])
  })

  it('lets one of several win a place, and the others clear up after them', async () => {
    const storage = new MemoryStorage()
    const tries = await Promise.allSettled(Array.from({ length: 6 }, () => newTestRepository({ storage })))
    const won = tries.filter((result) => result.status === 'fulfilled')
    const lost = tries.filter((result) => result.status === 'rejected')
    assert.equal(won.length, 1)
    for (const { reason } of lost) assert.equal((reason as CairnError).code, 'REPOSITORY_EXISTS')
    assert.equal((await keysOf(storage, 'keys/')).length, 1)
    const repository = await reopen({ storage, keyFiles: new MemoryKeyFiles() })
    assert.equal(repository.id, won[0]?.value.repository.id)
  })

  it('knows its own config when a store that tries again by itself finds it there', async () => {
    const faulty = new FaultyStorage(new MemoryStorage())
    faulty.fail({ kind: 'putIfAbsent', prefix: 'config', when: 'after' })
    const putIfAbsent = faulty.putIfAbsent.bind(faulty)
    faulty.putIfAbsent = (...args) => putIfAbsent(...args).catch(() => putIfAbsent(...args))
    const made = await newTestRepository({ storage: faulty })
    assert.equal((await reopen(made)).id, made.repository.id)
  })

  it('keeps the chunker it was given, and makes another id and other keys every time', async () => {
    const chunker = parseChunkerParams('fixed,64K')
    const [one, two] = [await newTestRepository({ chunker }), await newTestRepository({ chunker })]
    assert.deepEqual((await reopen(one)).config.chunker, chunker)
    assert.notEqual(one.repository.id, two.repository.id)
    assert.notDeepEqual(one.repository.keys.gear, two.repository.keys.gear)
    assert.notDeepEqual(one.repository.keys.objects, two.repository.keys.objects)
  })
})

describe('openRepository()', () => {
  it('says so when there is none, and passes on other answers of the store', async () => {
    const options = { keyFiles: new MemoryKeyFiles(), askPassphrase: answerOnce(TEST_PASSPHRASE) }
    await assert.rejects(openRepository(new MemoryStorage(), options), {
      code: 'REPOSITORY_NOT_FOUND',
      message: /cairn init/,
    })
    const { storage } = await newTestRepository()
    const faulty = new FaultyStorage(storage)
    faulty.fail({ kind: 'get', prefix: 'config' })
    await assert.rejects(openRepository(faulty, options), { code: 'STORAGE_UNAVAILABLE' })
  })

  it('finds nothing readable behind a config that was changed to none', async () => {
    const made = await newTestRepository()
    await commitChunks(made.repository, [Buffer.from('secret')])
    const plain = await newTestRepository({ encryption: 'none' })
    await made.storage.put('config', await plain.storage.get('config'))
    const opened = await openRepository(made.storage, {
      keyFiles: made.keyFiles,
      askPassphrase: async () => assert.fail('asked'),
    })
    // It opens, since nothing tells it from an unencrypted repository; but the index and every commit betray it.
    await assert.rejects(WriteSession.open(opened), { code: 'DATA_CORRUPT', message: /cipher none.*aes-256-gcm/ })
  })
})

describe('Repository.readChunk()', () => {
  const anyChunk = fc.oneof(
    { weight: 8, arbitrary: fc.uint8Array({ maxLength: 2000 }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(0, 1, 300_000, 5 * MIB, 6 * MIB).map((bytes) => Buffer.alloc(bytes, 'abc')),
    },
    { weight: 1, arbitrary: fc.nat(9).map((seed) => testBytes(`noise ${seed}`, 70_000)) },
  )

  it('gives back any chunks, in any compression and encryption', async () => {
    const compressions = Object.keys(COMPRESSION_CODES) as CompressionName[]
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...ALL_MODES),
        fc.array(fc.record({ name: fc.constantFrom(...compressions), chunks: fc.array(anyChunk, { maxLength: 12 }) }), {
          maxLength: 3,
        }),
        async (encryption, runs) => {
          const made = await newTestRepository({ encryption })
          const saved: { id: Uint8Array; chunk: Uint8Array }[] = []
          for (const { name, chunks } of runs) {
            const repository = await reopen(made)
            const session = await WriteSession.open(repository)
            const compression = { name, level: undefined }
            const ids = await saveChunks(repository, session, chunks, { compression })
            await session.commit({})
            saved.push(...chunks.map((chunk, i) => ({ id: ids[i] as Uint8Array, chunk })))
          }
          const repository = await reopen(made)
          await repository.loadIndex()
          for (const { id, chunk } of saved) assert.ok(Buffer.from(await repository.readChunk(id)).equals(chunk))
        },
      ),
      { numRuns: 10 },
    )
  })

  it('fetches a segment once for the chunks that follow each other in it', async () => {
    const made = await newTestRepository()
    const chunks = Array.from({ length: 50 }, (_, i) => Buffer.from(`chunk ${i}`))
    const { ids } = await commitChunks(made.repository, chunks)
    const faulty = new FaultyStorage(made.storage)
    const repository = await reopen(made, faulty)
    await repository.loadIndex()
    await Promise.all(ids.map((id) => repository.readChunk(id)))
    for (const id of ids) await repository.readChunk(id)
    assert.equal(faulty.count({ kind: 'get', prefix: 'packs/' }), 1)
  })

  it('tries again after a failure of the store', async () => {
    const made = await newTestRepository()
    const { ids } = await commitChunks(made.repository, [Buffer.from('x')])
    const faulty = new FaultyStorage(made.storage)
    const repository = await reopen(made, faulty)
    await repository.loadIndex()
    faulty.fail({ kind: 'get', prefix: 'packs/' })
    await assert.rejects(repository.readChunk(ids[0] as Uint8Array), { code: 'STORAGE_UNAVAILABLE' })
    assert.equal(Buffer.from(await repository.readChunk(ids[0] as Uint8Array)).toString(), 'x')
  })

  it('names a chunk that no index has, and a pack that is missing or too short', async () => {
    const made = await newTestRepository()
    const { ids } = await commitChunks(made.repository, [Buffer.from('x')])
    const unknown = asChunkId(Buffer.alloc(32, 5))
    await made.repository.loadIndex()
    await assert.rejects(made.repository.readChunk(unknown), { code: 'NOT_FOUND', message: new RegExp(toHex(unknown)) })
    const [key = ''] = await keysOf(made.storage, 'packs/')
    for (const damage of [(s: Storage) => s.delete(key), (s: Storage) => s.put(key, Buffer.alloc(60))]) {
      const storage = await copyToMemory(made.storage)
      await damage(storage)
      const repository = await reopen(made, storage)
      await repository.loadIndex()
      const named = new RegExp(key.slice('packs/xx/'.length))
      await assert.rejects(repository.readChunk(ids[0] as Uint8Array), { code: 'DATA_CORRUPT', message: named })
    }
  })

  it('wants the index loaded first', async () => {
    const { repository } = await newTestRepository()
    await assert.rejects(repository.readChunk(Buffer.alloc(32)), /loadIndex\(\) comes first/)
  })
})

describe('Repository.loadCommits()', () => {
  it('gives the records of all runs back, unknown fields and all', async () => {
    const made = await newTestRepository()
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.string(), fc.jsonValue()), async (value) => {
        const session = await WriteSession.open(made.repository)
        await session.commit(value)
        const read = await made.repository.loadCommit(session.id)
        assert.equal(read.session, session.id)
        assert.equal(JSON.stringify(read.value), JSON.stringify(value))
      }),
      { numRuns: 20 },
    )
    const repository = await reopen(made)
    await repository.loadIndex()
    assert.equal((await repository.loadCommits()).length, 20)
  })

  it('passes over damaged records when somebody wants to know, and only then', async () => {
    const made = await newTestRepository()
    const good = await commitChunks(made.repository, [Buffer.from('a')], 'good')
    const bad = await commitChunks(made.repository, [Buffer.from('b')], 'bad')
    const notAnObject = await WriteSession.open(made.repository)
    await notAnObject.commit(1 as unknown as Record<string, unknown>)
    await made.storage.put(`commits/${bad.session.id}`, Buffer.from('damaged'))
    await made.repository.loadIndex()
    await assert.rejects(made.repository.loadCommits(), { code: 'DATA_CORRUPT' })
    const damaged: unknown[] = []
    const commits = await made.repository.loadCommits({ onDamaged: ({ details }) => damaged.push(details['object']) })
    assert.deepEqual(
      commits.map(({ session }) => session),
      [good.session.id],
    )
    assert.deepEqual(damaged.sort(), [`commits/${bad.session.id}`, `commits/${notAnObject.id}`].sort())
  })

  it('leaves out forgotten runs, whose chunks stay where they are', async () => {
    const made = await newTestRepository()
    const first = await commitChunks(made.repository, [Buffer.from('a')], 'first')
    const second = await commitChunks(made.repository, [Buffer.from('b')], 'second')
    await made.repository.forget(first.session.id)
    await made.repository.forget(first.session.id)
    assert.equal((await made.storage.get(`forgotten/${first.session.id}`)).length, 0)
    const repository = await reopen(made)
    await repository.loadIndex()
    assert.deepEqual(
      (await repository.loadCommits()).map(({ session }) => session),
      [second.session.id],
    )
    assert.equal(Buffer.from(await repository.readChunk(first.ids[0] as Uint8Array)).toString(), 'a')
    const { session } = await commitChunks(repository, [Buffer.from('a')])
    assert.equal(session.packs.length, 0)
  })

  it('refuses a record under the name of another run', async () => {
    const made = await newTestRepository()
    const { session } = await commitChunks(made.repository, [])
    const { session: other } = await commitChunks(made.repository, [])
    await made.storage.put(`commits/${session.id}`, await made.storage.get(`commits/${other.id}`))
    const named = { code: 'DATA_CORRUPT', message: new RegExp(`commits/${session.id}`) }
    await assert.rejects(made.repository.loadCommit(session.id), named)
  })
})

describe('a passphrase and its slot', () => {
  it('can be as cheap or as dear as the maker wants', async () => {
    const { storage } = await newTestRepository({ argon2: { ...CHEAP_ARGON2, passes: 2 } })
    const [key = ''] = await keysOf(storage, 'keys/')
    const slot = JSON.parse(Buffer.from(await storage.get(key)).toString()) as { kdf: unknown }
    assert.deepEqual(slot.kdf, { name: 'argon2id', memoryKiB: 8, passes: 2, parallelism: 1 })
  })
})
