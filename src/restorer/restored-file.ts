import type { TreeNode } from '../snapshot/tree-node.ts'
import type { RestoreAction } from './context.ts'
import type { HoleTable } from '../snapshot/hole-table.ts'
import type { Folder } from './folders.ts'
import type { Metadata } from './metadata.ts'
import type { PlannedFile } from './plan.ts'
import type { Placement, SharedFile } from './protocol.ts'

/** A file on its way; holds its folder until it is done. */
export interface RestoredFile extends PlannedFile {
  readonly path: string
  readonly node: TreeNode
  readonly folder: Folder
  readonly metadata: Metadata
  readonly holes: HoleTable | undefined
  readonly placement: Placement
  readonly action: RestoreAction
  failed: boolean
  shared: SharedFile | undefined
  /** In how many check jobs it was. */
  checks: number
  /** Restored, or given up. */
  isDone: boolean
  /** What waits until it is there, or will not be. */
  waiting: ((isRestored: boolean) => void)[] | undefined
}
