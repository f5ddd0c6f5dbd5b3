/** A chunk that cannot be read where the index in memory says is read elsewhere, if it lies elsewhere too. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FaultyStorage } from '../storage/testing.ts'
import { type TestRepository, newTestRepository, reopen, saveChunks } from './testing.ts'
import { WriteSession } from './write-session.ts'

const COMMON = Buffer.alloc(5000, 'common')

/** Runs at the same time, each of which stored the same chunk and one of its own. */
async function withCopies(count: number): Promise<TestRepository & { id: Uint8Array; own: Uint8Array[] }> {
  const made = await newTestRepository()
  const sessions = await Promise.all(
    Array.from({ length: count }, async () => {
      const repository = await reopen(made)
      return { repository, session: await WriteSession.open(repository) }
    }),
  )
  const own: Uint8Array[] = []
  let id: Uint8Array | undefined
  for (const [i, { repository, session }] of sessions.entries()) {
    const [a, b] = await saveChunks(repository, session, [Buffer.from(`own ${i}`), COMMON])
    own.push(a as Uint8Array)
    id = b
    await session.commit({})
  }
  await made.repository.loadIndex()
  return { ...made, id: id as Uint8Array, own }
}

describe('a chunk with several copies', () => {
  it('is read as long as one of them is good, wherever the others are damaged', async () => {
    const made = await withCopies(3)
    const first = made.repository.addressOf(made.id)
    const others = await made.repository.otherAddressesOf(made.id)
    const addresses = [first, ...others].filter((address) => address !== undefined)
    assert.equal(new Set(addresses.map(({ pack }) => pack)).size, 3)
    for (const damage of ['flip', 'delete'] as const) {
      const storage = new FaultyStorage(made.storage)
      const repository = await reopen(made, storage)
      await repository.loadIndex()
      for (const [i, { packKey, segmentOffset }] of addresses.entries()) {
        assert.deepEqual(Buffer.from(await repository.readChunk(made.id)), COMMON)
        await repository.loadIndex() // nothing is remembered
        if (damage === 'flip') storage.flipBit(packKey, segmentOffset + 20)
        else await made.storage.delete(packKey)
        if (i < 2) assert.deepEqual(Buffer.from(await repository.readChunk(made.id)), COMMON, `${damage} ${i}`)
      }
      await assert.rejects(repository.readChunk(made.id), {
        code: 'DATA_CORRUPT',
        message: new RegExp(repository.addressOf(made.id)?.pack ?? 'none'),
      })
    }
  })

  it('costs one more reading of the index, however many chunks are read so', async () => {
    const made = await withCopies(2)
    const storage = new FaultyStorage(made.storage)
    const repository = await reopen(made, storage)
    await repository.loadIndex()
    const first = repository.addressOf(made.id)
    storage.flipBit(first?.packKey ?? '', (first?.segmentOffset ?? 0) + 20)
    const lists = storage.count({ kind: 'list', prefix: 'index/' })
    for (let i = 0; i < 3; i++) await repository.readChunk(made.id)
    const broken = made.own.find((id) => repository.addressOf(id)?.pack === first?.pack) as Uint8Array
    await assert.rejects(repository.readChunk(broken), { code: 'DATA_CORRUPT' })
    assert.equal(storage.count({ kind: 'list', prefix: 'index/' }), lists + 1)
    assert.deepEqual(await repository.otherAddressesOf(broken), [])
  })

  it('says what the store says when the index cannot be read again, and tries anew the next time', async () => {
    const made = await withCopies(2)
    const storage = new FaultyStorage(made.storage)
    const repository = await reopen(made, storage)
    await repository.loadIndex()
    const first = repository.addressOf(made.id)
    storage.flipBit(first?.packKey ?? '', (first?.segmentOffset ?? 0) + 20)
    storage.fail({ kind: 'list', prefix: 'index/' })
    await assert.rejects(repository.readChunk(made.id), { code: 'STORAGE_UNAVAILABLE' })
    assert.deepEqual(Buffer.from(await repository.readChunk(made.id)), COMMON)
  })
})
