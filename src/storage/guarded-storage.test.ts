import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { GuardedStorage } from './guarded-storage.ts'
import { MemoryStorage } from './memory/memory-storage.ts'
import { describeStorage } from './suite.ts'
import { FaultyStorage } from './testing.ts'

describeStorage('GuardedStorage', async () => new GuardedStorage(new MemoryStorage(), { quotaBytes: 1 << 30 }))

const DENIED = { code: 'STORAGE_DENIED', message: /is append-only/ }

describe('a storage for adding only', () => {
  it('refuses to delete and to replace, but for session objects', async () => {
    const store = new MemoryStorage()
    const storage = new GuardedStorage(store, { appendOnly: true })
    for (const key of ['packs/a', 'index/b', 'commits/c', 'config', 'keys/d', 'forgotten/e', 'pins/f', 'probe/g']) {
      await storage.put(key, Buffer.from('first'))
      await assert.rejects(storage.put(key, Buffer.from('second')), DENIED, key)
      await assert.rejects(storage.delete(key), DENIED, key)
      await storage.put(key, Buffer.from('first')) // the answer to the first put may have been lost
      assert.equal(Buffer.from(await store.get(key)).toString(), 'first')
    }
    await storage.put('sessions/a', Buffer.from('first'))
    await storage.put('sessions/a', Buffer.from('second'))
    await storage.delete('sessions/a')
    assert.equal(await storage.putIfAbsent('commits/new', Buffer.from('x')), true)
  })

  it('lets nobody condemn packs, which another one would then delete', async () => {
    const storage = new GuardedStorage(new MemoryStorage(), { appendOnly: true })
    for (const key of ['condemned/a', 'waiting/a']) {
      await assert.rejects(storage.put(key, Buffer.from('x')), DENIED)
      await assert.rejects(storage.putIfAbsent(key, Buffer.from('x')), DENIED)
    }
  })
})

describe('a quota', () => {
  const full = { code: 'STORAGE_FULL', message: /quota of 1000 B/ }

  it('counts what was there, what is put, and what has been deleted', async () => {
    const store = new MemoryStorage()
    await store.put('packs/before', new Uint8Array(400))
    const storage = new GuardedStorage(store, { quotaBytes: 1000 })
    await storage.put('packs/a', new Uint8Array(500))
    await assert.rejects(storage.put('packs/b', new Uint8Array(101)), full)
    await assert.rejects(storage.putIfAbsent('packs/b', new Uint8Array(101)), full)
    await storage.put('packs/b', new Uint8Array(100))
    await assert.rejects(storage.put('packs/c', new Uint8Array(1)), full)
    await storage.put('sessions/empty', new Uint8Array())
    await storage.delete('packs/a')
    await storage.put('packs/c', new Uint8Array(500))
    await store.delete('packs/before') // by somebody else
    await storage.put('packs/d', new Uint8Array(400))
    await assert.rejects(storage.put('packs/e', new Uint8Array(1)), full)
  })

  it('is what is free, where the disk has more', async () => {
    const store = Object.assign(new MemoryStorage(), { freeBytes: async () => 700 })
    const storage = new GuardedStorage(store, { quotaBytes: 1000 })
    await storage.put('packs/a', new Uint8Array(400))
    assert.equal(await storage.freeBytes(), 600)
    assert.equal(await new GuardedStorage(store, { quotaBytes: 5000 }).freeBytes(), 700)
    assert.equal(await new GuardedStorage(store, {}).freeBytes(), 700)
    assert.equal(await new GuardedStorage(new MemoryStorage(), {}).freeBytes(), undefined)
  })

  it('holds for many puts at once', async () => {
    const store = new FaultyStorage(new MemoryStorage())
    const storage = new GuardedStorage(store, { quotaBytes: 1000 })
    const puts = Array.from({ length: 50 }, (_, i) => storage.put(`packs/${i}`, new Uint8Array(100)))
    const done = (await Promise.allSettled(puts)).filter(({ status }) => status === 'fulfilled').length
    assert.equal(done, 10)
  })

  it('is not taken for used up when it cannot be counted', async () => {
    const store = new FaultyStorage(new MemoryStorage())
    const storage = new GuardedStorage(store, { quotaBytes: 1000 })
    store.fail({ kind: 'list' })
    await assert.rejects(storage.put('packs/a', new Uint8Array(1)), { code: 'STORAGE_UNAVAILABLE' })
    await storage.put('packs/a', new Uint8Array(1))
  })
})
