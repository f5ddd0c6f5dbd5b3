import { CairnError } from '../base/errors.ts'
import { findSnapshot } from '../snapshot/catalog.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { filterSnapshots } from './snapshot-filter.ts'

/** Which snapshots a command is about: those that are named, and those whose names match. */
export interface SnapshotSelection {
  /** `latest`, names, or beginnings of ids. */
  readonly wanted: readonly string[]
  /** Borg's `--glob-archives`: a shell pattern, as `sh:` is one for paths. */
  readonly glob?: string | undefined
  /** Borg's `--prefix`. */
  readonly prefix?: string | undefined
}

/**
 * The snapshots that are meant, each once: first those that are named, in that order, then those that match, oldest first.
 * A checkpoint goes by the name that its run was to have.
 *
 * @throws {CairnError} `NOT_FOUND` | `INVALID_ARGUMENT` when one that is named cannot be found, or the pattern makes no sense
 */
export function selectSnapshots(snapshots: readonly Snapshot[], selection: SnapshotSelection): Snapshot[] {
  const { wanted, glob, prefix } = selection
  if (glob !== undefined && prefix !== undefined)
    throw new CairnError('INVALID_ARGUMENT', 'Cannot select snapshots by a pattern and a prefix; give one of them')
  const named = wanted.map((text) => findSnapshot(snapshots, text))
  const matching = glob === undefined && prefix === undefined ? [] : filterSnapshots(snapshots, { glob, prefix })
  return [...new Set([...named, ...matching])]
}
