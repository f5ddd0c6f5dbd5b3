import type { Clock } from '../base/clock.ts'
import { toRawName } from '../base/raw-name.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import {
  type Entry,
  type EntryStat,
  FixedListing,
  type Folder,
  type Listing,
  MadeEntry,
  type MadeStat,
  type SymlinkEntry,
} from './entry.ts'
import { NO_ID } from './entry-id.ts'
import { folderNames } from './folder-names.ts'

/** How long what was found may be told again before it is looked for anew. */
const FRESH_MS = 2000

/** Names that are not those of snapshots. */
const BY_TIME = 'by-time'
const LATEST = 'latest'

export interface SnapshotsFolderOptions {
  /** The snapshots there are, oldest first; the same array as long as nothing has changed. */
  readonly load: () => Promise<readonly Snapshot[]>
  /** The folder of one of them. */
  readonly rootOf: (snapshot: Snapshot) => Folder
  /** What a snapshot is called below `by-time`. */
  readonly timeOf: (snapshot: Snapshot) => string
  readonly newestOf: (snapshots: readonly Snapshot[]) => Snapshot | undefined
  readonly clock: Clock
  readonly made: MadeStat
}

/** Some names and what they stand for. */
type Entries = ReadonlyMap<string, Entry>

/**
 * The folder of all snapshots by name, as Borg shows them, and besides `by-time` and `latest`, which lead to them. It changes as
 * snapshots come and go.
 */
export class SnapshotsFolder extends MadeEntry implements Folder {
  readonly type = 'dir'
  readonly isLasting = false
  readonly #options: SnapshotsFolderOptions
  /** Kept as long as their snapshots are there: what is open below them goes on. */
  readonly #roots = new Map<Snapshot['id'], Folder>()
  #loadedAtMs = Number.NEGATIVE_INFINITY
  #loaded: readonly Snapshot[] = []
  #entries: Promise<Entries> | undefined

  constructor(options: SnapshotsFolderOptions) {
    super(NO_ID, 'snapshots', options.made)
    this.#options = options
  }

  async find(name: string): Promise<Entry | undefined> {
    return (await this.#current()).get(name)
  }

  async open(): Promise<Listing> {
    return new FixedListing(await this.#current())
  }

  #current(): Promise<Entries> {
    const now = this.#options.clock.now()
    // A clock that was set back must not keep old ones alive.
    if (this.#entries && Math.abs(now - this.#loadedAtMs) < FRESH_MS) return this.#entries
    this.#loadedAtMs = now
    const entries = this.#load(this.#entries)
    entries.catch(() => (this.#loadedAtMs = Number.NEGATIVE_INFINITY)) // the next one tries again
    return (this.#entries = entries)
  }

  async #load(before: Promise<Entries> | undefined): Promise<Entries> {
    const snapshots = await this.#options.load()
    if (before && snapshots === this.#loaded) return before
    const entries = this.#toEntries(snapshots)
    this.#loaded = snapshots
    return entries
  }

  #toEntries(snapshots: readonly Snapshot[]): Entries {
    const { timeOf, newestOf, made } = this.#options
    const names = folderNames(snapshots, ({ name }) => name, [BY_TIME, LATEST])
    const entries = new Map<string, Entry>()
    const nameOf = new Map<Snapshot, string>()
    for (const [name, snapshot] of names) {
      entries.set(name, this.#rootOf(snapshot))
      nameOf.set(snapshot, name)
    }
    const leadTo = (parentId: bigint, name: string, prefix: string, snapshot: Snapshot): Entry =>
      new MadeSymlink(parentId, name, made, `${prefix}${nameOf.get(snapshot)}`, this.#rootOf(snapshot))

    const byTime = new ByTimeFolder(this.id, BY_TIME, made)
    for (const [name, snapshot] of folderNames(snapshots, timeOf))
      byTime.entries.set(name, leadTo(byTime.id, name, '../', snapshot))
    entries.set(BY_TIME, byTime)
    const newest = newestOf(snapshots)
    if (newest) entries.set(LATEST, leadTo(this.id, LATEST, '', newest))
    const shown = new Set(snapshots.map(({ id }) => id))
    for (const id of this.#roots.keys()) if (!shown.has(id)) this.#roots.delete(id)
    return entries
  }

  #rootOf(snapshot: Snapshot): Folder {
    const root = this.#roots.get(snapshot.id) ?? this.#options.rootOf(snapshot)
    this.#roots.set(snapshot.id, root)
    return root
  }
}

class ByTimeFolder extends MadeEntry implements Folder {
  readonly type = 'dir'
  readonly isLasting = false
  readonly entries = new Map<string, Entry>()

  async find(name: string): Promise<Entry | undefined> {
    return this.entries.get(name)
  }

  async open(): Promise<Listing> {
    return new FixedListing(this.entries)
  }
}

class MadeSymlink extends MadeEntry implements SymlinkEntry {
  readonly type = 'symlink'
  readonly isLasting = false
  readonly leadsTo: Entry
  readonly #target: string

  constructor(parentId: bigint, name: string, made: MadeStat, target: string, leadsTo: Entry) {
    super(parentId, name, made)
    this.#target = target
    this.leadsTo = leadsTo
  }

  async readTarget(): Promise<string> {
    return this.#target
  }

  override async stat(): Promise<EntryStat> {
    return { ...(await super.stat()), sizeBytes: toRawName(this.#target).length }
  }
}
