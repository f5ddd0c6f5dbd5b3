import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { sourceOf } from '../base/byte-stream.ts'
import { CairnError } from '../base/errors.ts'
import { testBytes } from '../chunker/testing.ts'
import { newDirectory } from '../platform/testing.ts'
import type { Arrival } from '../sources/arrivals.ts'
import type { SourceEntry } from '../sources/source.ts'
import { sourceEntry } from '../sources/testing.ts'
import { RANGE_BYTES } from './protocol.ts'
import {
  archiveArrivalsInto,
  archiveInto,
  chunkIdsOf,
  contentOf,
  entriesOf,
  folderSource,
  newRepository,
  nodesOf,
} from './testing.ts'

const LARGEST_CHUNK = 64 << 10
const data = testBytes('an arriving file', RANGE_BYTES * 2 + (1 << 20))

function fileOf(path: string, content: Uint8Array, fields: Partial<SourceEntry> = {}): Arrival {
  const entry = sourceEntry(path, { sizeBytes: content.length, ...fields })
  return { entry, content: sourceOf(content), contentBytes: content.length }
}

function folderOf(path: string, fields: Partial<SourceEntry> = {}): Arrival {
  return { entry: sourceEntry(path, { type: 'dir', mode: 0o755, ...fields }) }
}

describe('archiveArrivals()', () => {
  it('cuts contents of any length as a file of a folder is cut, however long they are said to be', async () => {
    const sizes = [0, 1, 4095, 4097, 1 << 20, RANGE_BYTES, RANGE_BYTES + LARGEST_CHUNK, 2 * RANGE_BYTES].flatMap(
      (size) => [size - 1, size, size + 1].filter((near) => near >= 0),
    )
    const folder = newDirectory()
    const lengths = [...new Set([...sizes, data.length])]
    for (const length of lengths) writeFileSync(`${folder}/${length}`, data.subarray(0, length))
    const repository = await newRepository()
    const want = await chunkIdsOf(repository, await archiveInto(repository, folderSource(folder), { workers: 2 }))
    for (const isKnown of [true, false]) {
      const arrivals = lengths.map((length) => {
        const arrival = fileOf(String(length), data.subarray(0, length))
        return isKnown ? arrival : { ...arrival, contentBytes: undefined }
      })
      const other = await newRepository()
      const run = await archiveArrivalsInto(other, arrivals, { workers: isKnown ? 1 : 3 })
      assert.deepEqual(await chunkIdsOf(other, run), want)
    }
  })

  it('gives the tree that a walk gives, in whatever order entries come', async () => {
    const folder = newDirectory()
    for (const name of ['b', 'a', 'a/deep', 'a/deep/er', 'a.', 'empty']) mkdirSync(`${folder}/${name}`)
    for (const name of ['b/x', 'a/deep/er/f', 'a/y', 'a./z', 'top', 'a/deep-'])
      writeFileSync(`${folder}/${name}`, name.repeat(3000))
    const repository = await newRepository()
    const want = (await archiveInto(repository, folderSource(folder))).tree
    const entries = await entriesOf(folder)
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(entries, { minLength: entries.length }), async (shuffled) => {
        const arrivals = shuffled.map((entry): Arrival => {
          if (entry.type !== 'file') return { entry }
          return fileOf(entry.path, Buffer.from(entry.path.repeat(3000)), entry)
        })
        const run = await archiveArrivalsInto(await newRepository(), arrivals)
        assert.deepEqual(run.tree, want)
        assert.deepEqual(run.issues, [])
      }),
      { numRuns: 8 },
    )
  })

  it('makes directories on the way that nobody knows anything of', async () => {
    const repository = await newRepository()
    const run = await archiveArrivalsInto(repository, [
      fileOf('a/b/c', Buffer.from('c')),
      folderOf('a', { mode: 0o700 }),
    ])
    const nodes = await nodesOf(repository, run)
    assert.deepEqual([...nodes.keys()], ['a', 'a/b', 'a/b/c'])
    assert.deepEqual([nodes.get('a')?.mode, nodes.get('a')?.ancestor], [0o700, undefined])
    assert.equal(nodes.get('a/b')?.ancestor, true)
  })

  it('takes the last of several entries of one path', async () => {
    const repository = await newRepository()
    const run = await archiveArrivalsInto(repository, [
      fileOf('f', Buffer.from('old')),
      fileOf('f', Buffer.from('new!')),
      fileOf('was-file', Buffer.from('x')),
      folderOf('was-file'),
      folderOf('was-dir'),
      fileOf('was-dir', Buffer.from('y')),
      folderOf('d', { mode: 0o700 }),
      fileOf('d/in', Buffer.from('z')),
      folderOf('d', { mode: 0o711 }),
    ])
    const nodes = await nodesOf(repository, run)
    assert.equal((await contentOf(repository, nodes.get('f'))).toString(), 'new!')
    assert.equal(nodes.get('was-file')?.type, 'dir')
    assert.equal(nodes.get('was-dir')?.type, 'file')
    assert.equal(nodes.get('d')?.mode, 0o711)
    assert.ok(nodes.has('d/in'))
    assert.deepEqual(run.issues, [])
  })

  it('leaves out what cannot be where it says, reads its content for nothing, and goes on', async () => {
    const repository = await newRepository()
    const run = await archiveArrivalsInto(repository, [
      { entry: sourceEntry('link', { type: 'symlink', linkTarget: '/etc' }) },
      fileOf('link/passwd', Buffer.from('evil')),
      folderOf('full'),
      fileOf('full/x', Buffer.from('x')),
      fileOf('full', Buffer.from('y')),
      { entry: sourceEntry('h1'), otherNameOf: 'nothing' },
      { entry: sourceEntry('h2'), otherNameOf: 'full' },
      { entry: sourceEntry('h3'), otherNameOf: 'h3' },
      fileOf('last', Buffer.from('last')),
    ])
    const nodes = await nodesOf(repository, run)
    assert.deepEqual([...nodes.keys()], ['full', 'full/x', 'last', 'link'])
    const leftOut = ['link/passwd', 'full', 'h1', 'h2', 'h3']
    assert.deepEqual(run.issues.sort(), leftOut.map((name) => `LEFT_OUT ${name}`).sort())
    assert.equal((await contentOf(repository, nodes.get('last'))).toString(), 'last')
  })

  it('knows the names of a file by the order of the walk, and forgets those that were replaced', async () => {
    const repository = await newRepository()
    const run = await archiveArrivalsInto(repository, [
      fileOf('m', Buffer.from('shared')),
      { entry: sourceEntry('z'), otherNameOf: 'm' },
      { entry: sourceEntry('a'), otherNameOf: 'z' },
      fileOf('one', Buffer.from('alone')),
      { entry: sourceEntry('two'), otherNameOf: 'one' },
      fileOf('one', Buffer.from('another')),
    ])
    const nodes = await nodesOf(repository, run)
    const links = Object.fromEntries([...nodes].map(([name, { hardLink }]) => [name, hardLink]))
    assert.deepEqual(links, { a: undefined, m: 'a', z: 'a', one: undefined, two: undefined })
    for (const name of ['a', 'm', 'z'])
      assert.equal((await contentOf(repository, nodes.get(name))).toString(), 'shared', name)
    assert.equal((await contentOf(repository, nodes.get('two'))).toString(), 'alone')
    assert.deepEqual(run.entries, ['h z', 'h a', 'h two', 'A m', 'A one', 'A one'])
  })

  it('fails as a whole when a content breaks off', async () => {
    const repository = await newRepository()
    const failing = {
      read: async (): Promise<number> => {
        throw new CairnError('SOURCE_FAILED', 'it broke off')
      },
    }
    for (const contentBytes of [10, RANGE_BYTES * 3, undefined]) {
      const entry = sourceEntry('f')
      const arrivals = [fileOf('before', data.subarray(0, 100_000)), { entry, content: failing, contentBytes }]
      await assert.rejects(archiveArrivalsInto(repository, arrivals), { code: 'SOURCE_FAILED' })
    }
  })

  it('uses a few pieces of memory, whatever the length of a content', async () => {
    const targets = new Set<ArrayBufferLike>()
    let left = RANGE_BYTES * 12
    const content = {
      async read(target: Uint8Array): Promise<number> {
        targets.add(target.buffer)
        const count = Math.min(target.length, left)
        target.fill(left & 0xff, 0, count)
        left -= count
        return count
      },
    }
    await archiveArrivalsInto(await newRepository('fastcdc,256K,1M,4M'), [
      { entry: sourceEntry('long'), content, contentBytes: undefined },
    ])
    // Memory that went to a worker and back is another object each time, but was detached before.
    const alive = [...targets].filter((memory) => (memory as ArrayBuffer).byteLength > 0)
    assert.ok(alive.length <= 3, `${alive.length} pieces`)
  })
})
