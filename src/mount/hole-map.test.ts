import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Hole } from '../base/hole.ts'
import { toHoleTable } from '../snapshot/hole-table.ts'
import { HoleMap } from './hole-map.ts'

/** A file as a string of stretches, `true` for holes: neighbours are never of one kind. */
const anyLayout = fc.tuple(fc.boolean(), fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 12 }))

/** What of each byte is stored: where in the content it lies, or `undefined` for a hole. */
function layOut([startsWithHole, lengths]: [boolean, number[]]): { bytes: (number | undefined)[]; holes: Hole[] } {
  const bytes: (number | undefined)[] = []
  const holes: Hole[] = []
  let content = 0
  for (const [i, length] of lengths.entries()) {
    const isHole = (i % 2 === 0) === startsWithHole
    if (isHole) holes.push({ offset: bytes.length, length })
    for (let n = 0; n < length; n++) bytes.push(isHole ? undefined : content++)
  }
  return { bytes, holes }
}

describe('HoleMap', () => {
  it('gives for any stretch of a file what lies there', () => {
    fc.assert(
      fc.property(anyLayout, fc.nat(60), fc.integer({ min: 1, max: 60 }), (layout, offset, length) => {
        const { bytes, holes } = layOut(layout)
        const map = new HoleMap(toHoleTable(holes), bytes.length)
        const found: (number | undefined)[] = []
        for (const piece of map.pieces(offset, length)) {
          assert.ok(piece.length > 0)
          for (let i = 0; i < piece.length; i++)
            found.push(piece.contentOffset === undefined ? undefined : piece.contentOffset + i)
        }
        assert.deepEqual(found, bytes.slice(offset, offset + length))
      }),
    )
  })

  it('seeks as lseek(2) does', () => {
    fc.assert(
      fc.property(anyLayout, fc.nat(60), (layout, offset) => {
        const { bytes, holes } = layOut(layout)
        const map = new HoleMap(toHoleTable(holes), bytes.length)
        const isInside = offset < bytes.length
        const data = bytes.findIndex((byte, i) => i >= offset && byte !== undefined)
        const hole = bytes.findIndex((byte, i) => i >= offset && byte === undefined)
        assert.equal(map.seek(offset, 'data'), isInside && data >= 0 ? data : undefined)
        assert.equal(map.seek(offset, 'hole'), isInside ? (hole >= 0 ? hole : bytes.length) : undefined)
      }),
    )
  })
})
