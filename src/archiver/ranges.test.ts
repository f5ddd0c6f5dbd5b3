/** Files that several workers read at once are cut as if one had read them from the start. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { toHex } from '../base/ids.ts'
import { createChunker } from '../chunker/chunker.ts'
import { MAX_CHUNK_BYTES, parseChunkerParams } from '../chunker/params.ts'
import { feed, testBytes } from '../chunker/testing.ts'
import { ChunkHasher } from '../codec/hash.ts'
import { newDirectory } from '../platform/testing.ts'
import type { Repository } from '../repository/repository.ts'
import { RANGE_BYTES } from './protocol.ts'
import { SMALL_CHUNKS, archiveInto, folderSource, newRepository, nodesOf, refsOf } from './testing.ts'

const MAX_BYTES = 64 << 10
const data = testBytes('a large file', RANGE_BYTES * 2 + (1 << 20))

function cutsOf({ keys, config }: Repository, file: Uint8Array): number[] {
  return feed(createChunker(config.chunker, keys.gear, MAX_CHUNK_BYTES), file, () => MAX_CHUNK_BYTES)
}

/** Backs up files of this content and compares their chunks with those of the file cut in one go. */
async function expectSequentialChunks(
  chunkerParams: string,
  files: Record<string, Uint8Array>,
  workers: number,
): Promise<void> {
  const folder = newDirectory()
  for (const [name, content] of Object.entries(files)) writeFileSync(`${folder}/${name}`, content)
  const repository = await newRepository(chunkerParams)
  const run = await archiveInto(repository, folderSource(folder), { workers })
  assert.deepEqual(run.issues, [])
  const nodes = await nodesOf(repository, run)
  const hasher = new ChunkHasher(repository.keys.chunkId)
  for (const [name, content] of Object.entries(files)) {
    const ends = cutsOf(repository, content)
    const want = ends.map((end, i) => toHex(hasher.hash(content.subarray(ends[i - 1] ?? 0, end))))
    const refs = await refsOf(repository, nodes.get(name))
    assert.deepEqual(
      refs.map(({ bytes }) => bytes),
      ends.map((end, i) => end - (ends[i - 1] ?? 0)),
      name,
    )
    assert.deepEqual(
      refs.map(({ id }) => toHex(id)),
      want,
      name,
    )
    assert.equal(nodes.get(name)?.sizeBytes, content.length)
  }
}

const prefixes = (...sizes: number[]): Record<string, Uint8Array> =>
  Object.fromEntries(sizes.map((size) => [String(size), data.subarray(0, size)]))

describe('a file of several ranges', () => {
  it('has the chunks of a sequential read, at all sizes around the ends of ranges', async () => {
    const sizes = [RANGE_BYTES, RANGE_BYTES + MAX_BYTES, 2 * RANGE_BYTES, 2 * RANGE_BYTES + MAX_BYTES].flatMap(
      (size) => [size - 1, size, size + 1],
    )
    await expectSequentialChunks(SMALL_CHUNKS, prefixes(...sizes), 2)
  })

  it('has them when it ends exactly where a range ends, or one byte before or after', async () => {
    const cuts = cutsOf(await newRepository(), data)
    const first = cuts.find((cut) => cut >= RANGE_BYTES) ?? 0
    const second = cuts.find((cut) => cut >= first + RANGE_BYTES) ?? 0
    assert.ok(first > 0 && second > first)
    const sizes = [first, second].flatMap((end) => [end - 1, end, end + 1])
    await expectSequentialChunks(SMALL_CHUNKS, prefixes(...sizes), 3)
  })

  it('has them with chunks that all have the largest size, and with chunks of fixed size', async () => {
    const zeros = Buffer.alloc(2 * RANGE_BYTES + 5)
    await expectSequentialChunks(SMALL_CHUNKS, { zeros, exact: zeros.subarray(0, 2 * RANGE_BYTES) }, 2)
    const files = { ...prefixes(RANGE_BYTES + 1, 2 * RANGE_BYTES, 2 * RANGE_BYTES + 4097), zeros }
    await expectSequentialChunks('fixed,12K', files, 2)
  })

  it('has them whatever the parameters', async () => {
    for (const params of ['fastcdc,64,4K,8K', 'fastcdc,256K,1M,4M', 'fastcdc,1M,16M,32M']) {
      assert.equal(parseChunkerParams(params).algorithm, 'fastcdc')
      await expectSequentialChunks(params, prefixes(data.length), 2)
    }
  })
})

describe('a file of one range', () => {
  it('has the chunks of a sequential read, at all sizes around those of chunks', async () => {
    const sizes = [0, 1, 4095, 4096, 4097, 16_384, 65_535, 65_536, 65_537, 1 << 20, (1 << 20) + 1, 4 << 20]
    await expectSequentialChunks(SMALL_CHUNKS, prefixes(...sizes), 2)
  })

  it('is one chunk up to the least size of a chunk, and none when it is empty', async () => {
    const folder = newDirectory()
    for (const size of [0, 1, 4096, 4097]) writeFileSync(`${folder}/${size}`, data.subarray(0, size))
    const repository = await newRepository()
    const nodes = await nodesOf(repository, await archiveInto(repository, folderSource(folder)))
    assert.equal(nodes.get('0')?.content, undefined)
    for (const size of ['1', '4096']) assert.equal((await refsOf(repository, nodes.get(size))).length, 1)
  })
})
