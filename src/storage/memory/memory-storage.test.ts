import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fixedClock } from '../../base/clock.ts'
import { describeStorage } from '../suite.ts'
import { MemoryStorage } from './memory-storage.ts'

describeStorage('MemoryStorage', async () => new MemoryStorage())

describe('MemoryStorage', () => {
  it('takes modification times from its clock', async () => {
    const clock = fixedClock(1_000)
    const storage = new MemoryStorage({ clock })
    await storage.put('a', Uint8Array.of(1))
    clock.set(2_000)
    await storage.putIfAbsent('a', Uint8Array.of(2))
    await storage.put('b', Uint8Array.of(3))
    const objects = await Array.fromAsync(storage.list(''))
    assert.deepEqual(
      objects.map(({ key, modifiedAtMs }) => [key, modifiedAtMs]),
      [
        ['a', 1_000],
        ['b', 2_000],
      ],
    )
  })

  it('takes a turn before each operation and each listed object', async () => {
    let turns = 0
    const storage = new MemoryStorage({
      turn: async () => {
        turns++
      },
    })
    await storage.put('a', Uint8Array.of(1))
    await storage.putIfAbsent('b', Uint8Array.of(1))
    await storage.get('a')
    assert.equal(turns, 3)
    await Array.fromAsync(storage.list(''))
    assert.equal(turns, 6)
    await storage.delete('a')
    assert.equal(turns, 7)
  })

  it('does nothing to the store before the turn has come', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const storage = new MemoryStorage({ turn: () => promise })
    const clone = storage.clone()
    const put = storage.put('a', Uint8Array.of(1))
    const late = storage.clone()
    resolve()
    await put
    for (const copy of [clone, late]) await assert.rejects(copy.get('a'), { code: 'NOT_FOUND' })
    assert.deepEqual(await storage.get('a'), Uint8Array.of(1))
  })

  it('clones what it holds and shares no later change', async () => {
    const storage = new MemoryStorage()
    await storage.put('a', Uint8Array.of(1))
    const clone = storage.clone()
    await storage.put('a', Uint8Array.of(2))
    await clone.put('b', Uint8Array.of(3))
    assert.deepEqual(await clone.get('a'), Uint8Array.of(1))
    assert.deepEqual(await storage.get('a'), Uint8Array.of(2))
    await assert.rejects(storage.get('b'), { code: 'NOT_FOUND' })
  })
})
