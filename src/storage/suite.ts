/**
 * The conformance suite of `Storage`: an implementation or a decorator is one when it passes this.
 */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { systemClock } from '../base/clock.ts'
import type { Storage } from './storage.ts'

const DAY_MS = 24 * 60 * 60 * 1000

/** The largest packs are about this long. */
const LARGE_BYTES = 20 * 1024 * 1024

const INVALID_KEYS = [
  '',
  '.',
  '..',
  '../x',
  'a/../b',
  'a/..',
  './a',
  '/',
  '/a',
  '/etc/passwd',
  'a/',
  'a//b',
  '.hidden',
  'a/.b',
  'A',
  'packs/AB',
  'ä',
  'a b',
  'a\\b',
  'a:b',
  'a\n',
  'a\0b',
  'a'.repeat(201),
  'a/'.repeat(100) + 'b',
]

export interface StorageSuiteOptions {
  /** Tests that do not hold for this implementation, and why. */
  readonly skip?: readonly { readonly reason: string; readonly tests: readonly string[] }[]
}

/**
 * Declares the tests of one implementation. `createStorage` makes an empty storage for one test and registers with
 * `t.after` whatever must be cleaned up; the suite closes the storage itself.
 */
export function describeStorage(
  name: string,
  createStorage: (t: TestContext) => Promise<Storage>,
  options: StorageSuiteOptions = {},
): void {
  const skipped = new Map(
    (options.skip ?? []).flatMap(({ reason, tests }) => tests.map((test): [string, string] => [test, reason])),
  )

  describe(`${name} as Storage`, () => {
    for (const [title, run] of Object.entries(TESTS)) {
      it(title, { skip: skipped.get(title) ?? false }, async (t) => {
        const storage = await createStorage(t)
        t.after(() => storage.close())
        await run(storage)
      })
    }

    it('skips only tests that exist', () => {
      assert.deepEqual(
        [...skipped.keys()].filter((title) => !(title in TESTS)),
        [],
      )
    })
  })
}

const TESTS: Record<string, (storage: Storage) => Promise<void>> = {
  'get() returns exactly the bytes that put() stored': async (storage) => {
    const every = Uint8Array.from({ length: 256 }, (_, i) => i)
    await storage.put('data/ab', every)
    assert.deepEqual(await storage.get('data/ab'), every)
  },

  'get() returns a plain Uint8Array with a buffer of its own': async (storage) => {
    await storage.put('data/ab', bytesOf('abc'))
    const got = await storage.get('data/ab')
    assert.equal(Object.getPrototypeOf(got), Uint8Array.prototype)
    assert.equal(got.buffer.byteLength, 3)
    const part = await storage.get('data/ab', { offset: 1, length: 1 })
    assert.equal(part.buffer.byteLength, 1)
  },

  'put() stores a view, not the memory around it': async (storage) => {
    const around = Buffer.from('....abc....')
    await storage.put('data/buffer', around.subarray(4, 7))
    await storage.put('data/array', new Uint8Array(around.buffer, around.byteOffset + 5, 2))
    assert.equal(textOf(await storage.get('data/buffer')), 'abc')
    assert.equal(textOf(await storage.get('data/array')), 'bc')
  },

  'empty objects exist': async (storage) => {
    await storage.put('data/put', new Uint8Array())
    assert.equal(await storage.putIfAbsent('data/register', new Uint8Array()), true)
    assert.equal((await storage.get('data/put')).length, 0)
    assert.equal((await storage.get('data/register')).length, 0)
    assert.equal(await storage.putIfAbsent('data/register', bytesOf('x')), false)
    assert.deepEqual(await sizesOf(storage, 'data/'), { 'data/put': 0, 'data/register': 0 })
  },

  'objects of 1 byte and of 20 MiB come back': async (storage) => {
    const large = noise(LARGE_BYTES, 1)
    await Promise.all([storage.put('data/one', bytesOf('1')), storage.put('data/large', large)])
    assert.equal(textOf(await storage.get('data/one')), '1')
    assertSameBytes(await storage.get('data/large'), large)
    const range = { offset: LARGE_BYTES - 70_001, length: 70_001 }
    assertSameBytes(await storage.get('data/large', range), large.subarray(range.offset))
    assert.deepEqual(await sizesOf(storage, 'data/'), { 'data/large': LARGE_BYTES, 'data/one': 1 })
  },

  'get() returns ranges at the start, in the middle and at the end': async (storage) => {
    await storage.put('data/ab', bytesOf('0123456789'))
    const at = async (offset: number, length: number) => textOf(await storage.get('data/ab', { offset, length }))
    assert.equal(await at(0, 1), '0')
    assert.equal(await at(0, 10), '0123456789')
    assert.equal(await at(3, 4), '3456')
    assert.equal(await at(9, 1), '9')
  },

  'get() throws DATA_CORRUPT when the range ends past the object': async (storage) => {
    await storage.put('data/ab', bytesOf('0123456789'))
    await storage.put('data/empty', new Uint8Array())
    for (const [key, offset, length] of [
      ['data/ab', 0, 11],
      ['data/ab', 9, 2],
      ['data/ab', 10, 1],
      ['data/ab', 5_000_000_000, 1],
      ['data/empty', 0, 1],
    ] as const) {
      await assert.rejects(storage.get(key, { offset, length }), { code: 'DATA_CORRUPT' }, `${key} ${offset}+${length}`)
    }
  },

  'get() throws INVALID_ARGUMENT for what is no range': async (storage) => {
    await storage.put('data/ab', bytesOf('0123456789'))
    for (const [offset, length] of [
      [-1, 1],
      [0, 0],
      [0, -1],
      [0.5, 1],
      [Number.NaN, 1],
      [0, Number.POSITIVE_INFINITY],
    ] as const) {
      await assert.rejects(storage.get('data/ab', { offset, length }), { code: 'INVALID_ARGUMENT' })
    }
  },

  'get() throws NOT_FOUND for an unknown key': async (storage) => {
    await storage.put('data/ab', bytesOf('x'))
    for (const key of ['data/none', 'none', 'data', 'data/a', 'data/abc', 'none/ab']) {
      await assert.rejects(storage.get(key), { code: 'NOT_FOUND' }, key)
      await assert.rejects(storage.get(key, { offset: 0, length: 1 }), { code: 'NOT_FOUND' }, `${key} with a range`)
    }
  },

  'put() replaces the object': async (storage) => {
    await storage.put('data/ab', bytesOf('a long first version'))
    await storage.put('data/ab', bytesOf('second'))
    assert.equal(textOf(await storage.get('data/ab')), 'second')
    assert.deepEqual(await sizesOf(storage, ''), { 'data/ab': 6 })
  },

  'readers see the old object or the new one, whole, while put() replaces it': async (storage) => {
    const versions = [new Uint8Array(1_000_000).fill(1), new Uint8Array(300_000).fill(2)] as const
    await storage.put('data/ab', versions[0])
    const end = new AbortController()
    let reads = 0
    const read = async () => {
      while (!end.signal.aborted) {
        const bytes = await storage.get('data/ab')
        assertSameBytes(bytes, versions[bytes[0] === 1 ? 0 : 1])
        reads++
      }
    }
    const write = async () => {
      try {
        for (let i = 1; i <= 20; i++) await storage.put('data/ab', versions[i % 2 === 0 ? 0 : 1])
      } finally {
        end.abort()
      }
    }
    await Promise.all([read(), read(), read(), write()])
    assert.ok(reads > 0)
  },

  'put() keeps no reference to the memory of its caller': async (storage) => {
    const data = bytesOf('original')
    const buffer = Buffer.from('original')
    await storage.put('data/put', data)
    await storage.put('data/buffer', buffer)
    await storage.putIfAbsent('data/register', data)
    data.fill(0)
    buffer.fill(0)
    for (const key of ['data/put', 'data/buffer', 'data/register']) {
      assert.equal(textOf(await storage.get(key)), 'original', key)
    }
  },

  'get() gives its buffer away': async (storage) => {
    await storage.put('data/ab', bytesOf('original'))
    ;(await storage.get('data/ab')).fill(0)
    ;(await storage.get('data/ab', { offset: 2, length: 3 })).fill(0)
    assert.equal(textOf(await storage.get('data/ab')), 'original')
  },

  'putIfAbsent() stores the bytes of exactly one of 16 callers': async (storage) => {
    for (let round = 0; round < 5; round++) {
      const key = `commits/${round}`
      const callers = Array.from({ length: 16 }, (_, i) => new Uint8Array(100 + i).fill(i))
      const won = await Promise.all(callers.map((data) => storage.putIfAbsent(key, data)))
      assert.equal(won.filter(Boolean).length, 1)
      assert.deepEqual(await storage.get(key), callers[won.indexOf(true)])
    }
  },

  'putIfAbsent() leaves an existing object alone': async (storage) => {
    await storage.put('commits/a', bytesOf('first'))
    assert.equal(await storage.putIfAbsent('commits/a', bytesOf('second')), false)
    assert.equal(textOf(await storage.get('commits/a')), 'first')
  },

  'putIfAbsent() stores again what was deleted': async (storage) => {
    assert.equal(await storage.putIfAbsent('commits/a', bytesOf('first')), true)
    await storage.delete('commits/a')
    assert.equal(await storage.putIfAbsent('commits/a', bytesOf('second')), true)
    assert.equal(textOf(await storage.get('commits/a')), 'second')
  },

  'list() yields the objects whose keys begin with the prefix, with their sizes': async (storage) => {
    const sizes: Record<string, number> = {
      config: 1,
      'index/5e55-0': 2,
      'index/5e55-1': 3,
      'index/5e55f-0': 4,
      'packs/ab/abcd': 5,
      'packs/ab/abce': 6,
      'packs/ac/acde': 7,
      'packs.old/ab/abcd': 8,
      'packs-1': 9,
      'a/b/c/d/e': 10,
    }
    await Promise.all(Object.entries(sizes).map(([key, size]) => storage.put(key, new Uint8Array(size))))
    for (const prefix of [
      '',
      'c',
      'config',
      'index/',
      'index/5e55-',
      'index/5e55-1',
      'packs',
      'packs/',
      'packs/a',
      'packs/ab',
      'packs/ab/',
      'packs/ab/abc',
      'packs/ab/abcd',
      'a/b/c/',
    ]) {
      const wanted = Object.entries(sizes).filter(([key]) => key.startsWith(prefix))
      assert.deepEqual(await sizesOf(storage, prefix), Object.fromEntries(wanted.sort(byKey)), `prefix '${prefix}'`)
    }
  },

  'list() yields nothing for a prefix that no key has': async (storage) => {
    assert.deepEqual(await sizesOf(storage, ''), {})
    await storage.put('packs/ab/abcd', bytesOf('x'))
    for (const prefix of ['b', 'pack/', 'packs/b', 'packs/ab/abcd/', 'packs/ab/abcde', 'none/', 'none/x/y']) {
      assert.deepEqual(await sizesOf(storage, prefix), {}, prefix)
    }
    for (const prefix of ['/', '.', '..', '../', './', 'packs/../packs/', 'packs//', 'PACKS', '\0']) {
      assert.deepEqual(await sizesOf(storage, prefix), {}, prefix)
    }
  },

  'list() yields a time that is about now and does not go back when an object is replaced': async (storage) => {
    let before = systemClock.now() - DAY_MS // the clock of the store may differ
    for (let i = 0; i < 3; i++) {
      await storage.put('sessions/a', bytesOf(`heartbeat ${i}`))
      const [object] = await Array.fromAsync(storage.list('sessions/'))
      assert.ok(object && object.modifiedAtMs >= before, `${object?.modifiedAtMs} is before ${before}`)
      assert.ok(Number.isInteger(object.modifiedAtMs) && object.modifiedAtMs < systemClock.now() + DAY_MS)
      before = object.modifiedAtMs
    }
  },

  'list() yields every object that stays, once, while others come, go and are replaced': async (storage) => {
    const stay = Array.from({ length: 40 }, (_, i) => `sessions/${i}`)
    await Promise.all(stay.map((key) => storage.put(key, bytesOf('x'))))
    const end = new AbortController()
    const churn = async (lane: number) => {
      for (let i = 0; !end.signal.aborted; i++) {
        const key = `sessions/churn-${lane}-${i % 7}`
        await storage.put(key, bytesOf('y'))
        await storage.put(`sessions/${(i * 3 + lane) % stay.length}`, bytesOf('z'))
        await storage.delete(key)
      }
    }
    const list = async () => {
      try {
        for (let i = 0; i < 20; i++) {
          const keys = (await Array.fromAsync(storage.list('sessions/'))).map(({ key }) => key)
          assert.equal(new Set(keys).size, keys.length, 'an object was listed twice')
          assert.deepEqual(keys.filter((key) => !key.includes('churn')).sort(), [...stay].sort())
        }
      } finally {
        end.abort()
      }
    }
    await Promise.all([list(), churn(0), churn(1), churn(2)])
  },

  'delete() removes the object and can be repeated': async (storage) => {
    await storage.put('data/ab', bytesOf('x'))
    await storage.put('data/ac', bytesOf('y'))
    await storage.delete('data/ab')
    await storage.delete('data/ab')
    await storage.delete('data/none')
    await storage.delete('none/none')
    await assert.rejects(storage.get('data/ab'), { code: 'NOT_FOUND' })
    assert.deepEqual(await sizesOf(storage, ''), { 'data/ac': 1 })
  },

  'delete() of what only begins other keys removes nothing': async (storage) => {
    await storage.put('data/ab', bytesOf('x'))
    await storage.delete('data')
    await storage.delete('data/a')
    assert.equal(textOf(await storage.get('data/ab')), 'x')
  },

  'persist(), where there is one, takes any keys, also of objects that have gone': async (storage) => {
    await storage.put('packs/ab/abcd', bytesOf('x'))
    await storage.put('config', bytesOf('y'))
    await storage.persist?.(['packs/ab/abcd', 'packs/ab/none', 'none/x', 'config'])
    await storage.persist?.([])
    assert.equal(textOf(await storage.get('packs/ab/abcd')), 'x')
  },

  'freeBytes(), where there is one, is a number of bytes or unknown': async (storage) => {
    const free = await storage.freeBytes?.()
    assert.ok(free === undefined || (Number.isSafeInteger(free) && free >= 0), `${free}`)
  },

  'many new folders can be filled at once': async (storage) => {
    const keys = Array.from({ length: 64 }, (_, i) => `packs/${i % 4}a/${i}`)
    await Promise.all(keys.map((key) => storage.put(key, bytesOf(key))))
    const got = await Promise.all(keys.map(async (key) => textOf(await storage.get(key))))
    assert.deepEqual(got, keys)
    assert.equal((await Array.fromAsync(storage.list('packs/'))).length, 64)
  },

  'keys may use every allowed character and 200 of them': async (storage) => {
    const keys = [
      'abcdefghijklmnopqrstuvwxyz0123456789-_.',
      '-/_/0',
      '-rf',
      'a..b',
      'a.',
      'a/b.c.',
      'k'.repeat(200),
      `packs/${'0'.repeat(194)}`,
      `${'d/'.repeat(99)}ef`,
    ]
    for (const key of keys) {
      await storage.put(key, bytesOf(key))
      assert.equal(textOf(await storage.get(key)), key)
      assert.equal((await sizesOf(storage, key))[key], key.length)
    }
    assert.deepEqual(Object.keys(await sizesOf(storage, '')), [...keys].sort())
    for (const key of keys) await storage.delete(key)
    assert.deepEqual(await sizesOf(storage, ''), {})
  },

  'invalid keys are refused by every operation': async (storage) => {
    const refused = { code: 'INVALID_ARGUMENT' }
    for (const key of INVALID_KEYS) {
      const shown = JSON.stringify(key)
      await assert.rejects(storage.put(key, bytesOf('x')), refused, `put ${shown}`)
      await assert.rejects(storage.putIfAbsent(key, bytesOf('x')), refused, `putIfAbsent ${shown}`)
      await assert.rejects(storage.get(key), refused, `get ${shown}`)
      await assert.rejects(storage.delete(key), refused, `delete ${shown}`)
    }
    assert.deepEqual(await sizesOf(storage, ''), {})
  },

  'an aborted signal ends every operation before it does anything': async (storage) => {
    const options = { signal: AbortSignal.abort() }
    const cancelled = { code: 'CANCELLED' }
    await storage.put('data/ab', bytesOf('kept'))
    await assert.rejects(storage.put('data/ab', bytesOf('new'), options), cancelled)
    await assert.rejects(storage.put('data/new', bytesOf('new'), options), cancelled)
    await assert.rejects(storage.putIfAbsent('data/new', bytesOf('new'), options), cancelled)
    await assert.rejects(storage.delete('data/ab', options), cancelled)
    await assert.rejects(storage.get('data/ab', undefined, options), cancelled)
    await assert.rejects(Array.fromAsync(storage.list('', options)), cancelled)
    assert.equal(textOf(await storage.get('data/ab')), 'kept')
    assert.deepEqual(await sizesOf(storage, ''), { 'data/ab': 4 })
  },

  'an abort on the way leaves the old object or the new one': async (storage) => {
    const [old, fresh] = [noise(1_000_000, 2), noise(1_000_000, 3)]
    await storage.put('data/ab', old)
    const controller = new AbortController()
    const put = storage.put('data/ab', fresh, { signal: controller.signal })
    controller.abort()
    const stored = await put.then(
      () => fresh,
      (error: { code?: unknown }) => {
        assert.equal(error.code, 'CANCELLED')
        return undefined
      },
    )
    const got = await storage.get('data/ab')
    assertSameBytes(got, stored ?? (got[0] === old[0] ? old : fresh))
  },
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}

/** Bytes without a period, the same for the same seed. */
function noise(length: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4))
  let state = seed
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    words[i] = state ^ (state >>> 15)
  }
  return new Uint8Array(words.buffer, 0, length)
}

// Not deepEqual: its message would print megabytes.
function assertSameBytes(got: Uint8Array, wanted: Uint8Array): void {
  assert.equal(got.length, wanted.length)
  assert.ok(Buffer.compare(got, wanted) === 0, `the same ${wanted.length} bytes come back`)
}

function byKey([a]: [string, number], [b]: [string, number]): number {
  return a < b ? -1 : 1
}

/** Sizes of the listed objects in the order of their keys. */
async function sizesOf(storage: Storage, prefix: string): Promise<Record<string, number>> {
  const objects = await Array.fromAsync(storage.list(prefix))
  const sizes = objects.map(({ key, sizeBytes }): [string, number] => [key, sizeBytes])
  assert.equal(new Set(sizes.map(([key]) => key)).size, sizes.length, 'an object was listed twice')
  return Object.fromEntries(sizes.sort(byKey))
}
