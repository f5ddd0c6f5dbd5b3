import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { putCondemned } from '../sessions/condemned.ts'
import { commitKey } from '../sessions/open-session.ts'
import { type PackId, type SessionId, toHex } from '../../base/ids.ts'
import { blake3 } from '../../codec/hash.ts'
import { MemoryStorage } from '../../storage/memory/memory-storage.ts'
import type { Storage, StoredObject } from '../../storage/storage.ts'
import { FaultyStorage } from '../../storage/testing.ts'
import { deriveRepositoryKeys } from '../keys.ts'
import { PackTableWriter } from '../pack/pack-format.ts'
import { type IndexedPack, encodeIndex } from './index-object.ts'
import { loadIndex, takeEffectivePacks } from './load-index.ts'
import { readStoredIndex } from './read-index.ts'

const KEYS = deriveRepositoryKeys(
  Uint8Array.from({ length: 32 }, (_, i) => i),
  'aes-256-gcm',
)

function idOf(text: string): Buffer {
  return blake3(Buffer.from(text))
}

function sessionOf(text: string): SessionId {
  return toHex(idOf(text)).slice(0, 32) as SessionId
}

/** What an index says of a pack with one segment that holds chunks of these names. */
function packOf(name: string, chunks: readonly string[]): IndexedPack {
  const writer = new PackTableWriter()
  writer.addSegment(
    5000,
    chunks.map(idOf),
    chunks.map((chunk) => chunk.length),
  )
  return { id: toHex(idOf(name)) as PackId, sizeBytes: 10_000, header: Buffer.alloc(48, 1), table: writer.take() }
}

/** A store with the index objects of runs, given by name with the chunks of one pack each; all but `open` are committed. */
async function storageWith(
  runs: Readonly<Record<string, string[]>>,
  open: readonly string[] = [],
): Promise<MemoryStorage> {
  const storage = new MemoryStorage()
  for (const [name, chunks] of Object.entries(runs)) {
    const { key, object } = encodeIndex(KEYS, sessionOf(name), 0, [packOf(name, chunks)])
    await storage.put(key, object)
    if (!open.includes(name)) await storage.put(`commits/${sessionOf(name)}`, Buffer.from('committed'))
  }
  return storage
}

describe('loadIndex()', () => {
  it('finds nothing in an empty store', async () => {
    const { table, packs, commits } = await loadIndex(new MemoryStorage(), KEYS, {})
    assert.deepEqual([table.size, packs.length, commits.length], [0, 0, 0])
  })

  it('knows the chunks of all committed runs, and where they lie', async () => {
    const storage = await storageWith({ a: ['one', 'two'], b: ['two', 'three!'] })
    const { table, numbers, packs, commits } = await loadIndex(storage, KEYS, {})
    assert.deepEqual([...commits].sort(), [sessionOf('a'), sessionOf('b')].sort())
    assert.equal(table.size, 3)
    for (const [chunk, runs] of [
      ['one', ['a']],
      ['two', ['a', 'b']],
      ['three!', ['b']],
    ] as const) {
      const found = numbers.find(table, idOf(chunk))
      assert.ok(found && runs.map((run) => toHex(idOf(run))).includes(packs[found.pack]?.id ?? ''), chunk)
      assert.deepEqual([found.segmentOffset, found.segmentBytes], [48, 5000])
    }
    assert.equal(numbers.find(table, idOf('four')), undefined)
    assert.deepEqual(packs.map(({ chunks, rawBytes }) => [chunks, rawBytes]).sort(), [
      [2, 6],
      [2, 9],
    ])
  })

  it('takes no notice of runs that are open, gone without a commit, or fenced', async () => {
    const storage = await storageWith({ committed: ['one'], open: ['two'], gone: ['three'], fenced: ['four'] }, [
      'open',
      'gone',
      'fenced',
    ])
    await storage.put(`sessions/${sessionOf('open')}`, Buffer.from('open'))
    await storage.put(`commits/${sessionOf('fenced')}`, Buffer.alloc(0))
    const { table, packs, commits } = await loadIndex(storage, KEYS, {})
    assert.deepEqual(commits, [sessionOf('committed')])
    assert.equal(packs.length, 1)
    for (const chunk of ['two', 'three', 'four']) assert.ok(!table.has(idOf(chunk)), chunk)
  })

  it('misses nothing that a reclamation replaces while index objects are listed', async () => {
    const storage = await storageWith({ old: ['one', 'two'] })
    const [{ key: replaced }] = (await Array.fromAsync(storage.list('index/'))) as [StoredObject]
    const { key, object } = encodeIndex(KEYS, sessionOf('new'), 0, [packOf('old', ['one', 'two'])])
    let isReplaced = false
    const replace = async (): Promise<void> => {
      isReplaced = true
      await storage.put(key, object)
      await storage.put(commitKey(sessionOf('new')), Buffer.from('committed'))
      await storage.delete(replaced)
    }
    // Names first, then what each of them is, as in a folder: the new one comes too late, the old one is gone.
    const listing: Pick<Storage, 'list'> = {
      async *list(prefix, options) {
        const names = new Set((await Array.fromAsync(storage.list(prefix, options))).map((listed) => listed.key))
        if (prefix === 'index/' && !isReplaced) await replace()
        for await (const listed of storage.list(prefix, options)) if (names.has(listed.key)) yield listed
      },
    }
    const view = Object.assign(Object.create(storage) as MemoryStorage, listing, {
      get: storage.get.bind(storage),
    })
    const { table, commits } = await loadIndex(view, KEYS, {})
    assert.ok(table.has(idOf('one')) && table.has(idOf('two')))
    assert.ok(commits.includes(sessionOf('old')))
  })

  it('is not disturbed by damaged index objects of runs that do not count', async () => {
    const storage = await storageWith({ committed: ['one'], open: ['two'] }, ['open'])
    const { key } = encodeIndex(KEYS, sessionOf('open'), 7, [])
    await storage.put(key, Buffer.from('damaged'))
    assert.equal((await loadIndex(storage, KEYS, {})).table.size, 1)
  })

  it('names a damaged index object of a committed run', async () => {
    const storage = await storageWith({ committed: ['one'] })
    const [{ key }] = (await Array.fromAsync(storage.list('index/'))) as [StoredObject, ...StoredObject[]]
    const object = await storage.get(key)
    object[100] = (object[100] as number) ^ 1
    await storage.put(key, object)
    await assert.rejects(loadIndex(storage, KEYS, {}), {
      code: 'DATA_CORRUPT',
      message: new RegExp(`index/${sessionOf('committed')}-0`),
    })
  })

  it('passes over a damaged index object when somebody wants to know, and only then', async () => {
    const storage = await storageWith({ good: ['one'], bad: ['two'], worse: ['three'] })
    const keys = (await Array.fromAsync(storage.list('index/'), ({ key }) => key)).filter(
      (key) => !key.includes(sessionOf('good')),
    )
    for (const key of keys) await storage.put(key, Buffer.from('damaged'))
    const damaged: unknown[] = []
    const { table, commits } = await loadIndex(storage, KEYS, {
      onDamaged: ({ code, details }) => damaged.push([code, details['object']]),
    })
    assert.equal(table.size, 1)
    assert.equal(commits.length, 3)
    assert.deepEqual(damaged.sort(), keys.map((key) => ['DATA_CORRUPT', key]).sort())
  })

  it('passes over an index object whose table makes no sense', async () => {
    const storage = await storageWith({ good: ['one'], bad: ['two'] })
    const tables = { ...packOf('bad', ['two']), table: Buffer.from('ffff', 'hex') }
    const { key, object } = encodeIndex(KEYS, sessionOf('bad'), 1, [packOf('other', ['three']), tables])
    await storage.put(key, object)
    const damaged: unknown[] = []
    const onDamaged = ({ details }: { details: Readonly<Record<string, unknown>> }): void =>
      void damaged.push(details['object'])
    assert.equal((await loadIndex(storage, KEYS, { onDamaged })).table.size, 2)
    assert.deepEqual(damaged, [key])
    await assert.rejects(loadIndex(storage, KEYS, {}), { code: 'DATA_CORRUPT' })
  })

  it('ends at an index object of a newer version, whoever listens', async () => {
    const storage = await storageWith({ newer: ['one'] })
    const [{ key }] = (await Array.fromAsync(storage.list('index/'))) as [StoredObject, ...StoredObject[]]
    const object = await storage.get(key)
    object[5] = 2
    await storage.put(key, object)
    await assert.rejects(loadIndex(storage, KEYS, { onDamaged: () => undefined }), { code: 'FORMAT_UNSUPPORTED' })
  })

  it('knows a pack once that several runs name', async () => {
    const storage = await storageWith({ a: ['one'] })
    const { key, object } = encodeIndex(KEYS, sessionOf('b'), 0, [packOf('a', ['one']), packOf('b', ['two'])])
    await storage.put(key, object)
    await storage.put(`commits/${sessionOf('b')}`, Buffer.from('committed'))
    const { packs, numbers, table } = await loadIndex(storage, KEYS, {})
    assert.deepEqual([packs.length, table.size], [2, 2])
    for (const [chunk, pack] of [
      ['one', 'a'],
      ['two', 'b'],
    ] as const)
      assert.equal(packs[numbers.find(table, idOf(chunk))?.pack ?? -1]?.id, toHex(idOf(pack)))
  })

  it('leaves out objects that are not named like one of its own', async () => {
    const storage = await storageWith({ committed: ['one'] })
    for (const key of ['index/foreign', 'commits/foreign', `commits/${'g'.repeat(32)}`])
      await storage.put(key, Buffer.from('x'))
    assert.deepEqual((await loadIndex(storage, KEYS, {})).commits, [sessionOf('committed')])
  })

  it('reads condemned, then all of the index, then commits: the order its safety rests on', async () => {
    const storage = new FaultyStorage(await storageWith({ a: ['one'], b: ['two'], c: ['three'] }))
    await loadIndex(storage, KEYS, {})
    const steps = storage.operations.map(({ kind, key }) => `${kind} ${key.split('/')[0]}`)
    assert.deepEqual(steps.slice(steps.indexOf('list index')), [
      'list index',
      'get index',
      'get index',
      'get index',
      'list commits',
    ])
    assert.equal(steps[0], 'list condemned')
  })

  it('does not take a run for committed whose index it could not have seen', async () => {
    // The run puts its index and commits while the other reads: it is either wholly there or not at all.
    for (let turns = 0; turns < 12; turns++) {
      let turn = 0
      const inner = await storageWith({ a: ['one'] })
      const late = encodeIndex(KEYS, sessionOf('late'), 0, [packOf('late', ['two'])])
      const storage = new MemoryStorage({
        turn: async () => {
          if (turn++ !== turns) return
          await storage.put(late.key, late.object)
          await storage.put(`commits/${sessionOf('late')}`, Buffer.from('committed'))
        },
      })
      turn = -1000
      for await (const { key } of inner.list('')) await storage.put(key, await inner.get(key))
      turn = 0
      const { table, commits } = await loadIndex(storage, KEYS, {})
      assert.ok(table.has(idOf('one')))
      if (commits.includes(sessionOf('late'))) assert.ok(table.has(idOf('two')), `turn ${turns}`)
    }
  })

  it('looks again when an index object was superseded while it read', async () => {
    const storage = await storageWith({ old: ['one'], other: ['two'] })
    const [{ key }] = (await Array.fromAsync(storage.list(`index/${sessionOf('old')}`))) as [
      StoredObject,
      ...StoredObject[],
    ]
    const faulty = new FaultyStorage(storage)
    const merged = encodeIndex(KEYS, sessionOf('new'), 0, [packOf('old', ['one'])])
    const get = faulty.get.bind(faulty)
    faulty.get = async (wanted, ...rest) => {
      if (wanted === key && (await Array.fromAsync(storage.list(key))).length > 0) {
        await storage.put(merged.key, merged.object)
        await storage.put(`commits/${sessionOf('new')}`, Buffer.from('committed'))
        await storage.delete(key)
      }
      return get(wanted, ...rest)
    }
    const { table } = await loadIndex(faulty, KEYS, {})
    assert.ok(table.has(idOf('one')) && table.has(idOf('two')))
  })

  it('has chunks of packs that are about to be deleted apart from those to be relied on', async () => {
    const storage = await storageWith({ a: ['one'], b: ['two'] })
    const all = await loadIndex(storage, KEYS, {})
    assert.equal(all.condemned, undefined)
    const [first] = all.packs
    const retired = [first?.id as PackId, 'ab'.repeat(32) as PackId] // the other one is in no index
    const reclamation = await putCondemned(storage, KEYS, retired, {})
    for (const toWrite of [true, false]) {
      const { table, packs, condemned, reclamations } = await loadIndex(storage, KEYS, { toWrite })
      assert.deepEqual(packs, all.packs.slice(1))
      assert.deepEqual(condemned?.packs, [first])
      assert.equal(table.size + condemned.table.size, all.table.size)
      assert.deepEqual([...reclamations], [[reclamation, retired]])
    }
  })

  it('needs to know what is condemned for those who write only', async () => {
    const storage = await storageWith({ a: ['one'] })
    await storage.put('condemned/1', Buffer.from('x'))
    await assert.rejects(loadIndex(storage, KEYS, { toWrite: true }), { code: 'DATA_CORRUPT', message: /condemned\/1/ })
    assert.equal((await loadIndex(storage, KEYS, {})).packs.length, 1)
  })

  it('passes on what the store answers, and stops when told to', async () => {
    for (const prefix of ['condemned/', 'index/', 'commits/']) {
      const storage = new FaultyStorage(await storageWith({ a: ['one'] }))
      storage.fail({ prefix })
      await assert.rejects(loadIndex(storage, KEYS, {}), { code: 'STORAGE_UNAVAILABLE' })
    }
    const storage = await storageWith({ a: ['one'] })
    await assert.rejects(loadIndex(storage, KEYS, { signal: AbortSignal.abort() }), { code: 'CANCELLED' })
  })

  it('lets go of the sealed objects as it decodes them', async () => {
    const storage = await storageWith({ a: ['one'], b: ['two'], open: ['three'] }, ['open'])
    const stored = await readStoredIndex(storage, KEYS, {})
    const keys = stored.effective.map(({ key }) => key)
    assert.deepEqual(new Set(keys), stored.indexKeys)
    assert.ok(keys.length === 2 && stored.others.length === 1)
    await storage.put(`commits/${sessionOf('open')}`, Buffer.from('committed'))
    const packs = [...takeEffectivePacks(stored, KEYS, {}).keys()]
    assert.deepEqual(stored.effective, [])
    // Numbers of packs follow the order of the objects.
    const wanted = keys.map((key) => (key.includes(sessionOf('a')) ? 'a' : 'b'))
    assert.deepEqual(
      packs,
      wanted.map((name) => toHex(idOf(name))),
    )
  })

  it('needs at most 40 bytes of memory a chunk, and room for a small run', async () => {
    const count = 100_000
    const writer = new PackTableWriter()
    const packs: IndexedPack[] = []
    for (let first = 0; first < count; first += 20_000) {
      const numbers = Array.from({ length: 20_000 }, (_, i) => first + i)
      writer.addSegment(
        5000,
        numbers.map((i) => idOf(`${i}`)),
        numbers.map(() => 300_000),
      )
      packs.push({
        id: toHex(idOf(`pack ${first}`)) as PackId,
        sizeBytes: 10_000,
        header: Buffer.alloc(48),
        table: writer.take(),
      })
    }
    const storage = new MemoryStorage()
    const { key, object } = encodeIndex(KEYS, sessionOf('large'), 0, packs)
    await storage.put(key, object)
    await storage.put(`commits/${sessionOf('large')}`, Buffer.from('committed'))
    const { table, numbers } = await loadIndex(storage, KEYS, {})
    const bytes = table.memoryBytes + numbers.memoryBytes
    assert.equal(table.size, count)
    assert.ok(bytes <= 40 * (count + 10_000), `${bytes / count} bytes`)
  })
})
