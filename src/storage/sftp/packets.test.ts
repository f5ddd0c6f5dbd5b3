import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PacketReader, PacketWriter, splitPackets } from './packets.ts'

describe('packets of SFTP', () => {
  it('come out as they went in, wherever the stream is cut', () => {
    const fields = fc.tuple(
      fc.integer({ min: 0, max: 255 }),
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      fc.maxSafeNat(),
      fc.string({ unit: 'binary' }),
      fc.uint8Array({ maxLength: 500 }),
    )
    fc.assert(
      fc.property(fc.array(fields), fc.infiniteStream(fc.integer({ min: 1, max: 60 })), (wanted, steps) => {
        const bytes = Buffer.concat(
          wanted.flatMap(([type, small, large, text, data]) => [
            new PacketWriter(type).u32(small).u64(large).text(text).finish(data),
            data,
          ]),
        )
        const found: unknown[] = []
        const push = splitPackets(({ type, body }) => {
          found.push([type, body.u32(), Number(body.u64()), body.text(), new Uint8Array(body.bytes())])
          assert.ok(body.isAtEnd)
        })
        for (let at = 0; at < bytes.length;) push(bytes.subarray(at, (at += Number(steps.next().value))))
        assert.deepEqual(found, wanted)
      }),
    )
  })

  it('have lengths that a server may send', () => {
    for (const length of [0, 4, 2 ** 31, 2 ** 32 - 1, 0x53_53_48_2d]) {
      const prefix = Buffer.alloc(4)
      prefix.writeUInt32BE(length)
      assert.throws(() => splitPackets(() => undefined)(prefix), { code: 'STORAGE_UNAVAILABLE', message: /no SFTP/ })
    }
  })

  it('are not read past their end', () => {
    const nonsense = { code: 'STORAGE_UNAVAILABLE' }
    assert.throws(() => new PacketReader(Buffer.alloc(3)).u32(), nonsense)
    assert.throws(() => new PacketReader(Buffer.alloc(7)).u64(), nonsense)
    assert.throws(() => new PacketReader(Buffer.from([0, 0, 0, 9, 1])).bytes(), nonsense)
    assert.throws(() => new PacketReader(Buffer.alloc(3)).skip(4), nonsense)
  })
})
