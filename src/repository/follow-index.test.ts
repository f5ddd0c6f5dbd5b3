import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type PackId, type SessionId, toHex } from '../base/ids.ts'
import { FaultyStorage } from '../storage/testing.ts'
import { encodeIndex } from './index/index-object.ts'
import type { Repository } from './repository.ts'
import { putCondemned } from './sessions/condemned.ts'
import { commitChunks, keysOf, newTestRepository, reopen } from './testing.ts'

/** A repository whose storage is watched, with one run, and somebody who has loaded its index. */
async function prepare(): Promise<{
  storage: FaultyStorage
  reader: Repository
  commit: (...chunks: string[]) => Promise<Uint8Array[]>
}> {
  const made = await newTestRepository({ encryption: 'none' })
  const commit = async (...chunks: string[]): Promise<Uint8Array[]> => {
    const { ids } = await commitChunks(
      await reopen(made),
      chunks.map((chunk) => Buffer.from(chunk)),
    )
    return ids
  }
  await commit('first')
  const storage = new FaultyStorage(made.storage)
  const reader = await reopen(made, storage)
  await reader.loadIndex()
  return { storage, reader, commit }
}

const indexReads = (storage: FaultyStorage): number => storage.count({ kind: 'get', prefix: 'index/' })

/** Asserts that both say the same of chunks, packs and runs. */
async function expectLoaded(reader: Repository, storage: FaultyStorage, ids: readonly Uint8Array[]): Promise<void> {
  const { index } = reader
  const [packs, commits] = [index.packs.map(({ id }) => id), [...index.commits]]
  const found = ids.map((id) => reader.addressOf(id))
  assert.ok(!found.includes(undefined))
  await reader.loadIndex()
  assert.deepEqual(
    found,
    ids.map((id) => reader.addressOf(id)),
  )
  assert.deepEqual(
    [packs.sort(), commits.sort()],
    [reader.index.packs.map(({ id }) => id).sort(), [...reader.index.commits].sort()],
  )
  assert.deepEqual(index.indexKeys, new Set(await keysOf(storage, 'index/')))
}

describe('Repository.followIndex()', () => {
  it('reads what is new, once, and takes no more memory for it', async () => {
    const { storage, reader, commit } = await prepare()
    const { memoryBytes } = reader.table
    const before = indexReads(storage)
    const ids: Uint8Array[] = []
    for (let run = 0; run < 30; run++) {
      ids.push(...(await commit(`a chunk of run ${run}`, `another of run ${run}`, 'of all')))
      await reader.followIndex()
      assert.equal(Buffer.from(await reader.readChunk(ids.at(-2) as Uint8Array)).toString(), `another of run ${run}`)
    }
    assert.equal(indexReads(storage), before + 30)
    assert.equal(reader.table.memoryBytes, memoryBytes)
    await reader.followIndex()
    assert.equal(indexReads(storage), before + 30)
    await expectLoaded(reader, storage, ids)
  })

  it('makes room for any number of chunks', async () => {
    const { storage, reader, commit } = await prepare()
    const ids: Uint8Array[] = []
    for (let run = 0; run < 10; run++) {
      ids.push(...(await commit(...Array.from({ length: 3000 }, (_, i) => `chunk ${i} of run ${run}`))))
      if (run % 3 === 0) await reader.followIndex()
    }
    await reader.followIndex()
    await expectLoaded(reader, storage, ids)
  })

  it('reads all of it where packs are condemned, or index objects have been replaced', async () => {
    const { storage, reader, commit } = await prepare()
    const ids = await commit('second')
    const [first, second] = reader.index.packs.concat(reader.index.packs).map(({ id }) => id as PackId)
    await putCondemned(storage, reader.keys, [first as PackId], {})
    await reader.followIndex()
    assert.deepEqual(
      reader.index.condemned?.packs.map(({ id }) => id),
      [second],
    )
    for (const key of await keysOf(storage, 'condemned/')) await storage.delete(key)
    await reader.followIndex()
    assert.equal(reader.index.condemned, undefined)
    const [replaced = ''] = reader.index.indexKeys
    await storage.delete(replaced)
    await reader.followIndex()
    assert.equal(reader.index.packs.length, 1)
    await expectLoaded(reader, storage, reader.addressOf(ids[0] as Uint8Array) ? ids : [])
  })

  it('leaves the index as it was when the store fails, and tries again', async () => {
    const { storage, reader, commit } = await prepare()
    const ids = await commit('second')
    for (const prefix of ['condemned/', 'index/', 'commits/']) {
      storage.fail({ prefix })
      const { index } = reader
      await assert.rejects(reader.followIndex(), { code: 'STORAGE_UNAVAILABLE' })
      assert.equal(reader.index, index)
      assert.equal(reader.addressOf(ids[0] as Uint8Array), undefined)
    }
    await reader.followIndex()
    await expectLoaded(reader, storage, ids)
  })

  it('passes over a damaged index object, and tells of it once', async () => {
    const { storage, reader, commit } = await prepare()
    await commit('second')
    const session = toHex(Buffer.alloc(16, 7)) as SessionId
    const { key, object } = encodeIndex(reader.keys, session, 0, [])
    object[40] = (object[40] ?? 0) ^ 1
    await storage.put(key, object)
    await storage.put(`commits/${session}`, Buffer.from('committed'))
    const damaged: unknown[] = []
    const onDamaged = ({ details }: { details: Readonly<Record<string, unknown>> }): void =>
      void damaged.push(details['object'])
    for (let i = 0; i < 3; i++) await reader.followIndex({ onDamaged })
    assert.deepEqual(damaged, [key])
  })
})
