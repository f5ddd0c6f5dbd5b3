/** Writers, readers and reclamations over one store, in orders that seeds decide: docs/concurrency.md, "Reclaiming space". */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { simulate, simulateSwitch } from './simulate.ts'
import { TRAPS } from './traps.ts'

/** `npm run simulate -- --seeds N` tries more. */
const SEEDS = 60
/** They found something once. */
const FAILED_ONCE = [8, 11, 34, 45, 174, 1045, 1054, 1253, 1337, 20058, 20117, 20393, 20412, 1106]
/** With these it has found what is lost without a guard; if the code comes to do other operations, any other seed may. */
const FIND_TRAPS = [2, 9, 78]

describe('any order of what runs do', () => {
  it('loses nothing that a snapshot needs', async () => {
    let deletedPacks = 0
    let committed = 0
    for (const seed of [...FAILED_ONCE, ...Array.from({ length: SEEDS }, (_, i) => 10_000 + i)]) {
      const result = await simulate(seed)
      deletedPacks += result.deletedPacks
      committed += result.committed
    }
    assert.ok(deletedPacks > 500 && committed > 400, `${deletedPacks} packs deleted, ${committed} commits`)
  })

  it('is the same for the same seed', async () => {
    assert.deepEqual(await simulate(3), await simulate(3))
  })

  it('loses nothing wherever a writer and a compactor interrupt each other', async () => {
    let interrupted = 0
    for (let compactorSteps = 0; compactorSteps < 100; compactorSteps += 2)
      for (let writerSteps = compactorSteps % 6; writerSteps < 30; writerSteps += 6)
        if (await simulateSwitch(compactorSteps, writerSteps)) interrupted++
    assert.ok(interrupted > 50, String(interrupted))
  })
})

describe('the simulation', () => {
  for (const [name, tamper] of Object.entries(TRAPS)) {
    it(`finds what is lost when ${name}`, async () => {
      for (const seed of [...FIND_TRAPS, ...Array.from({ length: 400 }, (_, i) => i + 1)]) {
        const error = await simulate(seed, tamper).then(
          () => undefined,
          (failure: unknown) => failure as Error,
        )
        if (!error) continue
        assert.match(
          (error.cause as Error).message,
          /^snapshot .* of|was lost|cannot tell what snapshot|which snapshots need, is missing/i,
        )
        return
      }
      assert.fail('it did not')
    })
  }
})
