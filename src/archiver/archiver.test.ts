import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { toHex } from '../base/ids.ts'
import { testBytes } from '../chunker/testing.ts'
import { newDirectory } from '../platform/testing.ts'
import { sourceEntry, sourceOf } from '../sources/testing.ts'
import { RANGE_BYTES } from './protocol.ts'
import { archiveInto, chunkIdsOf, folderSource, newRepository, nodesOf } from './testing.ts'

/** A folder of many small files in nested directories, duplicates, symlinks, and files of one and of several ranges. */
function newTree(): string {
  const root = newDirectory()
  const data = testBytes('the tree', RANGE_BYTES * 2 + 12_345)
  for (let d = 0; d < 12; d++) {
    const folder = `${root}/dir-${d}/${'sub/'.repeat(d % 4)}`
    mkdirSync(folder, { recursive: true })
    for (let f = 0; f < 30; f++) writeFileSync(`${folder}/f${f}`, data.subarray(f * 100, f * 1000 + d))
    symlinkSync(`../f${d}`, `${folder}/link`)
  }
  writeFileSync(`${root}/several-ranges`, data)
  writeFileSync(`${root}/z-one-range`, data.subarray(5, 3 << 20))
  mkdirSync(`${root}/z-empty`)
  return root
}

const tree = newTree()

describe('archive()', () => {
  it('gives the same tree and the same chunks with any number of workers, and every time', async () => {
    const results: unknown[] = []
    for (const workers of [1, 3, 8]) {
      const repository = await newRepository()
      const run = await archiveInto(repository, folderSource(tree), { workers })
      assert.deepEqual(run.issues, [])
      results.push({
        tree: toHex(run.tree),
        stamps: toHex(run.stamps),
        chunks: await chunkIdsOf(repository, run),
      })
      // How much is new is not the same every time: two threads may store one chunk while the chunk table grows.
    }
    for (const result of results.slice(1)) assert.deepEqual(result, results[0])
  })

  it('stores equal content once, within a run and across runs', async () => {
    const repository = await newRepository()
    const root = newDirectory()
    const data = testBytes('a duplicate', 300_000)
    for (const name of ['a', 'b', 'c']) writeFileSync(`${root}/${name}`, data)
    const first = await archiveInto(repository, folderSource(root))
    assert.equal(first.data.newBytes, data.length)
    assert.equal(first.data.chunks, first.data.newChunks * 3)
    writeFileSync(`${root}/d`, data)
    const second = await archiveInto(repository, folderSource(root))
    assert.equal(second.data.newBytes, 0)
    assert.equal(second.data.storedBytes, 0)
  })

  it('reports every entry once with its letter', async () => {
    const root = newDirectory()
    mkdirSync(`${root}/d`)
    writeFileSync(`${root}/d/f`, 'x')
    symlinkSync('f', `${root}/d/l`)
    const special = (['fifo', 'chardev', 'blockdev'] as const).map((type) => sourceEntry(type, { type }))
    const onTheWay = sourceEntry('b', { type: 'dir', ancestor: true })
    const run = await archiveInto(await newRepository(), folderSource(root))
    assert.deepEqual(run.entries.sort(), ['A d/f', 'd d', 's d/l'])
    const made = await archiveInto(await newRepository(), sourceOf([onTheWay, ...special]))
    assert.deepEqual(made.entries, ['f fifo', 'c chardev', 'b blockdev'])
  })

  it('saves a source without any entry as an empty tree', async () => {
    const repository = await newRepository()
    const run = await archiveInto(repository, sourceOf([]))
    assert.equal((await nodesOf(repository, run)).size, 0)
    assert.equal(run.data.chunks, 0)
  })

  it('saves 20,000 different directories without a single file to read', async () => {
    const repository = await newRepository()
    const entries = Array.from({ length: 20_000 }, (_, i) => {
      const name = `d${String(i).padStart(5, '0')}`
      const link = sourceEntry(`${name}/link`, { type: 'symlink', linkTarget: name })
      return [sourceEntry(name, { type: 'dir' }), link]
    })
    const run = await archiveInto(repository, sourceOf(entries.flat()))
    assert.equal(run.entries.length, 40_000)
    assert.ok(run.trees.newChunks > 20_000)
    const nodes = await nodesOf(repository, run)
    assert.equal(nodes.get('d19999/link')?.linkTarget, 'd19999')
  })

  it('keeps entries of a level deeper than the one before, and of one far above it, in their places', async () => {
    const repository = await newRepository()
    const dir = { type: 'dir' } as const
    const paths = ['a', 'a/b', 'a/b/c', 'a/b/c/d', 'e', 'e/f', 'g']
    const run = await archiveInto(
      repository,
      sourceOf(
        paths.map((path) => sourceEntry(path, dir)),
        1,
      ),
    )
    assert.deepEqual([...(await nodesOf(repository, run)).keys()], paths)
  })
})
