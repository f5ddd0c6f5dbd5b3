import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createGearScan, LANES, STRETCH_UNIT_BYTES, WINDOW_BYTES } from './gear-scan.ts'
import { testBytes, TEST_GEAR } from './testing.ts'

const DATA_BYTES = 20_000
const gear = new DataView(TEST_GEAR.buffer, TEST_GEAR.byteOffset)

/** The hash of byte `i` as the sum that defines it. */
function hashAt(data: Uint8Array, i: number): number {
  let sum = 0n
  for (let k = 0; k < WINDOW_BYTES; k++) sum += BigInt(gear.getUint32((data[i - k] as number) * 4, true)) << BigInt(k)
  return Number(sum % 2n ** 32n)
}

describe('GearScan', () => {
  const { data, scan } = createGearScan(TEST_GEAR, DATA_BYTES)
  data.set(testBytes('scan', DATA_BYTES))
  const hashes = Array.from(data, (_, i) => (i < WINDOW_BYTES ? Number.NaN : hashAt(data, i)))

  it('names the first stretch with a hash below the threshold, whatever lies outside', () => {
    let found = 0
    fc.assert(
      fc.property(
        fc.integer({ min: WINDOW_BYTES, max: 4000 }),
        fc.integer({ min: 1, max: 250 }),
        fc.integer({ min: 0, max: 9 }),
        (from, units, bits) => {
          const stretchBytes = units * STRETCH_UNIT_BYTES
          // From no hash at all to about one in each lane.
          const threshold = Math.floor(2 ** 32 / stretchBytes / 2 ** bits)
          const first = hashes.slice(from, from + LANES * stretchBytes).findIndex((hash) => hash < threshold)
          const lane = scan(from, stretchBytes, threshold)
          if (first < 0) assert.ok(lane >= LANES)
          else assert.equal(lane, Math.floor(first / stretchBytes))
          if (first >= 0) found++
        },
      ),
      { numRuns: 1000 },
    )
    assert.ok(found > 200 && found < 900) // else the thresholds prove little
  })

  it('takes the threshold itself as not below', () => {
    const lowest = Math.min(...hashes.slice(100, 100 + 640))
    const lane = Math.floor((hashes.indexOf(lowest) - 100) / 160)
    assert.ok(scan(100, 160, lowest) >= LANES)
    assert.equal(scan(100, 160, lowest + 1), lane)
  })
})
