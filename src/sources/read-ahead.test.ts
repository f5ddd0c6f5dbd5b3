import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { readAhead } from './read-ahead.ts'
import type { SourceEntry } from './source.ts'
import { sourceEntry } from './testing.ts'

/** A walk of `batches` arrays of one entry; `state.read` says how many were asked for. */
async function* walk(batches: number, state: { read: number }, failAt = Infinity): AsyncGenerator<SourceEntry[]> {
  for (let i = 0; i < batches; i++) {
    state.read++
    if (i === failAt) throw new Error(`batch ${i} fails`)
    yield [sourceEntry(String(i))]
  }
}

const pathsOf = (batches: SourceEntry[][]): string[] => batches.flat().map(({ path }) => path)

describe('readAhead()', () => {
  it('gives every array in order, however long it was read ahead', async () => {
    for (const batches of [0, 1, 63, 64, 65, 200]) {
      for (const turns of [0, 5, 300]) {
        const entries = readAhead(walk(batches, { read: 0 }))
        for (let i = 0; i < turns; i++) await turn()
        const found = pathsOf(await Array.fromAsync(entries))
        assert.deepEqual(
          found,
          Array.from({ length: batches }, (_, i) => String(i)),
        )
      }
    }
  })

  it('reads while nobody asks, but not without end', async () => {
    const state = { read: 0 }
    const entries = readAhead(walk(10_000, state))
    for (let i = 0; i < 500; i++) await turn()
    assert.ok(state.read > 10 && state.read <= 100, `${state.read} arrays`)
    for await (const [entry] of entries) if (entry?.path === '500') break
    assert.ok(state.read >= 500 && state.read <= 600)
  })

  it('throws the error of a walk at its place, and nowhere when nobody gets there', async () => {
    for (const failAt of [0, 3, 100]) {
      for (const turns of [0, 300]) {
        const entries = readAhead(walk(200, { read: 0 }, failAt))
        for (let i = 0; i < turns; i++) await turn()
        let found = 0
        await assert.rejects(
          async () => {
            for await (const _ of entries) found++
          },
          { message: `batch ${failAt} fails` },
        )
        assert.equal(found, failAt)
      }
    }
    readAhead(walk(10, { read: 0 }, 2))
    for (let i = 0; i < 20; i++) await turn() // an unhandled rejection would end the test
  })
})
