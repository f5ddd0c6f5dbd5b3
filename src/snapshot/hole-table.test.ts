import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { extents, holeBytes, toHoles, toHoleTable } from './hole-table.ts'

/** Holes of a file as lengths of data and of holes in turn. */
const anyHoles = fc.array(fc.tuple(fc.nat(20), fc.integer({ min: 1, max: 20 })), { minLength: 1, maxLength: 10 })

describe('extents()', () => {
  it('puts every byte of content between the holes, in order, wherever it is cut', () => {
    fc.assert(
      fc.property(anyHoles, fc.nat(30), fc.integer({ min: 1, max: 50 }), (turns, tail, step) => {
        const holes = []
        const places: number[] = []
        let at = 0
        for (const [data, length] of turns) {
          for (let i = 0; i < data; i++) places.push(at++)
          holes.push({ offset: at, length })
          at += length
        }
        for (let i = 0; i < tail; i++) places.push(at++)
        const table = toHoleTable(holes)
        assert.deepEqual(toHoles(table), holes)
        assert.equal(holeBytes(table), at - places.length)
        const found: number[] = []
        for (let start = 0; start < places.length; start += step) {
          const length = Math.min(step, places.length - start)
          for (const piece of extents(table, start, length)) {
            assert.equal(piece.skip, found.length - start)
            for (let i = 0; i < piece.length; i++) found.push(piece.position + i)
          }
        }
        assert.deepEqual(found, places)
      }),
    )
  })

  it('changes nothing in a file without holes', () => {
    assert.deepEqual([...extents(undefined, 7, 5)], [{ position: 7, skip: 0, length: 5 }])
    assert.equal(holeBytes(undefined), 0)
  })
})
