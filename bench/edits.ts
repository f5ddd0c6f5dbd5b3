/** Edits that change 1 % of a large file: the same for every tool and every machine, new in every run. */
import { createCipheriv, createHash } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'

export interface Edit {
  readonly offset: number
  readonly length: number
}

const STRETCHES = 100
const STRETCH_SHARE = 1 / 10_000

/**
 * 100 stretches of 1/10,000 of the file each: one at a random place in every hundredth of it.
 * The plan follows from the size and the seed alone.
 */
export function planEdits(sizeBytes: number, seed: number): Edit[] {
  const length = Math.floor(sizeBytes * STRETCH_SHARE)
  const cell = Math.floor(sizeBytes / STRETCHES)
  const random = seededBytes(`plan ${seed}`, STRETCHES * 4)
  return Array.from({ length: STRETCHES }, (_, i) => {
    const fraction = random.readUInt32LE(i * 4) / 2 ** 32
    return { offset: i * cell + Math.floor(fraction * (cell - length)), length }
  })
}

/** Overwrites the stretches in place with bytes that compress no further; the file keeps its size. */
export function applyEdits(file: string, edits: readonly Edit[], seed: number): void {
  const fd = openSync(file, 'r+')
  try {
    for (const [i, { offset, length }] of edits.entries())
      writeSync(fd, seededBytes(`data ${seed} ${i}`, length), 0, length, offset)
  } finally {
    closeSync(fd)
  }
}

/** Bytes that look random and follow from the seed. */
function seededBytes(seed: string, length: number): Buffer {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16)
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}
