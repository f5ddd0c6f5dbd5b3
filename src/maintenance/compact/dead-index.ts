import type { AbortOptions } from '../../base/abort.ts'
import { isCairnError } from '../../base/errors.ts'
import {
  type IndexedPack,
  commitKey,
  decodeIndex,
  findObject,
  listSessions,
  parseIndexKey,
} from '../../repository/low-level.ts'
import { type Repository, packKey } from '../../repository/repository.ts'

/**
 * Removes index objects of runs that ended without a commit, once there is nothing left for anybody to take over: each of their
 * packs is gone, or named by an index object that counts. Needs the index loaded.
 */
export async function removeDeadIndexObjects(repository: Repository, options: AbortOptions): Promise<void> {
  const { storage, index } = repository
  const candidates: string[] = []
  for await (const { key } of storage.list('index/', options)) if (!index.indexKeys.has(key)) candidates.push(key)
  if (candidates.length === 0) return
  // Sessions after the index, and registers after sessions: whose run is not open now has committed before, or never will.
  const open = await listSessions(storage, options)
  const committed = new Set<string>()
  for await (const { key, sizeBytes } of storage.list('commits/', options)) if (sizeBytes > 0) committed.add(key)
  const named = new Set(index.packs.map(({ id }) => id))
  for (const key of candidates) {
    const session = parseIndexKey(key)?.session
    if (!session || open.has(session) || committed.has(commitKey(session))) continue
    if (await isOfNoUse(repository, await packsOf(repository, key, options), named, options))
      await storage.delete(key, options)
  }
}

/** What an index object names; `undefined` when it is damaged, or gone. */
async function packsOf(
  { storage, keys }: Repository,
  key: string,
  options: AbortOptions,
): Promise<IndexedPack[] | undefined> {
  try {
    return decodeIndex(keys, key, await storage.get(key, undefined, options))
  } catch (error) {
    const isUnreadable =
      isCairnError(error, 'DATA_CORRUPT') ||
      isCairnError(error, 'FORMAT_UNSUPPORTED') ||
      isCairnError(error, 'NOT_FOUND')
    if (!isUnreadable) throw error
    return undefined
  }
}

async function isOfNoUse(
  { storage }: Repository,
  packs: readonly IndexedPack[] | undefined,
  named: ReadonlySet<string>,
  options: AbortOptions,
): Promise<boolean> {
  if (!packs) return false
  for (const { id } of packs) if (!named.has(id) && (await findObject(storage, packKey(id), options))) return false
  return true
}
