import type { AbortOptions } from '../base/abort.ts'
import type { SessionId } from '../base/ids.ts'
import type { LoadOptions, Repository } from './repository.ts'
import { type Label, listLabels, loadLabel, putLabel, readLabel } from './sessions/label-log.ts'
import { claimAndRename } from './sessions/name-claim.ts'
import { listIds, pinKey } from './sessions/open-session.ts'

/** What is said of snapshots beside their commits, which stay as they are: names, comments, tags, and pins. */
export type { Label }

type Store = Pick<Repository, 'storage' | 'keys'>

/** What was changed of snapshots since their commits; those of which nothing was changed are absent. */
export interface Labels {
  readonly labels: ReadonlyMap<SessionId, Label>
  readonly pinned: ReadonlySet<SessionId>
}

/**
 * The labels of these snapshots, and all pins. One listing of each, and only labels that there are get read.
 *
 * @throws {CairnError} `DATA_CORRUPT` naming a damaged label, unless `onDamaged` takes it; the one before it counts then
 */
export async function loadLabels(
  { storage, keys }: Store,
  sessions: readonly SessionId[],
  options: LoadOptions = {},
): Promise<Labels> {
  const numbers = await listLabels(storage, undefined, options)
  const labelled = sessions.filter((session) => numbers.has(session))
  const labels = await Promise.all(
    labelled.map(async (session): Promise<[SessionId, Label]> => {
      const { label } = await readLabel(storage, keys, session, numbers.get(session) ?? [], options)
      return [session, label]
    }),
  )
  return { labels: new Map(labels), pinned: await listIds(storage, 'pins/', options) }
}

/** Two texts: the first differs when a run has committed since, either when a snapshot came, went or was renamed. */
export async function catalogState(
  { storage }: Pick<Store, 'storage'>,
  options: AbortOptions = {},
): Promise<CatalogState> {
  const state = async (...prefixes: string[]): Promise<string> => {
    const keys: string[] = []
    for (const prefix of prefixes) for await (const { key } of storage.list(prefix, options)) keys.push(key)
    return keys.sort().join(' ')
  }
  const [commits, others] = await Promise.all([state('commits/'), state('forgotten/', 'labels/')])
  return { commits, others }
}

export interface CatalogState {
  readonly commits: string
  readonly others: string
}

/**
 * Changes comment or tags of a snapshot; of two changes at once none is lost. `change` is given the label as it is, and returns
 * the fields to replace, or `undefined` for none; it is asked again when another process was quicker.
 *
 * @throws {CairnError} as `loadLabels`
 */
export async function changeLabel(
  { storage, keys }: Store,
  session: SessionId,
  change: (label: Label) => Omit<Label, 'name'> | undefined,
  options: LoadOptions = {},
): Promise<void> {
  for (;;) {
    const head = await loadLabel(storage, keys, session, options)
    const changes = change(head.label)
    if (!changes || (await putLabel(storage, keys, session, head, changes, options))) return
  }
}

/** Gives a snapshot a name that no other has. @throws {CairnError} `SNAPSHOT_EXISTS`; then nothing has changed */
export async function changeName(
  { storage, keys }: Store,
  session: SessionId,
  name: string,
  options: AbortOptions = {},
): Promise<void> {
  await claimAndRename(storage, keys, name, session, options)
}

/** Marks a snapshot to be kept whatever a policy says, or takes the mark away. */
export async function changePin(
  { storage }: Store,
  session: SessionId,
  isPinned: boolean,
  options: AbortOptions = {},
): Promise<void> {
  if (isPinned) await storage.put(pinKey(session), new Uint8Array(), options)
  else await storage.delete(pinKey(session), options)
}
