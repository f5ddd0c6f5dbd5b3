import { CairnError, isCairnError } from '../base/errors.ts'
import { pathsKey } from '../snapshot/catalog.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { PathPatterns, type PatternRule, parseWantedPath } from '../sources/patterns.ts'

/** Which snapshots are meant: those that fit everything that is given. */
export interface SnapshotFilter {
  /** The name begins so. */
  readonly prefix?: string | undefined
  /** The name matches this `sh:` pattern wholly. */
  readonly glob?: string | undefined
  /** One of these. */
  readonly hosts?: readonly string[] | undefined
  /** It has all tags of one of these sets. */
  readonly tags?: readonly (readonly string[])[] | undefined
  /** No checkpoints. */
  readonly finished?: boolean | undefined
  /** All of these were backed up; as in the snapshot, so absolute; raw-name text. */
  readonly paths?: readonly string[] | undefined
}

/**
 * Those of `snapshots` that the filter means, in the same order. A checkpoint goes by the name that its run was to have.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for a pattern that makes no sense
 */
export function filterSnapshots(snapshots: readonly Snapshot[], filter: SnapshotFilter): Snapshot[] {
  const { prefix = '', glob, hosts, tags, finished = false, paths = [] } = filter
  const matches = glob === undefined ? undefined : nameMatcher(glob)
  const wanted = paths.map((path) => pathsKey([path]))
  return snapshots.filter((snapshot) => {
    const name = snapshot.checkpoint ? snapshot.name.replace(/\.checkpoint$/, '') : snapshot.name
    if (!name.startsWith(prefix) || matches?.(name) === false) return false
    if (finished && snapshot.checkpoint) return false
    if (hosts && !hosts.includes(snapshot.hostname)) return false
    if (tags && !tags.some((set) => set.every((tag) => snapshot.tags.includes(tag)))) return false
    const there = new Set(snapshot.paths.map((path) => pathsKey([path])))
    return wanted.every((path) => there.has(path))
  })
}

/** What snapshots can be sorted by. */
export type SortKey = 'timestamp' | 'name' | 'id'

/** In which order snapshots are looked at, and how many of them. */
export interface SnapshotOrder {
  /** The first that tells two snapshots apart counts; by time when absent. */
  readonly sortBy?: readonly SortKey[] | undefined
  /** No more than so many, from the beginning or the end of that order. */
  readonly first?: number | undefined
  readonly last?: number | undefined
}

/** Sorts snapshots, which come oldest first, and takes the first or the last of them. */
export function orderSnapshots<T extends Pick<Snapshot, 'startedAt' | 'name' | 'id'>>(
  snapshots: readonly T[],
  { sortBy = ['timestamp'], first, last }: SnapshotOrder,
): T[] {
  const sorted = snapshots.toSorted((a, b) => {
    for (const key of sortBy) {
      const field = key === 'timestamp' ? 'startedAt' : key
      if (a[field] !== b[field]) return a[field] < b[field] ? -1 : 1
    }
    return 0
  })
  if (first !== undefined) return sorted.slice(0, first)
  return last === undefined ? sorted : sorted.slice(-last)
}

function nameMatcher(glob: string): (name: string) => boolean {
  if (glob === '') throw unusable(glob, 'it is empty')
  if (glob.includes('/')) throw unusable(glob, "names of snapshots have no '/'")
  const patterns = new PathPatterns([], [parseNameGlob(glob)])
  return (name) => patterns.decide(name).included
}

function parseNameGlob(glob: string): PatternRule {
  try {
    return parseWantedPath(`sh:${glob}`)
  } catch (error) {
    if (!isCairnError(error, 'INVALID_ARGUMENT')) throw error
    throw unusable(glob, 'it is no pattern', error)
  }
}

function unusable(glob: string, found: string, cause?: CairnError): CairnError {
  return new CairnError(
    'INVALID_ARGUMENT',
    `Cannot choose snapshots by '${glob}': ${found}; write a name in which * and ? stand for others, and [ab] for one of these`,
    { cause },
  )
}
