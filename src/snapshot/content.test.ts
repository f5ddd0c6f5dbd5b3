import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ByteReader, ByteWriter } from '../base/binary.ts'
import { isCairnError } from '../base/errors.ts'
import { asChunkId, toHex } from '../base/ids.ts'
import { type ChunkRef, contentIds, encodeContent, findStretch, readContent, readInlineContent } from './content.ts'
import { MemoryChunks, collect, testRef } from './testing.ts'

const refs = (count: number, first = 0): ChunkRef[] => Array.from({ length: count }, (_, i) => testRef(first + i))

const read = (content: Uint8Array, chunks: MemoryChunks): Promise<ChunkRef[]> =>
  collect(readContent(content, chunks.load, 'the content'))

/** Compares long lists; deepEqual takes seconds for them. */
function assertSame(found: readonly ChunkRef[], want: readonly ChunkRef[]): void {
  assert.equal(found.length, want.length)
  const different = found.findIndex(
    (ref, i) => ref.bytes !== want[i]?.bytes || Buffer.compare(ref.id, want[i]?.id ?? Buffer.alloc(0)) !== 0,
  )
  assert.equal(different, -1)
}

/** The references of content, by the format and nothing else: a height, and references of 32 bytes and a varint each. */
function readAtOnce(content: Buffer, chunks: MemoryChunks): ChunkRef[] {
  let level = content.subarray(1)
  for (let height = content[0] ?? 0; height > 0; height--) {
    level = Buffer.concat(readRefs(level).map(({ id }) => chunks.get(id).subarray(2)))
  }
  return readRefs(level)
}

function readRefs(bytes: Buffer): ChunkRef[] {
  const reader = new ByteReader(bytes, 'a list')
  const refs: ChunkRef[] = []
  while (!reader.done) refs.push({ id: asChunkId(reader.raw(32)), bytes: reader.varint() })
  return refs
}

describe('encodeContent() and readContent()', () => {
  it('give back lists of any length', async () => {
    for (const count of [0, 1, 63, 64, 65, 127, 128, 129, 2047, 2048, 2049, 4097]) {
      const chunks = new MemoryChunks()
      const content = encodeContent(refs(count), chunks.save)
      assertSame(await read(content, chunks), refs(count))
      assert.equal(chunks.count === 0, count <= 64, `${count} references, ${chunks.count} list chunks`)
    }
  })

  it('need two levels of lists for 200,000 references, and the node stays small', async () => {
    const chunks = new MemoryChunks()
    const all = refs(200_000)
    const content = encodeContent(all, chunks.save)
    assert.equal(content[0], 2)
    assert.ok(content.length < 64 * 40)
    assertSame(readAtOnce(content, chunks), all)
    // The reader itself is asynchronous, for which the test runner takes its time.
    const some = all.slice(0, 30_000)
    assertSame(await read(encodeContent(some, chunks.save), chunks), some)
  })

  it('store identical lists once: a file of nothing but one chunk', async () => {
    const chunks = new MemoryChunks()
    const same = Array.from({ length: 5000 }, () => testRef(7))
    const content = encodeContent(same, chunks.save)
    assertSame(await read(content, chunks), same)
    assert.ok(chunks.count < 5, `${chunks.count} list chunks`)
  })

  it('have these bytes for one chunk, and for 65 chunks in a list', () => {
    const chunks = new MemoryChunks()
    const id = asChunkId(Buffer.alloc(32, 0xcd))
    assert.equal(encodeContent([{ id, bytes: 300 }], chunks.save).toString('hex'), `00${'cd'.repeat(32)}ac02`)
    assert.equal(chunks.count, 0)
    const content = encodeContent(
      Array.from({ length: 65 }, () => ({ id, bytes: 2 })),
      chunks.save,
    )
    const [list = ''] = chunks.ids
    assert.equal(content.toString('hex'), `01${list}8201`) // one list of 130 bytes of content
    assert.equal(chunks.get(Buffer.from(list, 'hex')).toString('hex'), `0102${`${'cd'.repeat(32)}02`.repeat(65)}`)
  })

  it('rewrite few list chunks when a chunk in the middle changes, comes or goes', () => {
    const base = refs(20_000)
    const change = (edit: (list: ChunkRef[]) => void): number => {
      const chunks = new MemoryChunks()
      encodeContent(base, chunks.save)
      const before = chunks.count
      const list = [...base]
      edit(list)
      encodeContent(list, chunks.save)
      return chunks.count - before
    }
    for (const at of [0, 1, 9999, 19_999]) {
      // One list a level; two where the change makes or removes a cut.
      const replaced = change((list) => list.splice(at, 1, testRef(-1 - at)))
      const inserted = change((list) => list.splice(at, 0, testRef(-1 - at)))
      const removed = change((list) => list.splice(at, 1))
      assert.ok(replaced <= 4 && inserted <= 4 && removed <= 4, `at ${at}: ${[replaced, inserted, removed].join()}`)
    }
  })

  it('keep what stands behind a change, whatever its lists look like', () => {
    fc.assert(
      fc.property(fc.nat(6000), fc.nat(300), fc.nat(300), (at, removed, added) => {
        const base = refs(8000)
        const chunks = new MemoryChunks()
        encodeContent(base, chunks.save)
        const before = chunks.count
        const list = [...base]
        list.splice(at, removed, ...refs(added, 1_000_000))
        encodeContent(list, chunks.save)
        // The new references need up to 3 lists; then it takes some until the cuts are the old ones again.
        assert.ok(chunks.count - before <= 8, `${chunks.count - before} new list chunks`)
      }),
      { numRuns: 15 },
    )
  })
})

describe('readInlineContent()', () => {
  it('gives short content without loading anything, and undefined for long content', () => {
    const chunks = new MemoryChunks()
    assert.deepEqual(readInlineContent(encodeContent(refs(64), chunks.save), 'it'), refs(64))
    assert.equal(readInlineContent(encodeContent(refs(65), chunks.save), 'it'), undefined)
    assert.deepEqual(chunks.loaded, [])
  })
})

describe('contentIds()', () => {
  it('names every chunk and every list chunk', async () => {
    const chunks = new MemoryChunks()
    const content = encodeContent(refs(5000), chunks.save)
    const ids = await collect(contentIds(content, chunks.load, 'it'))
    const want = [...chunks.ids, ...refs(5000).map(({ id }) => toHex(id))].sort()
    assert.deepEqual(ids.map((id) => toHex(id)).sort(), want)
  })

  it('names list chunks before it loads them, so that a missing one is seen', async () => {
    const chunks = new MemoryChunks()
    const content = encodeContent(refs(65), chunks.save)
    chunks.lose(Buffer.from(chunks.ids[0] ?? '', 'hex'))
    const { value } = await contentIds(content, chunks.load, 'it').next()
    assert.equal(value?.length, 32)
    assert.deepEqual(chunks.loaded, [])
  })
})

describe('content that is damaged or hostile', () => {
  const corrupt = { code: 'DATA_CORRUPT' }

  it('is refused when it has more levels than any file needs', async () => {
    const { id } = testRef(1)
    for (const height of [8, 100, 255]) {
      const content = Buffer.concat([Buffer.of(height), id, Buffer.of(1)])
      await assert.rejects(read(content, new MemoryChunks()), corrupt)
      assert.throws(() => readInlineContent(content, 'it'), corrupt)
    }
  })

  it('is refused when a list is no list, or of another version', async () => {
    for (const head of ['0100', '0101', '0103', '0202', '0002', '01', '']) {
      const chunks = new MemoryChunks()
      const id = chunks.save(Buffer.from(head, 'hex'))
      const content = Buffer.concat([Buffer.of(1), id, Buffer.of(1)])
      await assert.rejects(read(content, chunks), corrupt, `list chunk ${head}`)
    }
  })

  it('ends in DATA_CORRUPT, or in other references, for every truncation', async () => {
    const chunks = new MemoryChunks()
    const content = encodeContent(refs(3), chunks.save)
    for (let length = 0; length < content.length; length++) {
      const found = await read(content.subarray(0, length), chunks).catch((error: unknown) => error)
      if (Array.isArray(found)) assert.deepEqual(found, refs(found.length))
      else assert.ok(isCairnError(found, 'DATA_CORRUPT'), String(found))
    }
  })

  it('is refused when a length is no safe integer', async () => {
    const writer = new ByteWriter()
    writer.u8(0)
    writer.raw(testRef(1).id)
    for (let i = 0; i < 8; i++) writer.u8(0xff)
    writer.u8(0x7f)
    await assert.rejects(read(writer.view(), new MemoryChunks()), corrupt)
  })
})

describe('findStretch()', () => {
  it('finds the chunks around any byte, opening one list a level', async () => {
    const chunks = new MemoryChunks()
    const all = refs(20_000)
    const content = encodeContent(all, chunks.save)
    const starts: number[] = []
    let total = 0
    for (const { bytes } of all) {
      starts.push(total)
      total += bytes
    }
    const find = (at: number): ReturnType<typeof findStretch> => findStretch(content, at, chunks.load, 'the content')
    for (const index of [0, 1, 127, 128, 9999, 19_999]) {
      const at = starts[index] ?? 0
      for (const byte of [at, at + (all[index]?.bytes ?? 0) - 1]) {
        chunks.loaded = []
        const stretch = await find(byte)
        assert.ok(stretch && stretch.start <= byte && byte < stretch.end)
        assert.equal(chunks.loaded.length, content[0])
        const first = starts.indexOf(stretch.start)
        assertSame(stretch.refs, all.slice(first, first + stretch.refs.length))
        assert.ok(index >= first && index < first + stretch.refs.length)
      }
    }
    assert.equal(await find(total), undefined)
    assert.equal(await findStretch(encodeContent([], chunks.save), 0, chunks.load, 'nothing'), undefined)
  })

  it('notices a list that stands for other bytes than is said', async () => {
    const chunks = new MemoryChunks()
    const content = encodeContent(refs(100), chunks.save)
    const [top] = readRefs(content.subarray(1))
    const lying = new ByteWriter()
    lying.u8(1)
    lying.raw(top?.id ?? assert.fail())
    lying.varint((top?.bytes ?? 0) + 1)
    await assert.rejects(findStretch(lying.copy(), 0, chunks.load, 'the content'), { code: 'DATA_CORRUPT' })
  })
})
