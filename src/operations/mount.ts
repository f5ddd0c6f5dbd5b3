import os from 'node:os'
import { type Clock, systemClock } from '../base/clock.ts'
import { FuseAdapter } from '../mount/fuse-adapter.ts'
import { type MountIssue, type OpenMount, openMount } from '../mount/open-mount.ts'
import { serveWebdav } from '../mount/webdav.ts'
import { boundGarbage } from '../platform/bounded-garbage.ts'
import { findMountPoint, mountFuse, unmountFuse } from '../platform/fuse.ts'
import { currentUser } from '../platform/owners.ts'
import type { Repository } from '../repository/repository.ts'
import { findSnapshot, loadSnapshots } from '../snapshot/catalog.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { partsOfPath } from '../base/raw-name.ts'
import { walkTree } from '../snapshot/tree-walk.ts'
import { openStorage } from '../storage/location.ts'
import { ReconnectingStorage } from '../storage/reconnecting-storage.ts'
import { type PatternOption, selectPaths } from './path-selection.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import { filterSnapshots, orderSnapshots, type SnapshotFilter, type SnapshotOrder } from './snapshot-filter.ts'

export type { MountIssue, PatternOption }

/** What is shown, and how. */
export interface ShowOptions {
  /** `latest`, a name or an id prefix; `undefined` for all snapshots, as folders. */
  readonly snapshot: string | undefined
  /** Of all snapshots, those that this means, and of these so many; all when absent. */
  readonly filter?: SnapshotFilter | undefined
  readonly order?: SnapshotOrder | undefined
  /** Paths inside the snapshots, or patterns with their style in front; all when empty. */
  readonly paths: readonly string[]
  /** What to leave out. */
  readonly patterns?: readonly PatternOption[] | undefined
  readonly stripComponents?: number | undefined
  readonly numericIds?: boolean | undefined
  /** Owner and group of everything, in place of those that are stored. */
  readonly uid?: number | undefined
  readonly gid?: number | undefined
  /** Permission bits to take away. */
  readonly umask?: number | undefined
  /** Names a snapshot by its time. */
  readonly timeOf: (startedAt: string) => string
  readonly workers?: number | undefined
  /** Is told of what cannot be read, at once. */
  readonly onIssue: (issue: MountIssue) => void
}

export interface MountOptions extends ShowOptions {
  readonly mountPoint: string
  /** Let others than who mounts in. */
  readonly allowOther?: boolean | undefined
  /** Everybody who gets in may read everything, whatever owners and modes say. */
  readonly ignorePermissions?: boolean | undefined
  /** Is called once the mount can be used; when it fails, that ends the mount. */
  readonly onMounted: () => Promise<void>
}

/** How a mount came to its end. */
export interface MountEnd {
  /** It was ended by `access.signal`, and not by unmounting it. */
  readonly isInterrupted: boolean
  /** Somebody used it; what he had open failed from then on. */
  readonly wasBusy: boolean
}

/**
 * Mounts snapshots by way of FUSE, until somebody unmounts it or the signal says so, which is the usual end and no failure.
 *
 * @throws {CairnError} `NOT_FOUND` for an unknown snapshot, or a path that is not in it; `TARGET_FAILED` when nothing can be mounted
 *   there, or the mount broke
 */
export async function mountSnapshots(access: RepositoryAccess, options: MountOptions): Promise<MountEnd> {
  const { allowOther = false, ignorePermissions = false } = options
  const directory = await findMountPoint(options.mountPoint)
  return withShown(access, options, async ({ root }) => {
    const fileSystem = new FuseAdapter(root, !ignorePermissions)
    await using mount = await mountFuse(directory, fileSystem, { allowOther, checkPermissions: !ignorePermissions })
    await options.onMounted()
    await Promise.race([mount.done, aborted(access.signal)])
    if (!access.signal?.aborted) return { isInterrupted: false, wasBusy: false }
    return { isInterrupted: true, wasBusy: await mount.unmount() }
  })
}

export interface ServeOptions extends ShowOptions {
  /** 0 for any that is free. */
  readonly port: number
  /** Is called once it can be used, with the address, which is a secret: whoever knows it may read everything. */
  readonly onServing: (url: string) => void
}

/**
 * Shows snapshots to programs on this machine by WebDAV, until the signal says so.
 *
 * @throws {CairnError} as `mountSnapshots`
 */
export async function serveSnapshots(access: RepositoryAccess, options: ServeOptions): Promise<void> {
  return withShown(access, options, async ({ root }) => {
    await using server = await serveWebdav(root, options.port)
    options.onServing(server.url)
    await aborted(access.signal)
  })
}

/** Unmounts what `mountSnapshots` has mounted, in whatever process. @throws {CairnError} `TARGET_FAILED` */
export async function unmountSnapshots(mountPoint: string): Promise<void> {
  return unmountFuse(mountPoint)
}

/** Opens the repository for as long as `use` takes, which is given what it shows. */
async function withShown<T>(
  access: RepositoryAccess,
  options: ShowOptions,
  use: (opened: OpenMount) => Promise<T>,
): Promise<T> {
  const { stripComponents = 0, numericIds = false, uid, gid, umask = 0 } = options
  const { shows, paths } = selection(options)
  boundGarbage()
  const clock = access.clock ?? systemClock
  return withRepository(reconnecting(access, clock), async (repository) => {
    await repository.loadIndex(access)
    const snapshot =
      options.snapshot === undefined
        ? undefined
        : findSnapshot(await loadSnapshots(repository, access), options.snapshot)
    if (snapshot) await requirePaths(repository, snapshot, paths)
    // Without the signal: who reads when the mount is ended gets an answer.
    await using opened = await openMount({
      repository,
      snapshot,
      choose: (snapshots) => choose(snapshots, options),
      timeOf: ({ startedAt }) => options.timeOf(startedAt),
      view: { shows, stripComponents, numericIds, uid, gid, umask },
      owner: currentUser(),
      workers: options.workers ?? os.availableParallelism(),
      clock,
      onDamaged: access.onDamaged,
      onIssue: options.onIssue,
    })
    await opened.root.open() // fails early
    return await use(opened)
  })
}

/** A mount stays for days, connections do not. */
function reconnecting(access: RepositoryAccess, clock: Clock): RepositoryAccess {
  const open = access.openStorage ?? openStorage
  return {
    ...access,
    openStorage: async (...to) => new ReconnectingStorage(await open(...to), { open: () => open(...to), clock }),
  }
}

function choose(snapshots: readonly Snapshot[], { filter = {}, order = {} }: ShowOptions): readonly Snapshot[] {
  return orderSnapshots(filterSnapshots(snapshots, filter), order)
}

/** Which paths are shown: those that are wanted, with the folders on the way there. */
function selection(options: ShowOptions): {
  readonly shows: (path: string, isFolder: boolean) => boolean
  readonly paths: readonly string[]
} {
  const { paths, patterns } = selectPaths(
    options.paths.map((path) => path.replace(/^\/+/, '')),
    options.patterns ?? [],
  )
  const wanted = paths.map((path) => partsOfPath(path).join('/'))
  const isWanted = (path: string, isFolder: boolean): boolean =>
    wanted.length === 0 ||
    wanted.some(
      (one) => one === '' || one === path || path.startsWith(`${one}/`) || (isFolder && one.startsWith(`${path}/`)),
    )
  const shows = (path: string, isFolder: boolean): boolean => {
    if (!isWanted(path, isFolder)) return false
    if (!patterns) return true
    const { included, recurse } = patterns.decide(path)
    return included || (isFolder && recurse)
  }
  return { shows, paths: wanted }
}

/** @throws {CairnError} `NOT_FOUND` */
async function requirePaths(repository: Repository, { tree }: Snapshot, paths: readonly string[]): Promise<void> {
  await walkTree(tree, paths, (id) => repository.readChunk(id)).next()
}

function aborted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) resolve()
    else signal?.addEventListener('abort', () => resolve(), { once: true })
  })
}
