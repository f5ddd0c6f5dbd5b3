import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fixedClock } from '../base/clock.ts'
import { CairnError } from '../base/errors.ts'
import { MemoryStorage } from './memory/memory-storage.ts'
import { ReconnectingStorage } from './reconnecting-storage.ts'
import type { Storage, StoredObject } from './storage.ts'
import { describeStorage } from './suite.ts'

/** Connections to a store: the one used last can be cut. */
class Connections {
  readonly store = new MemoryStorage()
  readonly clock = fixedClock(0)
  opened = 0
  closed = 0
  isReachable = true
  #cut: () => void = () => undefined

  readonly open = async (): Promise<Storage> => {
    if (!this.isReachable) throw new CairnError('STORAGE_UNAVAILABLE', `attempt ${++this.opened}`)
    this.opened++
    const { store } = this
    let isCut = false
    this.#cut = () => (isCut = true)
    const check = async (): Promise<void> => {
      await Promise.resolve()
      if (isCut) throw new CairnError('STORAGE_UNAVAILABLE', 'it is cut')
    }
    const onClose = (): void => void this.closed++
    return {
      location: 'far',
      isRemote: true,
      get isBroken() {
        return isCut
      },
      get: async (...args) => check().then(() => store.get(...args)),
      put: async (...args) => check().then(() => store.put(...args)),
      putIfAbsent: async (...args) => check().then(() => store.putIfAbsent(...args)),
      delete: async (...args) => check().then(() => store.delete(...args)),
      async *list(...args): AsyncGenerator<StoredObject> {
        for await (const object of store.list(...args)) {
          await check()
          yield object
        }
      },
      close: async () => onClose(),
    }
  }

  cut(): void {
    this.#cut()
  }

  async storage(): Promise<ReconnectingStorage> {
    return new ReconnectingStorage(await this.open(), { open: this.open, clock: this.clock })
  }
}

describeStorage('ReconnectingStorage', async () => {
  const store = new MemoryStorage()
  return new ReconnectingStorage(store, { open: () => assert.fail('it did not break'), clock: fixedClock(0) })
})

describe('ReconnectingStorage', () => {
  it('opens a broken connection again, once for all that ask, and closes the old one', async () => {
    const connections = new Connections()
    const storage = await connections.storage()
    for (const key of ['a', 'b', 'c']) await connections.store.put(key, Buffer.from(key))
    connections.cut()
    const [listed, ...read] = await Promise.all([
      Array.fromAsync(storage.list('')),
      ...['a', 'b', 'c'].map((key) => storage.get(key)),
    ])
    assert.deepEqual(listed.map(({ key }) => key).sort(), ['a', 'b', 'c'])
    assert.equal(Buffer.concat(read).toString(), 'abc')
    assert.deepEqual([connections.opened, connections.closed], [2, 1])
    await storage.close()
    assert.equal(connections.closed, 2)
  })

  it('passes on other errors, and does not try twice to change anything', async () => {
    const connections = new Connections()
    const storage = await connections.storage()
    await assert.rejects(storage.get('none'), { code: 'NOT_FOUND' })
    connections.cut()
    const data = Buffer.from('x')
    for (const change of [storage.put('x', data), storage.putIfAbsent('x', data), storage.delete('x')])
      await assert.rejects(change, { code: 'STORAGE_UNAVAILABLE' })
    assert.equal(connections.opened, 1)
  })

  it('does not ask too often for what cannot be reached', async () => {
    const connections = new Connections()
    const storage = await connections.storage()
    await connections.store.put('a', Buffer.from('a'))
    connections.cut()
    connections.isReachable = false
    for (let i = 0; i < 3; i++) await assert.rejects(storage.get('a'), { message: 'attempt 2' })
    connections.clock.set(10_000)
    await assert.rejects(storage.get('a'), { message: 'attempt 3' })
    connections.clock.set(0) // set back
    connections.isReachable = true
    assert.equal(Buffer.from(await storage.get('a')).toString(), 'a')
  })

  it('is not opened again once it is closed', async () => {
    const connections = new Connections()
    const storage = await connections.storage()
    await storage.close()
    connections.cut()
    await assert.rejects(storage.get('a'), { code: 'STORAGE_UNAVAILABLE' })
    assert.equal(connections.opened, 1)
  })
})
