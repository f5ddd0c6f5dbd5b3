import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CairnError } from '../base/errors.ts'
import { MemoryStorage } from './memory/memory-storage.ts'
import { describeStorage } from './suite.ts'
import { FaultyStorage } from './testing.ts'

const DATA = Uint8Array.of(1, 2, 3, 4)
const UNAVAILABLE = { code: 'STORAGE_UNAVAILABLE' }

describeStorage('FaultyStorage without orders', async () => new FaultyStorage(new MemoryStorage()))

describe('FaultyStorage', () => {
  it('fails the n-th matching operation before it has an effect', async () => {
    const storage = new FaultyStorage(new MemoryStorage())
    storage.fail({ kind: 'put', prefix: 'packs/', nth: 2 })
    await storage.put('packs/a', DATA)
    await storage.put('index/a', DATA)
    await storage.get('packs/a')
    await assert.rejects(storage.put('packs/b', DATA), UNAVAILABLE)
    await assert.rejects(storage.get('packs/b'), { code: 'NOT_FOUND' })
    await storage.put('packs/b', DATA)
  })

  it('loses the reply of an operation that took effect', async () => {
    const storage = new FaultyStorage(new MemoryStorage())
    storage.fail({ kind: 'putIfAbsent', when: 'after' })
    await assert.rejects(storage.putIfAbsent('commits/a', DATA), UNAVAILABLE)
    assert.equal(await storage.putIfAbsent('commits/a', Uint8Array.of(9)), false)
    assert.deepEqual(await storage.get('commits/a'), DATA)
  })

  it('fails with the error it was given, as often as it was told, until it is healed', async () => {
    const storage = new FaultyStorage(new MemoryStorage())
    const error = new CairnError('STORAGE_FULL', 'Cannot store: full')
    storage.fail({ error, times: 2 })
    storage.fail({ kind: 'list', nth: 2, times: Infinity })
    await assert.rejects(storage.put('a', DATA), error)
    await assert.rejects(storage.delete('a'), error)
    await storage.put('a', DATA)
    await Array.fromAsync(storage.list(''))
    for (let i = 0; i < 3; i++) await assert.rejects(Array.fromAsync(storage.list('')), UNAVAILABLE)
    storage.heal()
    assert.equal((await Array.fromAsync(storage.list(''))).length, 1)
  })

  it('can fail a listing at its end', async () => {
    const storage = new FaultyStorage(new MemoryStorage())
    await storage.put('a', DATA)
    storage.fail({ kind: 'list', when: 'after' })
    const seen: string[] = []
    const list = async () => {
      for await (const { key } of storage.list('')) seen.push(key)
    }
    await assert.rejects(list(), UNAVAILABLE)
    assert.deepEqual(seen, ['a'])
  })

  for (const [point, left] of [
    ['before', undefined],
    ['after', DATA],
    ['torn', DATA.subarray(0, 2)],
  ] as const) {
    it(`crashes ${point} the n-th change and refuses everything from then on`, async () => {
      const disk = new MemoryStorage()
      const storage = new FaultyStorage(disk)
      await storage.put('zero', DATA)
      storage.crashAt(2, point)
      await storage.put('one', DATA)
      await storage.get('one')
      const list = storage.list('')
      assert.equal((await list.next()).value?.key, 'zero')
      assert.equal(storage.crashed, false)
      await assert.rejects(storage.putIfAbsent('two', DATA), { code: 'INTERNAL' })
      assert.equal(storage.crashed, true)
      await assert.rejects(list.next(), { code: 'INTERNAL' })
      await assert.rejects(storage.get('one'), { code: 'INTERNAL' })
      await assert.rejects(storage.put('three', DATA), { code: 'INTERNAL' })
      await assert.rejects(storage.delete('one'), { code: 'INTERNAL' })
      await assert.rejects(Array.fromAsync(storage.list('')), { code: 'INTERNAL' })
      storage.heal()
      await assert.rejects(storage.get('one'), { code: 'INTERNAL' })

      const keys = (await Array.fromAsync(disk.list(''))).map(({ key }) => key)
      assert.deepEqual(keys, left ? ['zero', 'one', 'two'] : ['zero', 'one'])
      if (left) assert.deepEqual(await disk.get('two'), left)
    })
  }

  it('tells nobody how an operation under way at the crash ended', async () => {
    const disk = new MemoryStorage()
    const storage = new FaultyStorage(disk)
    storage.crashAt(2, 'before')
    const results = await Promise.allSettled([storage.put('one', DATA), storage.put('two', DATA)])
    assert.deepEqual(
      results.map(({ status }) => status),
      ['rejected', 'rejected'],
    )
    assert.deepEqual(await disk.get('one'), DATA)
  })

  it('counts operations by kind and key', async () => {
    const storage = new FaultyStorage(new MemoryStorage())
    await storage.put('packs/a', DATA)
    await storage.putIfAbsent('commits/a', DATA)
    await storage.get('packs/a')
    await Array.fromAsync(storage.list('packs/'))
    await storage.delete('packs/a')
    assert.equal(storage.count(), 5)
    assert.equal(storage.count({ kind: 'put' }), 1)
    assert.equal(storage.count({ prefix: 'packs/' }), 4)
    assert.equal(storage.count({ kind: 'get', prefix: 'commits/' }), 0)
    assert.equal(storage.countMutations(), 3)
    assert.deepEqual(storage.operations[1], { kind: 'putIfAbsent', key: 'commits/a' })
  })

  it('flips a bit in what is read and in nothing else', async () => {
    const disk = new MemoryStorage()
    const storage = new FaultyStorage(disk)
    await storage.put('a', DATA)
    await storage.put('b', DATA)
    storage.flipBit('a', 2)
    assert.deepEqual(await storage.get('a'), Uint8Array.of(1, 2, 2, 4))
    assert.deepEqual(await storage.get('a', { offset: 1, length: 2 }), Uint8Array.of(2, 2))
    assert.deepEqual(await storage.get('a', { offset: 0, length: 2 }), Uint8Array.of(1, 2))
    assert.deepEqual(await storage.get('a', { offset: 3, length: 1 }), Uint8Array.of(4))
    assert.deepEqual(await storage.get('b'), DATA)
    assert.deepEqual(await disk.get('a'), DATA)
  })
})
