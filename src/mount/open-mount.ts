import type { AbortOptions } from '../base/abort.ts'
import type { Clock } from '../base/clock.ts'
import { toCairnError } from '../base/errors.ts'
import { type CatalogState, catalogState } from '../repository/labels.ts'
import type { LoadOptions, Repository } from '../repository/repository.ts'
import { SnapshotCatalog, latestSnapshot } from '../snapshot/catalog.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import type { Folder, MadeStat } from './entry.ts'
import { MergedFolder, foldersBelow } from './merged-folder.ts'
import { SegmentCache } from './segment-cache.ts'
import { type MountContext, SnapshotView, type ViewOptions } from './snapshot-view.ts'
import { SnapshotsFolder } from './snapshots-folder.ts'
import { TreeCache } from './tree-cache.ts'
import { TreeFolder } from './tree-entry.ts'

export interface OpenMountOptions extends AbortOptions, Pick<LoadOptions, 'onDamaged'> {
  /** With its index loaded. */
  readonly repository: Repository
  /** The one to show; `undefined` for a folder of all. */
  readonly snapshot: Snapshot | undefined
  /** Those to show where all are, out of those that there are. */
  readonly choose: (snapshots: readonly Snapshot[]) => readonly Snapshot[]
  readonly timeOf: (snapshot: Snapshot) => string
  readonly view: ViewOptions
  /** Whose the folders are that the mount itself makes. */
  readonly owner: Pick<MadeStat, 'uid' | 'gid'>
  readonly workers: number
  readonly clock: Clock
  /** Is told once of each thing that cannot be read. */
  readonly onIssue: (issue: MountIssue) => void
}

export interface MountIssue {
  /** In the mount, or of what the repository has. */
  readonly path: string
  readonly message: string
  readonly code: string
}

/** A repository, or one snapshot of it, as a folder. */
export interface OpenMount extends AsyncDisposable {
  readonly root: Folder
}

/** Issues that are remembered, so that each is told once. */
const MAX_ISSUES = 10_000

/**
 * Opens the folder that is to be shown. The repository must stay open as long as it is used.
 *
 * @throws {CairnError} what reading the store throws
 */
export async function openMount(options: OpenMountOptions): Promise<OpenMount> {
  const { repository, snapshot, clock, owner, view, workers, signal } = options
  const load = (id: Uint8Array): Promise<Uint8Array> => repository.readChunk(id, { signal })
  const segments = new SegmentCache({ repository, workers, signal })
  const made = { ...owner, mtimeNs: BigInt(clock.now()) * 1_000_000n }
  const onIssue = issueReporter(options)
  const context: MountContext = { load, trees: new TreeCache(load), segments, view, onIssue, made }
  const rootOf = (one: Snapshot): Folder => rootOfView(new SnapshotView(context, one))
  const root = snapshot
    ? rootOf(snapshot)
    : new SnapshotsFolder({
        load: snapshotLoader(options, onIssue),
        rootOf,
        timeOf: options.timeOf,
        newestOf: latestSnapshot,
        clock,
        made,
      })
  return { root, [Symbol.asyncDispose]: () => segments[Symbol.asyncDispose]() }
}

function rootOfView(view: SnapshotView): Folder {
  const root = TreeFolder.root(view)
  const { stripComponents } = view.context.view
  if (stripComponents === 0) return root
  return new MergedFolder(view.rootId, '', view.made, () => foldersBelow(root, stripComponents))
}

/** Gives the snapshots there are. Where the store cannot be asked any more, those that were there last. */
function snapshotLoader(
  { repository, choose, signal, onDamaged }: OpenMountOptions,
  onIssue: MountContext['onIssue'],
): () => Promise<readonly Snapshot[]> {
  const catalog = new SnapshotCatalog()
  let state: CatalogState | undefined
  let chosen: readonly Snapshot[] = []
  return async () => {
    try {
      const found = await catalogState(repository, { signal })
      if (state?.commits === found.commits && state.others === found.others) return chosen
      if (state && state.commits !== found.commits) await repository.followIndex({ signal, onDamaged })
      chosen = choose(await catalog.load(repository, { signal, onDamaged }))
      state = found
    } catch (error) {
      if (!state) throw error
      onIssue('', error)
    }
    return chosen
  }
}

function issueReporter({ onIssue }: Pick<OpenMountOptions, 'onIssue'>): MountContext['onIssue'] {
  const told = new Set<string>()
  return (path, error) => {
    const { code, message } = toCairnError(error)
    // The mount is going away, and everybody who reads with it.
    if (code === 'CANCELLED' || told.has(`${path}: ${message}`)) return
    if (told.size < MAX_ISSUES) told.add(`${path}: ${message}`)
    onIssue({ path, message, code })
  }
}
