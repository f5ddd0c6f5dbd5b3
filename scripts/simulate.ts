/**
 * Tries many orders of operations of writers, readers and reclamations: `npm run simulate -- --seeds 10000 --from 1`. Prints the
 * seeds that fail; each gives the same order again.
 */
import { parseArgs } from 'node:util'
import { simulate } from '../test/simulation/simulate.ts'

const { values } = parseArgs({ options: { seeds: { type: 'string' }, from: { type: 'string' } } })
const from = Number(values.from ?? 1)
const seeds = Number(values.seeds ?? 1000)
let failed = 0
let steps = 0
let deletedPacks = 0
for (let seed = from; seed < from + seeds; seed++) {
  try {
    const result = await simulate(seed)
    steps += result.steps
    deletedPacks += result.deletedPacks
  } catch (error) {
    failed++
    console.error(error)
  }
  if ((seed - from + 1) % 100 === 0) console.error(`${seed - from + 1} seeds, ${failed} failed`)
}
console.log(`${seeds} seeds from ${from}: ${failed} failed; ${steps} operations, ${deletedPacks} packs deleted`)
process.exitCode = failed > 0 ? 1 : 0
