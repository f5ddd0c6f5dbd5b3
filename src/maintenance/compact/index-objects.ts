import type { AbortOptions } from '../../base/abort.ts'
import { isCairnError } from '../../base/errors.ts'
import type { SessionId } from '../../base/ids.ts'
import { type IndexedPack, decodeIndex, parseIndexKey } from '../../repository/low-level.ts'
import type { Repository } from '../../repository/repository.ts'

/** An index object, opened. */
export interface OpenedIndexObject {
  readonly key: string
  readonly session: SessionId
  readonly packs: readonly IndexedPack[]
}

/**
 * The index objects that the loaded index was read from, one after the other. Those that another reclamation has replaced
 * meanwhile are left out: what they said stands in its objects.
 *
 * @throws {CairnError} `DATA_CORRUPT` naming a damaged one
 */
export async function* eachIndexObject(
  { storage, keys, index }: Repository,
  options: AbortOptions,
): AsyncGenerator<OpenedIndexObject> {
  for (const key of index.indexKeys) {
    const name = parseIndexKey(key)
    if (!name) continue
    try {
      const object = await storage.get(key, undefined, options)
      yield { key, session: name.session, packs: decodeIndex(keys, key, object) }
    } catch (error) {
      if (!isCairnError(error, 'NOT_FOUND')) throw error
    }
  }
}
