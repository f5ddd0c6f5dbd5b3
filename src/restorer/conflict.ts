import type { FileStat } from '../platform/files.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'

/**
 * What to do where something is already. Directories are shared in any case, and what is in the place of a directory or of
 * anything else is
 * - `fail`: left alone, and an issue
 * - `keep`: left alone
 * - `overwrite`: replaced, unless it is right already
 * - `if-newer`: replaced if the snapshot's is newer, by its modification time
 * - `mirror`: replaced as by `overwrite`; and what restored directories have that the snapshot has not is removed
 */
export type Conflict = 'fail' | 'keep' | 'overwrite' | 'if-newer' | 'mirror'

export const CONFLICTS: readonly Conflict[] = ['fail', 'keep', 'overwrite', 'if-newer', 'mirror']

export type Decision = 'make' | 'replace' | 'keep' | 'refuse'

/** What becomes of a node, given what is in its place. Not for a directory where there is one. */
export function decide(conflict: Conflict, node: TreeNode, found: FileStat | undefined): Decision {
  if (!found) return 'make'
  if (conflict === 'fail') return 'refuse'
  if (conflict === 'keep' || (conflict === 'if-newer' && node.mtimeNs <= found.mtimeNs)) return 'keep'
  return 'replace'
}
