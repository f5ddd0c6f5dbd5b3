import { throwIfAborted } from '../base/abort.ts'
import { CairnError } from '../base/errors.ts'
import { toPrintable } from '../base/raw-name.ts'
import { changeLabel, changePin } from '../repository/labels.ts'
import type { Repository } from '../repository/repository.ts'
import { loadSnapshots } from '../snapshot/catalog.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import { type SnapshotInfo, toSnapshotInfo } from './snapshot-info.ts'
import { type SnapshotSelection, selectSnapshots } from './snapshot-selection.ts'
import { explainRefusal } from './store-refusal.ts'

export interface TagChanges {
  /** In place of all tags that there are. */
  readonly set?: readonly string[] | undefined
  readonly add?: readonly string[] | undefined
  readonly remove?: readonly string[] | undefined
}

/**
 * Changes the tags of snapshots. Tags that another process adds at the same moment are kept.
 *
 * @returns the snapshots as they are now
 * @throws {CairnError} `NOT_FOUND` | `INVALID_ARGUMENT` when one cannot be found, or a tag makes no sense; then nothing is changed
 */
export async function changeTags(
  access: RepositoryAccess,
  selection: SnapshotSelection,
  changes: TagChanges,
): Promise<SnapshotInfo[]> {
  for (const tag of [changes.set, changes.add, changes.remove].flatMap((tags) => tags ?? [])) checkTag(tag)
  return changeEach(access, selection, 'Cannot change the tags of', async (repository, snapshot) => {
    let { tags } = snapshot
    await changeLabel(
      repository,
      snapshot.id,
      (label) => {
        const before = label.tags ?? snapshot.tags
        tags = changedTags(before, changes)
        return JSON.stringify(tags) === JSON.stringify(before) ? undefined : { tags }
      },
      access,
    )
    return { ...snapshot, tags }
  })
}

/** The tags after a change, each once, those that were there first. */
export function changedTags(before: readonly string[], { set, add = [], remove = [] }: TagChanges): string[] {
  const gone = new Set(remove)
  return [...new Set([...(set ?? before), ...add])].filter((tag) => !gone.has(tag))
}

/**
 * Refuses tags that could not be typed or told apart in a list.
 *
 * @throws {CairnError} `INVALID_ARGUMENT`
 */
export function checkTag(tag: string): void {
  const isPlain = tag !== '' && tag.trim() === tag && tag.length <= 200 && !/[\p{Cc}\p{Cs},\u2028\u2029]/u.test(tag)
  if (isPlain) return
  throw new CairnError(
    'INVALID_ARGUMENT',
    `Cannot use the tag '${tag.toWellFormed()}': a tag is one to 200 characters on a line, without commas and blanks around it`,
  )
}

/** Changes the comment of snapshots; an empty one is none. @throws {CairnError} as `changeTags` */
export async function changeComment(
  access: RepositoryAccess,
  selection: SnapshotSelection,
  comment: string,
): Promise<SnapshotInfo[]> {
  return changeEach(access, selection, 'Cannot change the comment of', async (repository, snapshot) => {
    await changeLabel(
      repository,
      snapshot.id,
      (label) => ((label.comment ?? snapshot.comment) === comment ? undefined : { comment }),
      access,
    )
    return { ...snapshot, comment }
  })
}

/** Pins snapshots, so that no policy deletes them, or takes the pins away. @throws {CairnError} as `changeTags` */
export async function pinSnapshots(
  access: RepositoryAccess,
  selection: SnapshotSelection,
  isPinned: boolean,
): Promise<SnapshotInfo[]> {
  const action = isPinned ? 'Cannot pin' : 'Cannot unpin'
  return changeEach(access, selection, action, async (repository, snapshot) => {
    if (snapshot.pinned !== isPinned) await changePin(repository, snapshot.id, isPinned, access)
    return { ...snapshot, pinned: isPinned }
  })
}

async function changeEach(
  access: RepositoryAccess,
  selection: SnapshotSelection,
  action: string,
  change: (repository: Repository, snapshot: Snapshot) => Promise<Snapshot>,
): Promise<SnapshotInfo[]> {
  return withRepository(access, async (repository) => {
    await repository.loadIndex(access)
    const changed: SnapshotInfo[] = []
    for (const snapshot of selectSnapshots(await loadSnapshots(repository, access), selection)) {
      throwIfAborted(access.signal)
      const what = `${action} snapshot '${toPrintable(snapshot.name)}'`
      changed.push(toSnapshotInfo(await explainRefusal(what, () => change(repository, snapshot)), repository.index))
      // Looked at last: whoever deletes it now has seen the change.
      if (await repository.isForgotten(snapshot.id, access))
        throw new CairnError('NOT_FOUND', `${what}: it has just been deleted; 'cairn undelete' brings it back`)
    }
    return changed
  })
}
