import type { Storage } from '../../storage/storage.ts'
import type { RepositoryKeys } from '../keys.ts'
import { readCondemned } from '../sessions/condemned.ts'
import { type LoadOptions, type LoadedIndex, addChunks, takeEffectivePacks } from './load-index.ts'
import { readStoredIndex } from './read-index.ts'

/**
 * The index as the store has it now, by reading what is new since `loaded` was, whose memory it takes over: that is not to be used
 * any more. `undefined` where space is being reclaimed or has been since, so that what was read does not count any more, and all is
 * to be read again; then, and when this throws, `loaded` is as it was.
 *
 * @throws {CairnError} as `loadIndex`
 */
export async function extendIndex(
  loaded: LoadedIndex,
  storage: Storage,
  keys: RepositoryKeys,
  options: LoadOptions,
): Promise<LoadedIndex | undefined> {
  const { table, numbers, packs, indexKeys: known, reclamations } = loaded
  const condemned = await readCondemned(storage, keys, { signal: options.signal, onUnreadable: () => undefined })
  if (new Set(reclamations.keys()).symmetricDifference(condemned).size > 0) return undefined
  const { effective, indexKeys, commits } = await readStoredIndex(storage, keys, { ...options, known })
  if (!known.isSubsetOf(indexKeys)) return undefined
  const added = takeEffectivePacks({ effective: effective.filter(({ key }) => !known.has(key)) }, keys, options)
  if ([...condemned.values()].flat().some((id) => added.has(id))) return undefined
  for (const { id } of packs) added.delete(id)
  const newPacks = Array.from(added.values(), (pack) => pack.known)
  table.reserve(newPacks.reduce((sum, { chunks }) => sum + chunks, 0))
  addChunks(table, numbers, added.values())
  return { ...loaded, packs: [...packs, ...newPacks], indexKeys, commits }
}
