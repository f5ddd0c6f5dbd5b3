import { CairnError } from '../base/errors.ts'
import { type SessionId, toHex } from '../base/ids.ts'
import { toRawName } from '../base/raw-name.ts'
import { type Label, loadLabels } from '../repository/labels.ts'
import { type CommitRecord, type LoadOptions, type Repository, passOver } from '../repository/repository.ts'
import { type Snapshot, decodeSnapshot } from './snapshot.ts'

/**
 * All committed snapshots but the forgotten ones, oldest first, with the names, comments and tags that they have now. Needs the
 * index loaded.
 *
 * @throws {CairnError} `DATA_CORRUPT` naming a damaged record or label, unless `onDamaged` takes it
 */
export async function loadSnapshots(
  repository: Pick<Repository, 'loadCommits' | 'storage' | 'keys'>,
  options: LoadOptions = {},
): Promise<Snapshot[]> {
  return withLabels(repository, decodeAll(await repository.loadCommits(options), options), options)
}

/** The snapshots of a repository for those who look time and again: what was committed does not change, and is read once. */
export class SnapshotCatalog {
  /** `undefined` for a run that committed something else. */
  readonly #committed = new Map<SessionId, Snapshot | undefined>()

  /** As `loadSnapshots`. */
  async load(
    repository: Pick<Repository, 'listCommits' | 'loadCommitsOf' | 'storage' | 'keys'>,
    options: LoadOptions = {},
  ): Promise<Snapshot[]> {
    const committed = this.#committed
    const sessions = await repository.listCommits(options)
    const news = sessions.filter((session) => !committed.has(session))
    for (const record of await repository.loadCommitsOf(news, options)) {
      const [snapshot] = decodeAll([record], options)
      if (snapshot || !('snapshot' in record.value)) committed.set(record.session, snapshot)
    }
    const gone = new Set(committed.keys()).difference(new Set(sessions))
    for (const session of gone) committed.delete(session)
    return withLabels(
      repository,
      [...committed.values()].filter((snapshot) => snapshot !== undefined),
      options,
    )
  }
}

/**
 * Those that are forgotten and still there, in the same way. Whether all that they need is there too is for `undelete` to find out.
 *
 * @throws {CairnError} as `loadSnapshots`
 */
export async function loadDeletedSnapshots(
  repository: Pick<Repository, 'loadForgottenCommits' | 'storage' | 'keys'>,
  options: LoadOptions = {},
): Promise<Snapshot[]> {
  return withLabels(repository, decodeAll(await repository.loadForgottenCommits(options), options), options)
}

function decodeAll(records: readonly CommitRecord[], { onDamaged }: LoadOptions): Snapshot[] {
  return records
    .map((record) => passOver(onDamaged, `commits/${record.session}`, () => decodeSnapshot(record)))
    .filter((snapshot) => snapshot !== undefined)
}

async function withLabels(
  repository: Pick<Repository, 'storage' | 'keys'>,
  committed: readonly Snapshot[],
  options: LoadOptions,
): Promise<Snapshot[]> {
  const { labels, pinned } = await loadLabels(
    repository,
    committed.map(({ id }) => id),
    options,
  )
  const snapshots = committed.map((snapshot) => withLabel(snapshot, labels.get(snapshot.id), pinned.has(snapshot.id)))
  return snapshots.sort((a, b) => compareText(a.startedAt, b.startedAt) || compareText(a.id, b.id))
}

/**
 * Snapshots in whose place there is another one already: whoever put it there was stopped before he deleted them, which is left to
 * do.
 */
export function findReplaced(snapshots: readonly Snapshot[]): Snapshot[] {
  const replacements = new Set(snapshots.map(({ madeFrom, name }) => `${madeFrom} ${name}`))
  return snapshots.filter(({ id, name }) => replacements.has(`${id} ${name}`))
}

/** The deleted snapshots that have not come back already. */
export function withoutRestored(deleted: readonly Snapshot[], present: readonly Snapshot[]): Snapshot[] {
  // One that was made by leaving something out is no such thing: it has another tree.
  const restored = new Set(present.map(({ madeFrom, tree }) => `${madeFrom} ${toHex(tree)}`))
  return deleted.filter(({ id, tree }) => !restored.has(`${id} ${toHex(tree)}`))
}

/** A snapshot as it was committed, with what was changed of it since. */
export function withLabel(snapshot: Snapshot, label: Label = {}, pinned = false): Snapshot {
  const { name = snapshot.name, comment = snapshot.comment, tags = snapshot.tags } = label
  return { ...snapshot, name, comment, tags, pinned }
}

/**
 * The snapshot a user means by `latest`, a name, or at least four digits of an id; names win over ids. A checkpoint is the latest
 * only where there is nothing else.
 *
 * @throws {CairnError} `NOT_FOUND` when there is none, `INVALID_ARGUMENT` when several ids begin so
 */
export function findSnapshot(snapshots: readonly Snapshot[], wanted: string): Snapshot {
  const named = wanted === 'latest' ? latestSnapshot(snapshots) : findNamed(snapshots, wanted)
  if (named) return named
  const matches = /^[0-9a-f]{4,32}$/.test(wanted) ? snapshots.filter((snapshot) => snapshot.id.startsWith(wanted)) : []
  if (matches.length > 1) {
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot tell which snapshot is meant by '${wanted}': ${matches.length} ids begin so; give more digits`,
    )
  }
  if (matches[0]) return matches[0]
  if (snapshots.length === 0)
    throw new CairnError('NOT_FOUND', `Cannot find the snapshot '${wanted}': the repository has none yet`)
  throw new CairnError(
    'NOT_FOUND',
    `Cannot find the snapshot '${wanted}': no name or id matches; 'cairn list' shows what there is`,
  )
}

/** A snapshot that was made to take the place of another one of its name goes before that. */
function findNamed(snapshots: readonly Snapshot[], name: string): Snapshot | undefined {
  const named = snapshots.filter((snapshot) => snapshot.name === name)
  const replaced = new Set(named.map(({ madeFrom }) => madeFrom))
  return named.findLast(({ id }) => !replaced.has(id))
}

/** The newest that is no checkpoint; only where all are, the newest of them. */
export function latestSnapshot(snapshots: readonly Snapshot[]): Snapshot | undefined {
  return snapshots.findLast((snapshot) => !snapshot.checkpoint) ?? snapshots.at(-1)
}

/**
 * The latest snapshot of the same paths on the same host: what a new one is compared with. A checkpoint is worse than an older
 * snapshot that is whole: what it lacks would count as new.
 */
export function findParent(
  snapshots: readonly Snapshot[],
  hostname: string,
  paths: readonly string[],
): Snapshot | undefined {
  const key = seriesKey({ hostname, paths })
  return latestSnapshot(snapshots.filter((snapshot) => seriesKey(snapshot) === key))
}

/** The same for snapshots of the same paths on the same host, in whatever order the paths were given. */
export function seriesKey({ hostname, paths }: Pick<Snapshot, 'hostname' | 'paths'>): string {
  return JSON.stringify([hostname, pathsKey(paths)])
}

/**
 * The same for the same paths in any order. By bytes: the text of a path that is not UTF-8 depends on whether its parts were joined
 * before or after decoding.
 */
export function pathsKey(paths: readonly string[]): string {
  const raw = paths.map((path) => toRawName(path).toString('latin1'))
  return JSON.stringify(raw.sort())
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
