import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NO_SAMPLE, SAMPLE_BLOCK_BYTES, SampleReader, SampleWriter, sampleBlocks, toSample } from './samples.ts'
import { MemoryChunks } from './testing.ts'

describe('sampleBlocks()', () => {
  it('cover a file of up to three blocks wholly', () => {
    assert.deepEqual(sampleBlocks(0), [])
    for (const size of [1, SAMPLE_BLOCK_BYTES, 3 * SAMPLE_BLOCK_BYTES])
      assert.deepEqual(sampleBlocks(size), [{ offset: 0, length: size }])
  })

  it('are the first, the middle and the last block of a larger one', () => {
    const size = 10 * SAMPLE_BLOCK_BYTES + 1
    assert.deepEqual(
      sampleBlocks(size).map(({ offset }) => offset),
      [0, Math.floor((size - SAMPLE_BLOCK_BYTES) / 2), size - SAMPLE_BLOCK_BYTES],
    )
    for (const { length } of sampleBlocks(2 ** 50)) assert.equal(length, SAMPLE_BLOCK_BYTES)
  })
})

describe('SampleWriter', () => {
  it('gives samples back by position, also in many chunks, and none past the end', async () => {
    const chunks = new MemoryChunks()
    const writer = new SampleWriter(chunks.save)
    const count = 40_000
    for (let i = 0; i < count; i++) writer.add((BigInt(i) * 0x9e3779b97f4a7c15n) & 0xffff_ffff_ffff_ffffn)
    const early = writer.peek() as Buffer
    writer.add(7n)
    const reader = new SampleReader(writer.finish() as Buffer, chunks.load)
    for (const position of [0, 1, 5000, count - 1])
      assert.equal(await reader.find(position), (BigInt(position) * 0x9e3779b97f4a7c15n) & 0xffff_ffff_ffff_ffffn)
    assert.equal(await reader.find(count), 7n)
    assert.equal(await reader.find(count + 1), NO_SAMPLE)
    assert.equal(await new SampleReader(early, chunks.load).find(count), NO_SAMPLE)
    assert.ok(chunks.count > 4)
  })
})

describe('SampleWriter without samples', () => {
  it('stores nothing, and counts those without from the first that has one', async () => {
    const chunks = new MemoryChunks()
    const writer = new SampleWriter(chunks.save)
    for (let i = 0; i < 20_000; i++) writer.add(NO_SAMPLE)
    assert.equal(writer.peek(), undefined)
    assert.equal(chunks.count, 0)
    writer.add(5n)
    const reader = new SampleReader(writer.finish() as Buffer, chunks.load)
    assert.equal(await reader.find(19_999), NO_SAMPLE)
    assert.equal(await reader.find(20_000), 5n)
  })
})

describe('toSample()', () => {
  it('is the first 8 bytes, little-endian, and never the one that means none', () => {
    assert.equal(toSample(Buffer.from('0102000000000000ff', 'hex')), 0x201n)
    assert.equal(toSample(Buffer.alloc(32)), 1n)
  })
})
