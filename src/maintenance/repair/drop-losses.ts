import type { AbortOptions } from '../../base/abort.ts'
import type { Clock } from '../../base/clock.ts'
import type { SessionId } from '../../base/ids.ts'
import type { Compression } from '../../repository/chunk-writer.ts'
import type { Repository } from '../../repository/repository.ts'
import { WriteSession } from '../../repository/write-session.ts'
import { findReplaced, loadSnapshots } from '../../snapshot/catalog.ts'
import { SnapshotReplacement } from '../../snapshot/replacement.ts'
import { type Rewritten, rewriteTree } from '../../snapshot/rewrite-tree.ts'
import type { Snapshot } from '../../snapshot/snapshot.ts'
import type { TreeNode } from '../../snapshot/tree-node.ts'
import { LossFinder, type LossKind, type Losses } from './losses.ts'

export interface DropOptions extends AbortOptions {
  /** Of the trees of what is left. */
  readonly compression: Compression
  readonly clock?: Clock | undefined
  /** Is told of each path that is lost, before what is left takes the place of the snapshot; the empty path is the top. */
  readonly onLost?: ((snapshot: Snapshot, path: string, kind: LossKind) => void) | undefined
}

/** A snapshot of which something was lost, and that is deleted now. */
export interface DroppedLosses {
  readonly before: Snapshot
  /** The snapshot in its place; `undefined` when nothing was left. */
  readonly after: SessionId | undefined
  readonly files: number
  readonly directories: number
  /** Nodes that have lost their attributes, and nothing else. */
  readonly attributes: number
}

/**
 * Puts, in the place of every snapshot of which something is lost, what is left of it: with its name, labels, times and pin, a
 * comment that says so, and as many issues more as there were losses. The damaged one is deleted, which `undelete` takes back should
 * a backup store again what is lost. Loads the index.
 *
 * Snapshots are replaced one after the other, each wholly or not at all, as `rewrite` does it.
 *
 * @throws {CairnError} `DATA_CORRUPT` when a commit record or an index object is damaged; `SESSION_FENCED`
 */
export async function dropLosses(repository: Repository, options: DropOptions): Promise<DroppedLosses[]> {
  await repository.loadIndexToWrite(options)
  const snapshots = await loadSnapshots(repository, options)
  const replaced = findReplaced(snapshots)
  for (const { id } of replaced) await repository.forget(id, options)
  const finder = new LossFinder(repository, options)
  const dropped: DroppedLosses[] = []
  for (const snapshot of snapshots) {
    if (replaced.includes(snapshot)) continue
    const losses = await finder.find(snapshot)
    if (!losses || (await repository.isForgotten(snapshot.id, options))) continue
    dropped.push(await replace(repository, snapshot, losses, options))
  }
  return dropped
}

async function replace(
  repository: Repository,
  before: Snapshot,
  losses: Losses,
  options: DropOptions,
): Promise<DroppedLosses> {
  const counts = countLosses(losses)
  if (losses.all) options.onLost?.(before, '', 'directory')
  if (losses.rootAttributes) options.onLost?.(before, '', 'attributes')
  for (const [path, kind] of losses.paths) options.onLost?.(before, path, kind)
  const after = losses.all ? undefined : await commitRest(repository, before, losses, counts, options)
  await repository.forget(before.id, options)
  return { before, after, ...counts }
}

type LossCounts = Pick<DroppedLosses, 'files' | 'directories' | 'attributes'>

/** Commits what is left of a snapshot in its place. Returns the new one's id; `undefined` when nothing is left. */
async function commitRest(
  repository: Repository,
  before: Snapshot,
  losses: Losses,
  counts: LossCounts,
  options: DropOptions,
): Promise<SessionId | undefined> {
  const { signal, clock, compression } = options
  // The session comes first: what it finds in the index is not reclaimed before it ends (docs/concurrency.md).
  const session = await WriteSession.open(repository, { signal, clock, reclaims: true })
  try {
    const replacement = new SnapshotReplacement(repository, session, compression)
    const rest = await rewriteTree(withoutLostStamps(before, losses), {
      select: (path) => (isGone(losses.paths.get(path)) ? LEFT_OUT : KEPT),
      mend: (path, node) => (losses.paths.get(path) === 'attributes' ? withoutAttributes(node) : node),
      load: (chunk) => repository.readChunk(chunk, options),
      save: replacement.save,
      ready: replacement.ready,
      signal,
    })
    if (isEmpty(rest) && counts.files + counts.directories > 0) return undefined
    const { root, ...after } = await replacement.finish(before, rest)
    const marked: Snapshot = {
      ...after,
      root: root && losses.rootAttributes ? withoutAttributes(root) : root,
      issues: before.issues + counts.files + counts.directories + counts.attributes,
      comment: withMark(before.comment, counts),
    }
    return (await replacement.commit(before, marked, options)) ? session.id : undefined
  } finally {
    await session.abandon() // of no effect after a commit
  }
}

function withoutLostStamps(snapshot: Snapshot, losses: Losses): Pick<Snapshot, 'tree' | 'stamps' | 'samples'> {
  const { tree, stamps, samples } = snapshot
  return { tree, stamps: losses.stamps ? undefined : stamps, samples: losses.samples ? undefined : samples }
}

const KEPT = { included: true, recurse: true } as const
const LEFT_OUT = { included: false, recurse: false } as const

function isGone(kind: LossKind | undefined): boolean {
  return kind === 'file' || kind === 'directory'
}

function withoutAttributes(node: TreeNode): TreeNode {
  const { xattrs: _, ...rest } = node
  return rest
}

function isEmpty({ files, directories, otherEntries }: Rewritten): boolean {
  return files + directories + otherEntries === 0
}

function countLosses({ paths, all, rootAttributes }: Losses): LossCounts {
  const counts = { files: 0, directories: all ? 1 : 0, attributes: rootAttributes ? 1 : 0 }
  for (const kind of paths.values()) {
    if (kind === 'file') counts.files++
    else if (kind === 'directory') counts.directories++
    else counts.attributes++
  }
  return counts
}

/** The comment of a snapshot, with what it has lost; as it was where that is nothing a restore would miss. */
function withMark(comment: string, counts: LossCounts): string {
  const lost = describeLosses(counts)
  if (lost === '') return comment
  return comment === '' ? `repaired: ${lost} lost` : `${comment} (repaired: ${lost} lost)`
}

/** Like `2 files, 1 folder`; empty when nothing is lost that a restore would miss. */
function describeLosses({ files, directories, attributes }: LossCounts): string {
  const parts: [count: number, one: string, many: string][] = [
    [files, 'file', 'files'],
    [directories, 'folder', 'folders'],
    [attributes, 'set of attributes', 'sets of attributes'],
  ]
  return parts.flatMap(([count, one, many]) => (count > 0 ? [`${count} ${count === 1 ? one : many}`] : [])).join(', ')
}
