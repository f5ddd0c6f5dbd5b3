import path from 'node:path'
import { type AbortOptions, throwIfAborted } from '../base/abort.ts'
import { CairnError, errnoOf } from '../base/errors.ts'
import { compareRawNames, toPrintable } from '../base/raw-name.ts'
import { describeSystemError, findFile, statFile } from '../platform/files.ts'
import { FolderWalk, type WalkRoot } from './folder/folder-walk.ts'
import { WorkerPool } from '../platform/worker-pool.ts'
import type { Source, SourceCount, SourceEntry, SourceIssue, SourceTotals } from './source.ts'

/**
 * Files and folders of this machine. Paths in the snapshot are rebuilt from the root as Borg does it: `/home/u` becomes
 * `home/u`, `docs` stays `docs`, leading `..` are dropped, and `.` puts its content at the top.
 *
 * @throws {CairnError} `SOURCE_FAILED` when a path does not exist: a typing error must not become an empty backup;
 *   `INVALID_ARGUMENT` when two paths cannot both be in one snapshot
 */
export function openFolderSource(paths: readonly string[], workingFolder: string): Source {
  const roots = paths.map((given) => toRoot(given, workingFolder))
  const walked = withoutNested(roots)
  return {
    paths: roots.map((root) => root.systemPath),
    entries: (onIssue, options) => walk(walked, onIssue, options),
    count: () => countFolders(walked),
  }
}

function toRoot(given: string, workingFolder: string): WalkRoot {
  const systemPath = path.resolve(workingFolder, given)
  try {
    statFile(systemPath)
  } catch (error) {
    const missing = errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR'
    const hint = missing ? 'check the path' : 'check its permissions'
    throw new CairnError(
      'SOURCE_FAILED',
      `Cannot back up ${toPrintable(given)}: ${describeSystemError(error)}; ${hint}`,
      { cause: error },
    )
  }
  const normal = path.normalize(given).replace(/\/+$/, '')
  const relative = normal
    .split('/')
    .filter(
      (part, i, parts) => part !== '' && part !== '.' && !(part === '..' && parts.slice(0, i).every((p) => p === '..')),
    )
  return { systemPath, path: relative.join('/') }
}

/** Drops roots that lie inside another one, and sorts the rest as a walk of the whole would come across them. */
function withoutNested(roots: readonly WalkRoot[]): WalkRoot[] {
  const sorted = [...roots].sort((a, b) => comparePaths(a.path, b.path))
  const kept: WalkRoot[] = []
  for (const root of sorted) {
    const last = kept.at(-1)
    if (last && (last.path === '' || root.path === last.path || root.path.startsWith(`${last.path}/`))) {
      const inside = last.systemPath === '/' ? '/' : `${last.systemPath}/`
      if (root.systemPath === last.systemPath) continue
      if (root.systemPath.startsWith(inside)) {
        requireWalked(root, last)
        continue
      }
      throw new CairnError(
        'INVALID_ARGUMENT',
        `Cannot back up ${toPrintable(root.systemPath)} together with ${toPrintable(last.systemPath)}: both would be '${toPrintable(root.path)}' in the snapshot; back them up by absolute paths`,
      )
    }
    kept.push(root)
  }
  return kept
}

/** A walk of `outer` follows no symlinks, so it would pass over a root that lies behind one without a word. */
function requireWalked(root: WalkRoot, outer: WalkRoot): void {
  for (let at = path.dirname(root.systemPath); ; at = path.dirname(at)) {
    if (findFile(at)?.type === 'symlink') {
      throw new CairnError(
        'INVALID_ARGUMENT',
        `Cannot back up ${toPrintable(root.systemPath)} together with ${toPrintable(outer.systemPath)}: ${toPrintable(at)} is a symlink, which is kept as one and not followed; back up what it points to by its own path`,
      )
    }
    if (at === outer.systemPath) return
  }
}

async function* walk(
  roots: readonly WalkRoot[],
  onIssue: (issue: SourceIssue) => void,
  options: AbortOptions = {},
): AsyncGenerator<SourceEntry[]> {
  let open: string[] = []
  for (const root of roots) {
    const parents = root.path.split('/').slice(0, -1)
    const shared = parents.findIndex((part, i) => part !== open[i])
    const fresh = shared < 0 ? parents.length : shared
    if (fresh < parents.length) yield parents.slice(fresh).map((_, i) => ancestorEntry(parents.slice(0, fresh + i + 1)))
    open = parents
    const folderWalk = new FolderWalk(root, onIssue)
    for (let batch = folderWalk.next(); batch.length > 0; batch = folderWalk.next()) {
      throwIfAborted(options.signal)
      yield batch
    }
  }
}

function countFolders(roots: readonly WalkRoot[]): SourceCount {
  const self = import.meta.url
  const url = new URL(`./folder/count-worker${self.slice(self.lastIndexOf('.'))}`, self)
  const pool = new WorkerPool<readonly WalkRoot[], SourceTotals>({ url, count: 1, init: undefined })
  return { totals: pool.run(0, roots), [Symbol.asyncDispose]: () => pool.close() }
}

function ancestorEntry(parts: readonly string[]): SourceEntry {
  return {
    path: parts.join('/'),
    name: parts.at(-1) ?? '',
    depth: parts.length,
    type: 'dir',
    mode: 0o755,
    uid: 0,
    gid: 0,
    user: '',
    group: '',
    sizeBytes: 0,
    mtimeNs: 0n,
    ctimeNs: 0n,
    inode: 0n,
    linkTarget: undefined,
    systemPath: '',
    ancestor: true,
  }
}

/** The order of a walk: part by part. */
function comparePaths(a: string, b: string): number {
  const left = a.split('/')
  const right = b.split('/')
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = compareRawNames(left[i] as string, right[i] as string)
    if (order !== 0) return order
  }
  return left.length - right.length
}
