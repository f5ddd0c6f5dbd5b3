import { throwIfAborted } from '../../base/abort.ts'
import { isCairnError } from '../../base/errors.ts'
import { type PackId, type SessionId, asPackId } from '../../base/ids.ts'
import type { Storage, StoredObject } from '../../storage/storage.ts'
import type { RepositoryKeys } from '../keys.ts'
import { loadPackTable } from '../pack/load-pack-table.ts'
import { packKey } from '../pack/pack-format.ts'
import { readCondemned } from '../sessions/condemned.ts'
import { type OtherRuns, endDeadRuns } from '../sessions/dead-runs.ts'
import { findObject } from '../sessions/open-session.ts'
import {
  type LoadOptions,
  type LoadedIndex,
  type MeasuredPack,
  countChunks,
  measuredPacks,
  takeEffectivePacks,
  toLoadedIndex,
} from './load-index.ts'
import { type StoredIndex, forEachAtOnce, readStoredIndex } from './read-index.ts'

/** A pack that no effective index names, and that the adopting run is going to name. */
export interface AdoptedPack extends MeasuredPack {
  /** An index object on the store names it, of a run that did not commit: so the next run finds it too. */
  readonly isNamed: boolean
}

export interface Adoption {
  readonly packs: readonly AdoptedPack[]
  /** Dead runs of which everything has been taken over; their session objects are of no more use once the packs are named. */
  readonly ended: readonly SessionId[]
}

const PARALLEL_READS = 8

/**
 * Step W2 of docs/concurrency.md for a run that writes: loads the index, and on the way takes over what dead runs had stored.
 * The adopted packs stand in the index in memory like all others; `session`, which has announced itself, has to name them in
 * index objects of its own before it commits.
 *
 * 1. Index objects of runs that are over without a commit name packs; those that are still on the store are adopted.
 * 2. When a run left its session object, it may have left packs that no index object names. Then all packs are listed, and what
 *    nobody names is adopted by the table at its end.
 *
 * The order of reads is safety, see there: condemned comes first, and whether a pack is on the store is looked at after it.
 * A pack in `condemned/` is never adopted: it may be deleted before this run commits, and nobody would copy its chunks.
 *
 * @throws {CairnError} as `loadIndex`; `DATA_CORRUPT` also when it cannot be told what is condemned
 */
export async function loadIndexAndAdopt(
  storage: Storage,
  keys: RepositoryKeys,
  session: SessionId,
  options: LoadOptions,
): Promise<{ readonly index: LoadedIndex; readonly adoption: Adoption }> {
  const condemned = await readCondemned(storage, keys, { signal: options.signal })
  const isCondemned = new Set([...condemned.values()].flat())
  // Dead runs are fenced before packs are listed, so that no pack is missed that a run stored before its end was known; and
  // packs before the index, so that what a living run stores and names meanwhile is not taken for a stray.
  const others = await endDeadRuns(storage, keys, session, options)
  const listed = others.dead.length > 0 ? await listPacks(storage, options) : undefined
  const stored = await readStoredIndex(storage, keys, options)
  const packs = takeEffectivePacks(stored, keys, options)

  const adopted = await namedPacks(storage, keys, stored, others, packs, listed, options)
  const skipped = listed ? await addStrays(storage, keys, stored, others, packs, listed, adopted, options) : 0
  for (const id of isCondemned) adopted.delete(id)
  // The dead run may have died between making a pack visible and making it durable.
  if (adopted.size > 0) await storage.persist?.(Array.from(adopted.keys(), packKey), options)
  for (const [id, pack] of adopted) packs.set(id, pack)
  const adoption = { packs: [...adopted.values()], ended: skipped === 0 ? others.dead : [] }
  return { index: toLoadedIndex(packs, condemned, stored), adoption }
}

/** The packs on the store, by id. */
async function listPacks(storage: Storage, options: LoadOptions): Promise<Map<PackId, StoredObject>> {
  const packs = new Map<PackId, StoredObject>()
  for await (const object of storage.list('packs/', options)) {
    const id = asPackId(object.key.slice('packs/xx/'.length))
    if (id && object.key === packKey(id)) packs.set(id, object)
  }
  return packs
}

/** The packs named by runs that are over without a commit, as far as they are on the store with the right size. */
async function namedPacks(
  storage: Storage,
  keys: RepositoryKeys,
  stored: StoredIndex,
  others: OtherRuns,
  effective: ReadonlyMap<string, MeasuredPack>,
  listed: ReadonlyMap<PackId, StoredObject> | undefined,
  options: LoadOptions,
): Promise<Map<PackId, AdoptedPack>> {
  const candidates = new Map<PackId, MeasuredPack>()
  for (const object of stored.others) {
    if (!stored.registers.has(object.session) && others.living.has(object.session)) continue
    throwIfAborted(options.signal)
    for (const pack of unlessUnreadable(() => measuredPacks(keys, object)) ?? [])
      if (!effective.has(pack.indexed.id)) candidates.set(pack.indexed.id, pack)
  }
  const adopted = new Map<PackId, AdoptedPack>()
  await forEachAtOnce(candidates, PARALLEL_READS, async ([id, pack]) => {
    const object = listed ? listed.get(id) : await findObject(storage, packKey(id), options)
    if (object?.sizeBytes === pack.indexed.sizeBytes) adopted.set(id, { ...pack, isNamed: true })
  })
  return adopted
}

/**
 * Adds the packs that nobody names. Those that may be of a run that is open are left out: adopting them would be no harm, but
 * work for nothing; how many they were is returned.
 */
async function addStrays(
  storage: Storage,
  keys: RepositoryKeys,
  stored: StoredIndex,
  others: OtherRuns,
  effective: ReadonlyMap<string, MeasuredPack>,
  listed: ReadonlyMap<PackId, StoredObject>,
  adopted: Map<PackId, AdoptedPack>,
  options: LoadOptions,
): Promise<number> {
  const named = new Set<string>()
  for (const object of stored.others) {
    if (!others.living.has(object.session)) continue
    for (const { indexed } of unlessUnreadable(() => measuredPacks(keys, object)) ?? []) named.add(indexed.id)
  }
  let skipped = 0
  await forEachAtOnce(listed, PARALLEL_READS, async ([id, { sizeBytes, modifiedAtMs }]) => {
    if (effective.has(id) || adopted.has(id) || named.has(id)) return
    if (modifiedAtMs > others.livingSinceMs) {
      skipped++
      return
    }
    try {
      const indexed = await loadPackTable(storage, keys, id, sizeBytes, options)
      adopted.set(id, { indexed, known: countChunks(indexed), isNamed: false })
    } catch (error) {
      // Torn, damaged, of a newer version, or gone meanwhile: left alone.
      if (!isUnreadable(error)) throw error
    }
  })
  return skipped
}

/** What `read` returns; `undefined` when the object is damaged or of a newer version. It does not count, so nobody misses it. */
function unlessUnreadable<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (!isUnreadable(error)) throw error
    return undefined
  }
}

function isUnreadable(error: unknown): boolean {
  return (
    isCairnError(error, 'DATA_CORRUPT') || isCairnError(error, 'FORMAT_UNSUPPORTED') || isCairnError(error, 'NOT_FOUND')
  )
}
