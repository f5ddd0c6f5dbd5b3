import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Hole } from '../base/hole.ts'
import { asChunkId } from '../base/ids.ts'
import { compareRawNames, fromRawName } from '../base/raw-name.ts'
import {
  contentOfAttachment,
  decodeHoles,
  decodeXattrs,
  encodeAttachment,
  encodeHoles,
  encodeXattrs,
  readAttachment,
} from './attachment.ts'

function memory(): {
  save: (data: Uint8Array) => ReturnType<typeof asChunkId>
  load: (id: Uint8Array) => Promise<Buffer>
  count: () => number
} {
  const chunks: Buffer[] = []
  return {
    save(data) {
      chunks.push(Buffer.from(data))
      const id = Buffer.alloc(32)
      id.writeUInt32LE(chunks.length)
      return asChunkId(id)
    },
    load: async (id) => chunks[Buffer.from(id).readUInt32LE() - 1] as Buffer,
    count: () => chunks.length,
  }
}

describe('encodeAttachment()', () => {
  it('keeps short bytes in the field and long ones in chunks, and gives both back', async () => {
    for (const length of [0, 1, 1024, 1025, 256 << 10, (256 << 10) + 1, 70 * (256 << 10)]) {
      const { save, load, count } = memory()
      const bytes = Buffer.alloc(length, 'attachment')
      const field = encodeAttachment(bytes, save)
      assert.equal(contentOfAttachment(field, 'it') === undefined, length <= 1024)
      assert.equal(count() > 0, length > 1024)
      assert.ok(field.length < 4096)
      assert.ok(bytes.equals(await readAttachment(field, load, 'it')))
    }
  })

  it('is refused when its kind is unknown, a chunk has another length, or it is longer than anything can be', async () => {
    const { save, load } = memory()
    await assert.rejects(readAttachment(Buffer.of(2, 0), load, 'it'), { code: 'DATA_CORRUPT' })
    await assert.rejects(readAttachment(Buffer.alloc(0), load, 'it'), { code: 'DATA_CORRUPT' })
    const field = encodeAttachment(Buffer.alloc(5000), save)
    await assert.rejects(
      readAttachment(field, async () => Buffer.alloc(4999), 'it'),
      { code: 'DATA_CORRUPT' },
    )
    await assert.rejects(readAttachment(field, load, 'it', 4999), { code: 'DATA_CORRUPT' })
  })
})

describe('encodeXattrs()', () => {
  it('gives back any names and values', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.uint8Array({ minLength: 1 }), fc.uint8Array())), (pairs) => {
        const xattrs = pairs
          .map(([name, value]) => ({ name: fromRawName(Buffer.from(name)), value: Buffer.from(value) }))
          .sort((a, b) => compareRawNames(a.name, b.name))
        assert.deepEqual(decodeXattrs(encodeXattrs(xattrs), 'it'), xattrs)
      }),
    )
  })

  it('is refused when it is cut off', () => {
    const bytes = encodeXattrs([{ name: 'user.a', value: Buffer.from('value') }])
    for (let length = 1; length < bytes.length; length++)
      assert.throws(() => decodeXattrs(bytes.subarray(0, length), 'it'), { code: 'DATA_CORRUPT' })
  })
})

describe('encodeHoles()', () => {
  it('gives back any holes', () => {
    const gaps = fc.array(fc.tuple(fc.nat(2 ** 40), fc.integer({ min: 1, max: 2 ** 40 })), { maxLength: 50 })
    fc.assert(
      fc.property(gaps, (pairs) => {
        const holes: Hole[] = []
        let end = 0
        for (const [data, length] of pairs) {
          holes.push({ offset: end + data, length })
          end += data + length
        }
        assert.deepEqual(decodeHoles(encodeHoles(holes), end, 'it'), holes)
        if (holes.length > 0)
          assert.throws(() => decodeHoles(encodeHoles(holes), end - 1, 'it'), { code: 'DATA_CORRUPT' })
      }),
    )
  })

  it('is refused when a hole has no length', () => {
    assert.throws(() => decodeHoles(Buffer.of(1, 0), 10, 'it'), { code: 'DATA_CORRUPT' })
  })
})
