import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { applyEdits, planEdits } from './edits.ts'

const anySize = fc.integer({ min: 1_000_000, max: 2 ** 42 })
const anySeed = fc.nat()

describe('planEdits()', () => {
  it('covers 1 % of the file with one stretch in every hundredth of it', () => {
    fc.assert(
      fc.property(anySize, anySeed, (size, seed) => {
        const edits = planEdits(size, seed)
        const total = edits.reduce((sum, { length }) => sum + length, 0)
        assert.ok(total <= size / 100 && total > size / 100 - 100)
        for (const [i, { offset, length }] of edits.entries()) {
          const cell = Math.floor(size / 100)
          assert.ok(offset >= i * cell && offset + length <= (i + 1) * cell)
        }
      }),
    )
  })

  it('follows from size and seed, and differs between seeds', () => {
    assert.deepEqual(planEdits(1e9, 1), planEdits(1e9, 1))
    assert.notDeepEqual(planEdits(1e9, 1), planEdits(1e9, 2))
    assert.deepEqual(planEdits(1e9, 1)[0], { offset: 6_309_302, length: 100_000 })
  })
})

describe('applyEdits()', () => {
  it('changes the planned bytes, no others, and anew with every seed', (t) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'cairn-bench-test-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const file = path.join(folder, 'file')
    const before = Buffer.alloc(1_000_000, 'x')
    writeFileSync(file, before)

    const edits = planEdits(before.length, 7)
    applyEdits(file, edits, 7)
    const after = readFileSync(file)
    const restored = Buffer.from(after)
    for (const { offset, length } of edits) {
      assert.ok(!after.subarray(offset, offset + length).equals(before.subarray(offset, offset + length)))
      restored.fill('x', offset, offset + length)
    }
    assert.ok(restored.equals(before))

    applyEdits(file, edits, 8)
    assert.ok(!readFileSync(file).equals(after))
  })
})
