import assert from 'node:assert/strict'
import { closeSync, openSync } from 'node:fs'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { testBytes } from '../chunker/testing.ts'
import { newFile } from '../platform/testing.ts'
import { toHoleTable } from '../snapshot/hole-table.ts'
import { readData } from './read-data.ts'

/** Lengths of data and holes by turns; neither is empty but, perhaps, the first data. */
const anyLayout = fc.tuple(
  fc.integer({ min: 0, max: 40 }),
  fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 40 }),
)

describe('readData()', () => {
  it('reads any stretch of what lies between the holes, as one run of bytes', () => {
    const bytes = testBytes('mapped', 2000)
    const fd = openSync(newFile(bytes), 'r')
    try {
      fc.assert(
        fc.property(anyLayout, fc.nat(1000), fc.nat(1200), ([first, rest], position, length) => {
          const holes: { offset: number; length: number }[] = []
          const data: Buffer[] = []
          let at = 0
          for (const [i, part] of [first, ...rest].entries()) {
            if (i % 2 === 0) data.push(bytes.subarray(at, at + part))
            else holes.push({ offset: at, length: part })
            at += part
          }
          data.push(bytes.subarray(at)) // the file goes on
          const joined = Buffer.concat(data)
          const buffer = Buffer.alloc(length + 3, 0xee)
          const count = readData(fd, buffer, length, position, toHoleTable(holes))
          const want = joined.subarray(position, position + length)
          assert.equal(count, want.length)
          assert.ok(buffer.subarray(0, count).equals(want))
          assert.ok(buffer.subarray(count).every((byte) => byte === 0xee))
        }),
        { numRuns: 500 },
      )
    } finally {
      closeSync(fd)
    }
  })

  it('is the file itself when there are no holes', () => {
    const fd = openSync(newFile('content'), 'r')
    const buffer = Buffer.alloc(10)
    assert.deepEqual([readData(fd, buffer, 10, 3, undefined), buffer.toString('latin1', 0, 4)], [4, 'tent'])
    closeSync(fd)
  })
})
