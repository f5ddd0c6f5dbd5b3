/**
 * restorer: a snapshot becomes files. The main thread walks the tree, makes directories (folders.ts), symlinks and the like
 * (special-entries.ts), and gathers files in windows (files.ts): a window is planned by pack (plan.ts), fetched stretch by
 * stretch, and worker threads open segments, verify every chunk and write the files (file-writer.ts). A directory gets its
 * metadata as soon as everything below it is done.
 *
 * Nothing is written outside the target, whatever the snapshot says and whoever writes to the target meanwhile: names come checked
 * from the tree reader, and every directory is opened step by step without following symlinks (platform/open-folder.ts).
 * Files are made under temporary names and get their own when they are complete.
 *
 * Bounds: a window of `WINDOW_ENTRIES` chunks or `WINDOW_BYTES` bytes at a time, two stretches of 8 MiB per worker.
 */
import { throwIfAborted } from '../base/abort.ts'
import { CairnError } from '../base/errors.ts'
import type { ChunkId } from '../base/ids.ts'
import { toPrintable } from '../base/raw-name.ts'
import { describeSystemError, findFile, makeDirectory } from '../platform/files.ts'
import { nativeProblem } from '../platform/native.ts'
import { OpenFolders } from '../platform/open-folder.ts'
import { workerScript } from '../platform/installation.ts'
import { WorkerPool } from '../platform/worker-pool.ts'
import { type TreeNode } from '../snapshot/tree-node.ts'
import { walkTree } from '../snapshot/tree-walk.ts'
import { RestoreContext, type RestoreSettings } from './context.ts'
import { Crew } from './crew.ts'
import { currentRights } from './metadata.ts'
import type { RestoreInit, WorkerJob, WorkerResult } from './protocol.ts'
import { Taker } from './taker.ts'

export type { RestoreAction, RestoreIssue, RestoreObserver } from './context.ts'

export interface RestoreOptions extends RestoreSettings {
  readonly tree: ChunkId
  /** What the target itself is to be, when all is restored. */
  readonly root: TreeNode | undefined
  /** Paths inside the snapshot; everything when empty. */
  readonly paths: readonly string[]
  /** An existing directory, or one that can be made. */
  readonly target: string
}

/**
 * Restores a tree, or parts of it. What cannot be restored is reported as an issue, and the rest goes on.
 *
 * @throws {CairnError} `NOT_FOUND` when a path is not in the snapshot, `TARGET_FAILED` when the target as a whole refuses, or when
 *   what was read back differs, `CANCELLED`
 */
export async function restore(options: RestoreOptions): Promise<void> {
  const rights = currentRights(options)
  await using pool = new WorkerPool<WorkerJob, WorkerResult>({
    script: workerScript('restorer/worker'),
    count: options.workers,
    init: { keys: options.repository.keys, rights } satisfies RestoreInit,
  })
  if (!options.dryRun) pool.start()
  const { tree, paths, repository, signal, select } = options
  let taker: Taker | undefined
  const load = (id: Uint8Array): Promise<Uint8Array> => repository.readChunk(id, { signal })
  const onUnreadable = (path: string, error: unknown): void => taker?.unreadable(path, error)
  const walk = walkTree(tree, paths, load, { onUnreadable, select })
  // The target is made when the paths turned out to be there.
  const first = await walk.next()
  const folders = openTarget(options)
  const context = new RestoreContext(options, rights, folders)
  try {
    taker = new Taker(options, context, new Crew(pool, signal))
    await taker.begin()
    for (let next = first; !next.done; next = await walk.next()) {
      for (const entry of next.value) await taker.take(entry)
      throwIfAborted(signal)
      await taker.flushIfFull()
    }
    await taker.finish()
    reportNativeProblem(context)
    context.reportLosses()
    failIfDifferent(taker.differing, options.target)
  } catch (error) {
    taker?.tidy()
    throw error
  } finally {
    taker?.close()
    folders?.close()
  }
}

function openTarget({ target, dryRun }: RestoreOptions): OpenFolders | undefined {
  try {
    if (dryRun && !findFile(target)) return undefined
    if (!dryRun) makeDirectories(target)
    return OpenFolders.open(target) // a file is no target, a symlink to a directory is
  } catch (error) {
    throw new CairnError(
      'TARGET_FAILED',
      `Cannot restore into ${toPrintable(target)}: ${describeSystemError(error)}; choose another folder`,
      { cause: error },
    )
  }
}

/** Makes a directory and what is missing above it. */
function makeDirectories(path: string): void {
  if (findFile(path)) return
  const slash = path.lastIndexOf('/')
  if (slash > 0) makeDirectories(path.slice(0, slash))
  makeDirectory(path, 0o777)
}

function reportNativeProblem(context: RestoreContext): void {
  const path = context.firstNative
  const problem = path === undefined ? undefined : nativeProblem()
  if (path !== undefined && problem !== undefined) context.issue(path, problem, 'SKIPPED')
}

function failIfDifferent(differing: readonly string[], target: string): void {
  const [first] = differing
  if (first === undefined) return
  throw new CairnError(
    'TARGET_FAILED',
    `Cannot trust what was restored into ${toPrintable(target)}: ${differing.length} ${differing.length === 1 ? 'file reads' : 'files read'} back differently, the first is ${toPrintable(first)}; check the disk`,
    { details: { paths: differing.slice(0, 100) } },
  )
}
