import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MemoryStorage } from './memory/memory-storage.ts'
import { probePutIfAbsent } from './put-if-absent-probe.ts'
import { FaultyStorage } from './testing.ts'

/** Ignores the condition, as some object stores do. */
class CarelessStorage extends MemoryStorage {
  override async putIfAbsent(key: string, data: Uint8Array): Promise<boolean> {
    await this.put(key, data)
    return true
  }
}

/** Says that it refused and replaces the object all the same. */
class LyingStorage extends MemoryStorage {
  override async putIfAbsent(key: string, data: Uint8Array): Promise<boolean> {
    const absent = await super.putIfAbsent(key, data)
    if (!absent) await this.put(key, data)
    return absent
  }
}

/** Refuses always. */
class DeafStorage extends MemoryStorage {
  override async putIfAbsent(key: string, data: Uint8Array): Promise<boolean> {
    await super.putIfAbsent(key, data)
    return false
  }
}

describe('probePutIfAbsent()', () => {
  for (const [storage, works] of [
    [new MemoryStorage(), true],
    [new CarelessStorage(), false],
    [new LyingStorage(), false],
    [new DeafStorage(), false],
  ] as const) {
    it(`finds ${works} for ${storage.constructor.name} and leaves nothing behind`, async () => {
      assert.equal(await probePutIfAbsent(storage), works)
      assert.deepEqual(await Array.fromAsync(storage.list('')), [])
    })
  }

  it('uses another key each time', async () => {
    const storage = new FaultyStorage(new MemoryStorage())
    await probePutIfAbsent(storage)
    await probePutIfAbsent(storage)
    const keys = new Set(storage.operations.map(({ key }) => key))
    assert.equal(keys.size, 2)
    for (const key of keys) assert.match(key, /^probe\//)
  })

  it('passes on what the storage throws, after cleaning up', async () => {
    const storage = new FaultyStorage(new MemoryStorage())
    storage.fail({ kind: 'putIfAbsent', nth: 2 })
    await assert.rejects(probePutIfAbsent(storage), { code: 'STORAGE_UNAVAILABLE' })
    assert.deepEqual(await Array.fromAsync(storage.list('')), [])
  })
})
