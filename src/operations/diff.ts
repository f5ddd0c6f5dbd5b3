import { findSnapshot, loadSnapshots } from '../snapshot/catalog.ts'
import { type TreeChange, diffTrees } from '../snapshot/diff.ts'
import { partsOfPath } from '../base/raw-name.ts'
import { type PatternOption, selectPaths } from './path-selection.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import { type EntryInfo, type SnapshotInfo, toEntryInfo, toSnapshotInfo } from './snapshot-info.ts'

export interface DiffChange {
  readonly path: string
  readonly change: TreeChange['change']
  readonly before: EntryInfo | undefined
  readonly after: EntryInfo | undefined
  /** Content bytes that only one of the two has, for files. */
  readonly bytesAdded: number
  readonly bytesRemoved: number
}

export type { PatternOption }

/**
 * What differs between two snapshots, in path order, at or below `paths` when given, but for what `patterns` leave out; each change
 * goes to `onChange`.
 *
 * @throws {CairnError} `NOT_FOUND` for an unknown snapshot, `INVALID_ARGUMENT` for a pattern that makes no sense
 */
export async function diffSnapshots(
  access: RepositoryAccess,
  before: string,
  after: string,
  paths: readonly string[],
  onChange: (change: DiffChange) => void | Promise<void>,
  patterns: readonly PatternOption[] = [],
): Promise<{ readonly before: SnapshotInfo; readonly after: SnapshotInfo }> {
  const selection = selectPaths(paths, patterns)
  return withRepository(access, async (repository) => {
    await repository.loadIndex(access)
    const snapshots = await loadSnapshots(repository, access)
    const old = findSnapshot(snapshots, before)
    const fresh = findSnapshot(snapshots, after)
    const wanted = selection.paths.map((path) => partsOfPath(path).join('/'))
    const isWanted = (path: string): boolean =>
      wanted.length === 0 || wanted.some((at) => at === '' || path === at || path.startsWith(`${at}/`))
    for await (const change of diffTrees(old.tree, fresh.tree, (id) => repository.readChunk(id, access))) {
      const { path, before: a, after: b } = change
      if ((a ?? b)?.ancestor) continue
      if (!isWanted(path) || selection.patterns?.decide(path).included === false) continue
      await onChange({ ...change, before: a && toEntryInfo(path, a), after: b && toEntryInfo(path, b) })
    }
    return { before: toSnapshotInfo(old, repository.index), after: toSnapshotInfo(fresh, repository.index) }
  })
}
