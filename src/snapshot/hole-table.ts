import type { Hole } from '../base/hole.ts'

/**
 * Holes of a file, ascending and never adjacent, in a form that threads share cheaply: of each its offset, its length, and how many bytes of
 * content lie before it, which is what the stored content counts.
 */
export type HoleTable = Float64Array

const COLUMNS = 3

export function toHoleTable(holes: readonly Hole[]): HoleTable {
  const table = new Float64Array(holes.length * COLUMNS)
  let shift = 0
  for (const [i, { offset, length }] of holes.entries()) {
    table.set([offset, length, offset - shift], i * COLUMNS)
    shift += length
  }
  return table
}

/** Bytes in all holes together. */
export function holeBytes(holes: HoleTable | undefined): number {
  return holes ? shiftAfter(holes, holes.length / COLUMNS) : 0
}

export function toHoles(holes: HoleTable): Hole[] {
  return Array.from({ length: holes.length / COLUMNS }, (_, i) => ({
    offset: holes[i * COLUMNS] as number,
    length: holes[i * COLUMNS + 1] as number,
  }))
}

/**
 * Where content lies in a file: bytes `start` to `start + length` of what is stored, which leaves holes out, as stretches of the
 * file. `skip` counts the bytes of that content before the stretch.
 */
export function* extents(
  holes: HoleTable | undefined,
  start: number,
  length: number,
): Generator<{ readonly position: number; readonly skip: number; readonly length: number }> {
  if (!holes) {
    yield { position: start, skip: 0, length }
    return
  }
  let hole = holesBefore(holes, start)
  for (let done = 0; done < length;) {
    const shift = shiftAfter(holes, hole)
    const room = (holes[hole * COLUMNS + 2] ?? Number.POSITIVE_INFINITY) - (start + done)
    const piece = Math.min(room, length - done)
    if (piece > 0) yield { position: start + done + shift, skip: done, length: piece }
    done += piece
    hole++
  }
}

/** How many holes lie before byte `at` of the content. */
function holesBefore(holes: HoleTable, at: number): number {
  let low = 0
  let high = holes.length / COLUMNS
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((holes[middle * COLUMNS + 2] as number) <= at) low = middle + 1
    else high = middle
  }
  return low
}

/** Bytes of the first `count` holes. */
function shiftAfter(holes: HoleTable, count: number): number {
  const at = (count - 1) * COLUMNS
  return count === 0 ? 0 : (holes[at] as number) + (holes[at + 1] as number) - (holes[at + 2] as number)
}
