import type { RepositoryAccess } from './repository-access.ts'
import { CairnError } from '../base/errors.ts'
import type { EntryInfo } from './list.ts'

export interface DiffChange {
  readonly path: string
  readonly change: 'added' | 'removed' | 'modified' | 'type' | 'metadata'
  readonly before: EntryInfo | undefined
  readonly after: EntryInfo | undefined
  /** Content bytes that are only in one of the two, for files. */
  readonly bytesAdded: number
  readonly bytesRemoved: number
}

/** What differs between two snapshots, in path order. */
export function diffSnapshots(
  _access: RepositoryAccess,
  _before: string,
  _after: string,
  _paths: readonly string[],
): AsyncIterable<DiffChange> {
  throw new CairnError('INTERNAL', 'stub')
}
