import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ByteReader, ByteWriter } from './binary.ts'

describe('ByteWriter and ByteReader', () => {
  it('give back every varint, text and byte string', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.record({ varint: fc.maxSafeNat() }),
            fc.record({ bytes: fc.uint8Array({ maxLength: 3000 }) }),
            fc.record({ text: fc.string({ unit: 'grapheme' }) }),
            fc.record({ i64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) }),
          ),
        ),
        (values) => {
          const writer = new ByteWriter(1)
          for (const value of values) {
            if ('varint' in value) writer.varint(value.varint)
            else if ('bytes' in value) writer.bytes(value.bytes)
            else if ('text' in value) writer.text(value.text)
            else writer.i64(value.i64)
          }
          const reader = new ByteReader(writer.copy(), 'the test')
          for (const value of values) {
            if ('varint' in value) assert.equal(reader.varint(), value.varint)
            else if ('bytes' in value) assert.deepEqual(new Uint8Array(reader.bytes()), value.bytes)
            else if ('text' in value) assert.equal(reader.text(), value.text)
            else assert.equal(reader.i64(), value.i64)
          }
          assert.ok(reader.done)
        },
      ),
    )
  })

  it('pins the bytes of a varint', () => {
    const writer = new ByteWriter()
    for (const value of [0, 127, 128, 300, 2 ** 32, Number.MAX_SAFE_INTEGER]) writer.varint(value)
    assert.equal(writer.view().toString('hex'), '007f8001ac028080808010ffffffffffffff0f')
  })
})

describe('ByteReader', () => {
  it('throws DATA_CORRUPT on every truncation', () => {
    const writer = new ByteWriter()
    writer.varint(1000)
    writer.u32(7)
    writer.bytes(Buffer.from('hello'))
    writer.i64(-5n)
    const whole = writer.copy()
    for (let length = 0; length < whole.length; length++) {
      const reader = new ByteReader(whole.subarray(0, length), 'the test')
      assert.throws(() => [reader.varint(), reader.u32(), reader.bytes(), reader.i64()], { code: 'DATA_CORRUPT' })
    }
  })

  it('refuses a varint beyond a safe integer', () => {
    const reader = new ByteReader(Buffer.from('ffffffffffffffffff01', 'hex'), 'the test')
    assert.throws(() => reader.varint(), { code: 'DATA_CORRUPT' })
  })
})
