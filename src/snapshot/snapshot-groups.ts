import { pathsKey } from './catalog.ts'
import type { Snapshot } from './snapshot.ts'

export const GROUP_FIELDS = ['host', 'paths', 'tags'] as const

/** What snapshots may be told apart by, as in restic. */
export type GroupField = (typeof GROUP_FIELDS)[number]

/** Snapshots that have something in common; a field is there when they were grouped by it. */
export interface SnapshotGroup {
  readonly host?: string
  /** Sorted; raw-name text. */
  readonly paths?: readonly string[]
  /** Sorted. */
  readonly tags?: readonly string[]
  readonly snapshots: readonly Snapshot[]
}

/**
 * Groups snapshots, which keep their order; groups are sorted by what they have in common. Paths and tags have no order. By no field,
 * all are one group, and none are none.
 */
export function groupSnapshots(snapshots: readonly Snapshot[], by: readonly GroupField[]): SnapshotGroup[] {
  const key = ({ hostname, paths, tags }: Snapshot): string =>
    JSON.stringify([
      by.includes('host') && hostname,
      by.includes('paths') && pathsKey(paths),
      by.includes('tags') && tags.toSorted(),
    ])
  const groups = [...Map.groupBy(snapshots, key)].sort(([a], [b]) => (a < b ? -1 : 1))
  return groups.map(([, members]): SnapshotGroup => {
    const { hostname, paths, tags } = members[0] as Snapshot
    return {
      ...(by.includes('host') && { host: hostname }),
      ...(by.includes('paths') && { paths: paths.toSorted() }),
      ...(by.includes('tags') && { tags: tags.toSorted() }),
      snapshots: members,
    }
  })
}
