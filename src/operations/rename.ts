import { CairnError } from '../base/errors.ts'
import { toPrintable } from '../base/raw-name.ts'
import { changeName } from '../repository/labels.ts'
import { findSnapshot, loadSnapshots } from '../snapshot/catalog.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import { type SnapshotInfo, toSnapshotInfo } from './snapshot-info.ts'
import { explainRefusal } from './store-refusal.ts'

/**
 * Gives a snapshot (`latest`, a name or an id prefix) another name. One that has the name already is left as it is.
 *
 * @returns the snapshot as it was
 * @throws {CairnError} `NOT_FOUND`; `SNAPSHOT_EXISTS` when the name is taken; `STORAGE_DENIED`. Then it has its old name
 */
export async function renameSnapshot(access: RepositoryAccess, wanted: string, name: string): Promise<SnapshotInfo> {
  return withRepository(access, async (repository) => {
    await repository.loadIndex(access)
    const snapshot = findSnapshot(await loadSnapshots(repository, access), wanted)
    if (snapshot.name !== name) {
      const action = `Cannot rename snapshot '${toPrintable(snapshot.name)}'`
      await explainRefusal(action, () => changeName(repository, snapshot.id, name, access))
      if (await repository.isForgotten(snapshot.id, access))
        throw new CairnError('NOT_FOUND', `${action}: it has just been deleted; 'cairn undelete' brings it back`)
    }
    return toSnapshotInfo(snapshot, repository.index)
  })
}
