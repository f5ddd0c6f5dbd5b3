import { constants } from 'node:os'
import type { Hole } from '../base/hole.ts'
import { type Libc, getLibc } from './native.ts'

export interface FindHolesOptions {
  /** How many holes to keep at most, 65,536 unless told. Of more, the largest are kept: the others take space when restored. */
  readonly maxHoles?: number | undefined
}

/** 1 MiB of a tree at 16 bytes a hole; files of databases and virtual machines usually have a few thousand. */
const DEFAULT_MAX_HOLES = 65_536

// unistd.h of Linux.
const SEEK_SET = 0
const SEEK_DATA = 3
const SEEK_HOLE = 4
/** How much is taken as data at a place where the answers contradict each other: a block of most file systems. */
const STEP_BYTES = 4096

/**
 * Finds the holes in the first `sizeBytes` bytes of an open file, in order and never adjacent; none where the system cannot
 * tell. When the file changes meanwhile, holes may be missed, or be no holes any more: what was read decides. Leaves the
 * descriptor's position at 0. Two calls (0.6 µs) for a file without holes, two more for each hole.
 */
export function findHoles(fd: number, sizeBytes: number, options: FindHolesOptions = {}): Hole[] {
  const native = getLibc()
  if (!native) return []
  const { maxHoles = DEFAULT_MAX_HOLES } = options
  let holes: Hole[] = []
  for (const hole of eachHole(native, fd, sizeBytes)) {
    holes.push(hole)
    if (holes.length >= 2 * maxHoles + 1024) holes = largest(holes, maxHoles)
  }
  native.lseek(fd, 0, SEEK_SET)
  return holes.length > maxHoles ? largest(holes, maxHoles) : holes
}

function* eachHole(native: Libc, fd: number, sizeBytes: number): Generator<Hole> {
  let position = 0
  while (position < sizeBytes) {
    const offset = native.lseek(fd, position, SEEK_HOLE)
    // -1 and ENXIO: the file has become shorter. Any other error: the system cannot tell. Holes found so far are true.
    if (offset < position || offset >= sizeBytes) return
    const data = native.lseek(fd, offset, SEEK_DATA)
    if (data < 0 && native.errno() !== constants.errno.ENXIO) return
    const end = data < 0 ? sizeBytes : Math.min(data, sizeBytes) // ENXIO: nothing but holes from here on
    if (end > offset) yield { offset, length: end - offset }
    // The byte at `end` is data, whatever the next call says of it: so holes are never adjacent, and this loop comes to an end.
    position = end + (end > offset ? 1 : STEP_BYTES)
  }
}

/** The `count` largest, in the order of the file. */
function largest(holes: Hole[], count: number): Hole[] {
  const bySize = holes.sort((a, b) => b.length - a.length || a.offset - b.offset).slice(0, count)
  return bySize.sort((a, b) => a.offset - b.offset)
}
