import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ByteWriter } from '../base/binary.ts'
import { encodeContent } from './content.ts'
import { FurtherNamesWriter, readFurtherNames } from './further-names.ts'
import { MemoryChunks, anyName, collect } from './testing.ts'

function write(chunks: MemoryChunks, names: readonly string[]): Buffer {
  const writer = new FurtherNamesWriter(chunks.save)
  for (const name of names) writer.add(name)
  return writer.finish()
}

const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `some/where/below/file-${i}`)

describe('FurtherNamesWriter and readFurtherNames()', () => {
  it('give back any names', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyName), async (names) => {
        const chunks = new MemoryChunks()
        assert.deepEqual((await collect(readFurtherNames(write(chunks, names), chunks.load))).flat(), names)
      }),
    )
  })

  it('store many in chunks of which most stay when some are added', async () => {
    const chunks = new MemoryChunks()
    const names = numbered(100_000)
    const content = write(chunks, names)
    const { count } = chunks
    assert.ok(count > 10, String(count))
    assert.deepEqual((await collect(readFurtherNames(content, chunks.load))).flat(), names)
    write(chunks, ['another', ...names])
    assert.ok(chunks.count <= count + 2)
  })

  it('tell what there would be if it ended, and go on', async () => {
    const chunks = new MemoryChunks()
    const writer = new FurtherNamesWriter(chunks.save)
    const names = numbered(10_000)
    for (const name of names.slice(0, 7000)) writer.add(name)
    assert.deepEqual(writer.peek(), write(chunks, names.slice(0, 7000)))
    for (const name of names.slice(7000)) writer.add(name)
    assert.deepEqual(writer.finish(), write(chunks, names))
  })

  it('refuse what makes no sense, and what would take for ever', async () => {
    const chunks = new MemoryChunks()
    const read = (content: Uint8Array): Promise<unknown> => collect(readFurtherNames(content, chunks.load))
    const half = Buffer.of(100, 1, 2)
    const damaged = { code: 'DATA_CORRUPT', message: /the further names of files/ }
    await assert.rejects(read(encodeContent([{ id: chunks.save(half), bytes: 3 }], chunks.save)), damaged)
    // One chunk, again and again.
    const writer = new ByteWriter()
    writer.text('n'.repeat(4 << 20))
    const ref = { id: chunks.save(writer.view()), bytes: writer.length }
    const endless = Array.from({ length: 100_000 }, () => ref)
    await assert.rejects(read(encodeContent(endless, chunks.save)), damaged)
    assert.ok(chunks.loaded.length < 1000)
  })
})
