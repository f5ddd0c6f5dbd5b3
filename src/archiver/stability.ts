import { setTimeout } from 'node:timers/promises'
import { type AbortOptions, throwIfAborted } from '../base/abort.ts'
import { errnoOf } from '../base/errors.ts'
import { FILE_TYPE_CODES } from '../platform/file-type.ts'
import { EntryStat } from '../platform/statx.ts'
import type { SourceEntry } from '../sources/source.ts'

/** How often a file may turn out to have been written to before it is given up for this run. */
const MAX_WAITS = 10

/**
 * Waits until a file has had the same size and times for `stableForMs`, looking at it again each time. No clock is compared with
 * the file's times: what counts is that they stay.
 *
 * @returns the file as it is then; `'unstable'` when it was still written to after `MAX_WAITS` times `stableForMs`
 */
export async function waitUntilStable(
  entry: SourceEntry,
  { stableForMs, signal }: AbortOptions & { readonly stableForMs: number },
): Promise<SourceEntry | 'unstable'> {
  let known = entry
  for (let waits = 0; waits < MAX_WAITS; waits++) {
    await setTimeout(stableForMs, undefined, { signal }).catch(() => throwIfAborted(signal))
    const now = look(known)
    if (now === known) return known
    known = now
  }
  return 'unstable'
}

const stat = new EntryStat()

/** The entry itself when it is as before. One that cannot be looked at is as before too: reading it says what is wrong. */
function look(entry: SourceEntry): SourceEntry {
  try {
    stat.readPath(entry.systemPath)
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return entry
  }
  const { typeCode, sizeBytes, mtimeNs, inode } = stat
  if (typeCode !== FILE_TYPE_CODES.file) return entry
  const ctimeNs = BigInt.asIntN(64, stat.ctimeNs)
  const isSame =
    sizeBytes === entry.sizeBytes && mtimeNs === entry.mtimeNs && ctimeNs === entry.ctimeNs && inode === entry.inode
  return isSame ? entry : { ...entry, sizeBytes, mtimeNs, ctimeNs, inode, sparse: stat.blocks * 512 < sizeBytes }
}
