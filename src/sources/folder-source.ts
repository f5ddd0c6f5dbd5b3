import path from 'node:path'
import { type AbortOptions, throwIfAborted } from '../base/abort.ts'
import { CairnError, errnoOf } from '../base/errors.ts'
import { compareRawNames, fromRawName, toPrintable, toRawName } from '../base/raw-name.ts'
import { fileSystemKind } from '../platform/file-systems.ts'
import { describeSystemError, findFile, statFile } from '../platform/files.ts'
import { EntryStat } from '../platform/statx.ts'
import { WorkerPool } from '../platform/worker-pool.ts'
import { BatchWriter, type FoundEntry, type WantedFields, readBatch } from './folder/entry-batch.ts'
import type { WalkRoot } from './folder/folder-walk.ts'
import { Scan, scanWorker } from './folder/scan.ts'
import type { ScanJob, ScanResult } from './folder/scan-worker.ts'
import { NOTHING_EXCLUDED, type SelectionOptions } from './folder/selection.ts'
import { readSourceXattrs } from './source-xattrs.ts'
import type { Source, SourceCount, SourceEntry, SourceIssue, SourceWalk, SourceXattr, WalkObserver } from './source.ts'

export type { SelectionOptions }

export interface FolderSourceOptions extends Partial<SelectionOptions> {
  /** Store access times too. */
  readonly atime?: boolean | undefined
  /** Leave out the names of owners, which then are restored by number. */
  readonly numericIds?: boolean | undefined
  /** What does not exist is an issue, as long as there is something else to back up. */
  readonly skipMissing?: boolean | undefined
  /** Threads that walk; one unless told, more where a file system is slow to answer. */
  readonly threads?: number | undefined
}

/** Threads for a file system whose answers take a round trip: they wait most of the time. */
const NETWORK_THREADS = 8
/** A path of another name is kept in the node; one as long as this is not worth it, and the file is stored under both names. */
const MAX_HARD_LINK_PATH = 32_768

/**
 * Files and folders of this machine. Paths in the snapshot are rebuilt from the root as Borg does it: `/home/u` becomes
 * `home/u`, `docs` stays `docs`, leading `..` are dropped, and `.` puts its content at the top.
 *
 * @throws {CairnError} `SOURCE_FAILED` when a path does not exist, or with `skipMissing` none does: a typing error must not become an
 *   empty backup;
 *   `INVALID_ARGUMENT` when two paths cannot both be in one snapshot
 */
export function openFolderSource(
  paths: readonly string[],
  workingFolder: string,
  options: FolderSourceOptions = {},
): Source {
  const { atime = false, numericIds = false, threads, skipMissing = false, ...given } = options
  const missing: SourceIssue[] = []
  const roots = paths.flatMap((one) => {
    try {
      return [toRoot(one, workingFolder)]
    } catch (error) {
      if (!skipMissing || paths.length === missing.length + 1) throw error
      missing.push(toMissing(one, error))
      return []
    }
  })
  const walked = withoutNested(roots)
  const wanted = { atime, names: !numericIds }
  const selection = { ...NOTHING_EXCLUDED, ...given }
  const isSlow = walked.some(({ systemPath }) => fileSystemKind(systemPath) === 'network')
  return {
    // Also what is missing: next time it may be there again, and this is the same backup.
    paths: paths.map((one) => path.resolve(workingFolder, one)),
    root: walked.length === 1 && walked[0]?.path === '' ? rootEntry(walked[0].systemPath, wanted) : undefined,
    walk: (observer, { signal } = {}) =>
      new FolderSourceWalk(walked, selection, {
        wanted,
        threads: threads ?? (isSlow ? NETWORK_THREADS : 1),
        observer,
        missing,
        signal,
      }),
    count: () => countFolders(walked, selection),
  }
}

function toRoot(given: string, workingFolder: string): WalkRoot {
  const systemPath = path.resolve(workingFolder, given)
  try {
    statFile(systemPath)
  } catch (error) {
    throw toSourceError(given, error)
  }
  const normal = path.normalize(given).replace(/\/+$/, '')
  const relative = normal
    .split('/')
    .filter(
      (part, i, parts) => part !== '' && part !== '.' && !(part === '..' && parts.slice(0, i).every((p) => p === '..')),
    )
  return { systemPath, path: relative.join('/') }
}

function toMissing(given: string, error: unknown): SourceIssue {
  const { cause } = error as CairnError
  const code = errnoOf(cause) ?? 'ENOENT'
  return { path: given, systemPath: given, message: describeSystemError(cause), code }
}

function toSourceError(given: string, error: unknown): CairnError {
  const missing = errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR'
  const hint = missing ? 'check the path' : 'check its permissions'
  return new CairnError(
    'SOURCE_FAILED',
    `Cannot back up ${toPrintable(given)}: ${describeSystemError(error)}; ${hint}`,
    { cause: error },
  )
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

interface FolderSourceWalkOptions extends AbortOptions {
  readonly wanted: WantedFields
  readonly threads: number
  readonly observer: WalkObserver
  /** To be told of first. */
  readonly missing: readonly SourceIssue[]
}

class FolderSourceWalk implements SourceWalk {
  readonly #roots: readonly WalkRoot[]
  readonly #scan: Scan
  readonly #options: FolderSourceWalkOptions
  readonly #names = new KnownNames()

  constructor(roots: readonly WalkRoot[], selection: SelectionOptions, options: FolderSourceWalkOptions) {
    this.#roots = roots
    this.#options = options
    this.#scan = new Scan(roots, selection, options.threads)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<SourceEntry[]> {
    const { observer, wanted, missing, signal } = this.#options
    for (const issue of missing) observer.issue(issue)
    let begun = -1
    let open: string[] = []
    let tentative: FoundEntry[] = []
    for (;;) {
      const next = await this.#scan.next()
      if (!next) return
      throwIfAborted(signal)
      const entries: SourceEntry[] = []
      if (next.root !== begun) {
        begun = next.root
        tentative = []
        const parents = (this.#roots[begun]?.path ?? '').split('/').slice(0, -1)
        const shared = parents.findIndex((part, i) => part !== open[i])
        for (let depth = shared < 0 ? parents.length : shared; depth < parents.length; depth++)
          entries.push(ancestorEntry(parents.slice(0, depth + 1)))
        open = parents
      }
      const { batch } = next
      for (const issue of batch.issues) observer.issue(issue)
      for (const path of batch.excluded) observer.excluded(path === '' ? '.' : path)
      for (const found of readBatch(batch, wanted)) {
        // A directory that is only wanted for what is in it waits for that.
        while ((tentative.at(-1)?.depth ?? 0) >= found.depth) tentative.pop()
        if (found.tentative) {
          tentative.push(found)
          continue
        }
        entries.push(...tentative, this.#names.identify(found))
        tentative = []
      }
      if (entries.length > 0) yield entries
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scan.close()
  }
}

/**
 * Recognizes names of files that were met before. Remembers a file until all of its names have come, which never happens when
 * some lie outside of what is backed up: so in columns: about 110 bytes, a usual path among them.
 */
class KnownNames {
  /** By file system, the number of a file by its inode. */
  readonly #files = new Map<number, Map<number | bigint, number>>()
  readonly #firstPaths: string[] = []
  /** Names that are still to come. */
  readonly #left: number[] = []

  identify(found: FoundEntry): SourceEntry {
    if (found.linkCount < 2 || found.type === 'dir') return found
    const files = this.#filesOf(found.fileSystem)
    const inode = found.inode <= Number.MAX_SAFE_INTEGER ? Number(found.inode) : found.inode
    const known = files.get(inode)
    if (known === undefined) {
      if (found.path.length > MAX_HARD_LINK_PATH) return found
      // As nodes hold it, who decode it as a whole; and not tied to the memory of the path's parts.
      const path = fromRawName(toRawName(found.path))
      const file = this.#firstPaths.push(path) - 1
      this.#left.push(found.linkCount - 1)
      files.set(inode, file)
      return { ...found, link: { file, first: path, isFirst: true, isLast: false } }
    }
    const left = (this.#left[known] as number) - 1
    const first = this.#firstPaths[known] as string
    this.#left[known] = left
    if (left === 0) {
      files.delete(inode)
      this.#firstPaths[known] = ''
    }
    return { ...found, link: { file: known, first, isFirst: false, isLast: left === 0 } }
  }

  #filesOf(fileSystem: number): Map<number | bigint, number> {
    const known = this.#files.get(fileSystem)
    if (known) return known
    const files = new Map<number | bigint, number>()
    this.#files.set(fileSystem, files)
    return files
  }
}

function countFolders(roots: readonly WalkRoot[], selection: SelectionOptions): SourceCount {
  const pool = new WorkerPool<ScanJob, ScanResult>({ script: scanWorker(), count: 1, init: selection })
  const totals = pool.run(0, { kind: 'count', roots }).then((result) => {
    if (result.kind !== 'count') throw new CairnError('INTERNAL', 'Counting came to no result')
    return result.totals
  })
  return { totals, [Symbol.asyncDispose]: () => pool.close() }
}

/** The entry of a folder whose content lies at the top: its name means nothing. */
function rootEntry(systemPath: string, wanted: WantedFields): SourceEntry {
  const stat = new EntryStat()
  let xattrs: SourceXattr[] | undefined
  try {
    stat.readPath(systemPath)
    xattrs = readSourceXattrs(systemPath)
  } catch (error) {
    throw toSourceError(systemPath, error)
  }
  const batch = new BatchWriter(1)
  const folder = { systemPath, path: '', depth: 0 }
  batch.add({ stat, name: 'root', folder, kind: 'local', tentative: false, extras: xattrs && { xattrs } })
  const [entry] = readBatch(batch.take(), wanted)
  return { ...(entry as SourceEntry), path: '', systemPath }
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
    atimeNs: undefined,
    linkTarget: undefined,
    link: undefined,
    device: undefined,
    xattrs: undefined,
    flags: 0,
    sparse: false,
    fileSystemKind: 'local',
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
