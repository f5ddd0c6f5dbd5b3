import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { CacheStorage } from './cache-storage.ts'
import { MemoryStorage } from './memory/memory-storage.ts'
import { describeStorage } from './suite.ts'
import { FaultyStorage } from './testing.ts'

const PREFIXES = ['index/', 'commits/']

function newFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'cairn-cache-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return path.join(folder, 'cache')
}

describeStorage(
  'CacheStorage',
  async (t) => new CacheStorage(new MemoryStorage(), { folder: newFolder(t), prefixes: ['index/', 'names/'] }),
)

/** A store with three objects, what reaches it counted, and a cache in which two of them are. */
async function newCached(t: TestContext) {
  const store = new FaultyStorage(new MemoryStorage())
  const folder = newFolder(t)
  await store.put('index/a', Buffer.from('first'))
  await store.put('index/b', Buffer.from('second'))
  await store.put('packs/c', Buffer.from('third'))
  const open = (): CacheStorage => new CacheStorage(store, { folder, prefixes: PREFIXES })
  const storage = open()
  for (const key of ['index/a', 'index/b', 'packs/c']) await storage.get(key)
  const read = async (key: string): Promise<[text: string, reads: number]> => {
    const before = store.count({ kind: 'get' })
    const text = Buffer.from(await open().get(key)).toString()
    return [text, store.count({ kind: 'get' }) - before]
  }
  return { store, folder, open, read }
}

describe('CacheStorage', () => {
  it('reads what never changes once, and the rest always', async (t) => {
    const { folder, read } = await newCached(t)
    assert.deepEqual(await read('index/a'), ['first', 0])
    assert.deepEqual(await read('packs/c'), ['third', 1])
    assert.match(
      readFileSync(path.join(folder, 'CACHEDIR.TAG'), 'latin1'),
      /^Signature: 8a477f597d28d172789f06886806bc55/,
    )
  })

  it('keeps what it puts, and not what is put if absent', async (t) => {
    const { open, read } = await newCached(t)
    await open().put('index/d', Buffer.from('fourth'))
    await open().putIfAbsent('commits/e', Buffer.from('fifth'))
    assert.deepEqual(await read('index/d'), ['fourth', 0])
    assert.deepEqual(await read('commits/e'), ['fifth', 1])
  })

  it('keeps nothing that could not be put', async (t) => {
    const { store, open, read } = await newCached(t)
    store.fail({ kind: 'put' })
    await assert.rejects(open().put('index/d', Buffer.from('fourth')), { code: 'STORAGE_UNAVAILABLE' })
    await assert.rejects(read('index/d'), { code: 'NOT_FOUND' })
  })

  it('forgets what a listing does not have any more, and what killed runs left', async (t) => {
    const { store, folder, open, read } = await newCached(t)
    writeFileSync(path.join(folder, 'index/b.0123456789abcdef'), 'half')
    await store.delete('index/a')
    await Array.fromAsync(open().list('index/'))
    assert.deepEqual(readdirSync(path.join(folder, 'index')), ['b'])
    await assert.rejects(read('index/a'), { code: 'NOT_FOUND' })
  })

  it('forgets nothing for a listing that was not finished, or of a part', async (t) => {
    const { store, open, read } = await newCached(t)
    store.fail({ kind: 'list', when: 'after' })
    await assert.rejects(Array.fromAsync(open().list('index/')))
    for await (const _ of open().list('index/')) break
    await Array.fromAsync(open().list('index/b'))
    assert.deepEqual(await read('index/a'), ['first', 0])
  })

  it('forgets what it deletes', async (t) => {
    const { open, read } = await newCached(t)
    await open().delete('index/a')
    await assert.rejects(read('index/a'), { code: 'NOT_FOUND' })
  })

  it('reads again what is damaged: any byte flipped, and any length', async (t) => {
    const { folder, read } = await newCached(t)
    const file = path.join(folder, 'index/a')
    const good = readFileSync(file)
    for (let i = 0; i < good.length; i++) {
      const flipped = Buffer.from(good)
      flipped[i] = (flipped[i] as number) ^ 1
      writeFileSync(file, flipped)
      assert.deepEqual(await read('index/a'), ['first', 1], `byte ${i}`)
      writeFileSync(file, good.subarray(0, i))
      assert.deepEqual(await read('index/a'), ['first', 1], `${i} bytes`)
    }
    assert.deepEqual(await read('index/a'), ['first', 0])
    writeFileSync(file, Buffer.concat([good, Buffer.from('x')]))
    assert.deepEqual(await read('index/a'), ['first', 1])
  })

  it('does not take an object for another one', async (t) => {
    const { folder, read } = await newCached(t)
    renameSync(path.join(folder, 'index/a'), path.join(folder, 'index/b'))
    assert.deepEqual(await read('index/b'), ['second', 1])
    cpSync(path.join(folder, 'index/b'), path.join(folder, 'index/a'))
    assert.deepEqual(await read('index/a'), ['first', 1])
  })

  it('does without where nothing can be written or read', async (t) => {
    const { store, folder, open, read } = await newCached(t)
    rmSync(folder, { recursive: true })
    writeFileSync(folder, 'a file')
    await open().put('index/d', Buffer.from('fourth'))
    assert.deepEqual(await read('index/d'), ['fourth', 1])
    assert.deepEqual(await read('index/d'), ['fourth', 1])
    assert.equal((await Array.fromAsync(open().list('index/'))).length, 3)
    await open().delete('index/d')
    assert.equal(store.count({ kind: 'delete', prefix: 'index/d' }), 1)
  })
})
