import { CairnError } from '../base/errors.ts'
import { findSnapshot } from '../snapshot/catalog.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { type SnapshotOrder, filterSnapshots, orderSnapshots } from './snapshot-filter.ts'

/** Which snapshots a command is about: those that are named, and those whose names match. */
export interface SnapshotSelection {
  /** `latest`, names, or beginnings of ids. */
  readonly wanted: readonly string[]
  /** Borg's `--glob-archives`: a shell pattern, as `sh:` is one for paths. */
  readonly glob?: string | undefined
  /** Borg's `--prefix`. */
  readonly prefix?: string | undefined
  /** Of those that match, or of all when neither is given. */
  readonly order?: SnapshotOrder | undefined
}

/**
 * The snapshots that are meant, each once: first those that are named, in that order, then those that match, oldest first
 * unless asked for otherwise.
 * A checkpoint goes by the name that its run was to have.
 *
 * @throws {CairnError} `NOT_FOUND` | `INVALID_ARGUMENT` when one that is named cannot be found, or the pattern makes no sense
 */
export function selectSnapshots(snapshots: readonly Snapshot[], selection: SnapshotSelection): Snapshot[] {
  const { wanted, glob, prefix, order = {} } = selection
  if (glob !== undefined && prefix !== undefined)
    throw new CairnError('INVALID_ARGUMENT', 'Cannot select snapshots by a pattern and a prefix; give one of them')
  const named = wanted.map((text) => findSnapshot(snapshots, text))
  const isLimited = order.first !== undefined || order.last !== undefined
  const matching =
    glob === undefined && prefix === undefined && !isLimited
      ? []
      : orderSnapshots(filterSnapshots(snapshots, { glob, prefix }), order)
  return [...new Set([...named, ...matching])]
}
