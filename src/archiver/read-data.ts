import { readFully } from '../platform/files.ts'
import { type HoleTable, extents } from '../snapshot/hole-table.ts'

/**
 * Reads what a file has between its holes, as one run of bytes: `length` bytes into the beginning of `buffer`, or as many as
 * there are, from byte `start` of that run on. Past the last hole data goes on as far as the file does.
 *
 * @returns the number of bytes read
 */
export function readData(
  fd: number,
  buffer: Uint8Array,
  length: number,
  start: number,
  holes: HoleTable | undefined,
): number {
  let done = 0
  for (const { position, skip, length: wanted } of extents(holes, start, length)) {
    const count = readFully(fd, buffer, skip, wanted, position)
    done += count
    if (count < wanted) break
  }
  return done
}
