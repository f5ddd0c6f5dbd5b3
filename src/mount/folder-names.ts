import { toPrintable } from '../base/raw-name.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'

/** Longest name of a folder, in UTF-16 units; no name that `create` takes is longer. */
const MAX_UNITS = 200

/**
 * A folder name for each snapshot, by what `nameOf` calls it. Names can be anything a repository says, so what no folder can be called
 * is replaced; of several that would be called the same, and of those with a `reserved` name, the beginning of the id tells them
 * apart.
 */
export function folderNames(
  snapshots: readonly Snapshot[],
  nameOf: (snapshot: Snapshot) => string,
  reserved: readonly string[] = [],
): Map<string, Snapshot> {
  const wanted = snapshots.map((snapshot) => ({ snapshot, name: toFolderName(nameOf(snapshot)) }))
  const counts = new Map<string, number>(reserved.map((name) => [name, 1]))
  for (const { name } of wanted) counts.set(name, (counts.get(name) ?? 0) + 1)
  const names = new Map<string, Snapshot>()
  for (const { snapshot, name } of wanted) {
    const own = (counts.get(name) ?? 0) > 1 || names.has(name) ? `${name}-${snapshot.id.slice(0, 8)}` : name
    names.set(names.has(own) ? snapshot.id : own, snapshot)
  }
  return names
}

function toFolderName(name: string): string {
  const usable = toPrintable(name)
    .replaceAll(/[\p{Cc}/]/gu, '_')
    .slice(0, MAX_UNITS)
    .toWellFormed()
  return usable === '' || usable === '.' || usable === '..' ? '_' : usable
}
