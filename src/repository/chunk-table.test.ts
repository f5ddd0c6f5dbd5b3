import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { blake3 } from '../codec/hash.ts'
import { WorkerPool } from '../platform/worker-pool.ts'
import { ChunkTable, MAX_CHUNK_NUMBERS } from './chunk-table.ts'
import type { ClaimJob, ClaimResult } from './chunk-table.test-worker.ts'

/** A uniform id that anyone can make again. */
function idOf(number: number): Buffer {
  return blake3(Buffer.from(`chunk ${number}`))
}

/** An id with a given beginning: those with equal first words land on the same slot. */
function idBeginning(firstWord: number, rest: number): Buffer {
  const id = Buffer.alloc(32)
  id.writeUInt32LE(firstWord >>> 0, 0)
  id.writeUInt32LE(rest, 16)
  return id
}

/** Few ids, many of which collide, at the beginning, in the middle and at the wrapping end of the table. */
const anyId = fc.oneof(
  fc.nat(50).map(idOf),
  fc.tuple(fc.constantFrom(0, 0x8000_0000, 0xffff_ffff), fc.nat(20)).map(([word, rest]) => idBeginning(word, rest)),
)

/** An id that is all over the table but no hash: cheaper, for tests with many. */
function numberedId(number: number): Buffer {
  return idBeginning(Math.imul(number + 1, 0x9e3779b1), number)
}

type Action =
  | { do: 'claim' | 'numberOf' | 'has'; id: Buffer }
  | { do: 'add'; id: Buffer; number: number }
  | { do: 'reserve'; count: number }
  | { do: 'attach' }

const anyAction: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('claim', 'numberOf', 'has'), id: anyId }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('add' as const),
      id: anyId,
      number: fc.constantFrom(0, 1, 77, 2 ** 30, MAX_CHUNK_NUMBERS - 1),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reserve' as const), count: fc.constantFrom(1, 20_000) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'attach' as const }) },
)

describe('ChunkTable', () => {
  it('is a map from ids to the first number given, whatever the order of calls', () => {
    fc.assert(
      fc.property(fc.array(anyAction, { maxLength: 200 }), (actions) => {
        const owner = ChunkTable.create(1)
        let table = owner // the same table as another thread has it
        const model = new Map<string, number>() // -1: claimed
        for (const action of actions) {
          if (action.do === 'reserve') {
            const levels = owner.share().length
            assert.equal(owner.reserve(action.count), owner.share().length > levels)
          } else if (action.do === 'attach') table = ChunkTable.attach(owner.share())
          else {
            table.attach(owner.share())
            const name = action.id.toString('hex')
            const known = model.get(name)
            if (action.do === 'claim') {
              assert.equal(table.claim(action.id), known === undefined)
              model.set(name, known ?? -1)
            } else if (action.do === 'add') {
              table.add(action.number, action.id)
              if (known === undefined || known === -1) model.set(name, action.number)
            } else if (action.do === 'has') assert.equal(table.has(action.id), known !== undefined)
            else assert.equal(table.numberOf(action.id), known ?? -1)
          }
          assert.equal(owner.size, model.size)
        }
        for (const [name, known] of model) {
          assert.ok(owner.has(Buffer.from(name, 'hex')))
          assert.equal(owner.numberOf(Buffer.from(name, 'hex')), known)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('finds ids that stand inside larger buffers', () => {
    const table = ChunkTable.create(10)
    const ids = Buffer.concat([Buffer.alloc(5), idOf(1), idOf(2)])
    table.add(7, ids, 37)
    assert.deepEqual([table.numberOf(idOf(2)), table.numberOf(ids, 37), table.numberOf(ids, 5)], [7, 7, -1])
    assert.ok(table.has(ids, 37) && !table.has(ids, 5))
    for (const call of [
      () => table.has(ids, 38),
      () => table.claim(ids.subarray(0, 31)),
      () => table.numberOf(Buffer.alloc(0)),
      () => table.add(1, ids, 38),
    ])
      assert.throws(call, RangeError)
  })

  it('tells ids apart that differ in one bit of their first 20 bytes', () => {
    const table = ChunkTable.create(200)
    const id = idOf(0)
    table.claim(id)
    for (let bit = 0; bit < 160; bit++) {
      const other = Buffer.from(id)
      other[bit >> 3] = (other[bit >> 3] as number) ^ (1 << (bit & 7))
      assert.ok(!table.has(other), `bit ${bit}`)
      assert.ok(table.claim(other))
    }
  })

  it('takes as many chunks as it was made for and then refuses, rather than looking for ever', () => {
    const table = ChunkTable.create(100)
    const slots = table.slots
    for (let i = 0; i < slots; i++) table.claim(idOf(i))
    assert.throws(() => table.claim(idOf(slots)), { code: 'INTERNAL', message: /full/ })
    assert.ok(!table.has(idOf(slots)))
    assert.ok(table.has(idOf(slots - 1)))
  })

  it('grows by levels that keep everything, and that other threads see after attach()', () => {
    const owner = ChunkTable.create(1)
    const other = ChunkTable.attach(owner.share())
    const count = 50_000
    for (let i = 0; i < count; i++) {
      if (owner.reserve(1)) other.attach(owner.share())
      assert.ok((i % 2 === 0 ? owner : other).claim(idOf(i)))
    }
    assert.ok(owner.share().length > 2)
    for (let i = 0; i < count; i++) assert.ok(!owner.claim(idOf(i)) && other.has(idOf(i)))
    assert.equal(other.size, count)
  })

  it('needs at most 30 bytes a chunk when it is made for many', () => {
    for (const count of [100_000, 1_000_000]) {
      const { memoryBytes } = ChunkTable.create(count)
      assert.ok(memoryBytes <= 30 * count + 1000, `${memoryBytes / count} bytes a chunk`)
    }
  })

  for (const { threads, count, inStep, how } of [
    { threads: 8, count: 10_000, inStep: 0, how: 'in any order' },
    { threads: 2, count: 40_000, inStep: 40_000, how: 'at the same time' },
  ]) {
    it(`gives each id to exactly one of ${threads} threads that ask ${how}, and shows it to all`, async () => {
      const ids = new Uint8Array(new SharedArrayBuffer(count * 32))
      // The last thousand fight for the same few slots.
      for (let i = 0; i < count; i++) ids.set(i < count - 1000 ? numberedId(i) : idBeginning(i % 3, i), i * 32)
      const table = ChunkTable.create(count)
      const barrier = new Int32Array(new SharedArrayBuffer(4))
      await using pool = new WorkerPool<ClaimJob, ClaimResult>({
        script: new URL('./chunk-table.test-worker.ts', import.meta.url),
        count: threads,
        init: undefined,
      })
      const results = await Promise.all(
        Array.from({ length: threads }, (_, thread) =>
          pool.run(thread, { table: table.share(), ids, barrier, threads, thread, inStep }),
        ),
      )
      assert.equal(table.size, count)
      for (let i = 0; i < count; i++) {
        const winners = results.flatMap(({ won }, thread) => (won[i] === 1 ? [thread] : []))
        assert.ok(winners.length === 1, `id ${i} was claimed by ${winners.length} threads`)
        const thread = winners[0] as number
        assert.equal(table.numberOf(ids, i * 32), i % 3 === 0 ? i * threads + thread : -1)
      }
      assert.ok(results.every(({ unseen }) => unseen === 0))
    })
  }
})
