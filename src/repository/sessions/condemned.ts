import type { AbortOptions } from '../../base/abort.ts'
import { CairnError, isCairnError } from '../../base/errors.ts'
import { CHUNK_ID_BYTES, type PackId, type SessionId, asPackId, asSessionId, toHex } from '../../base/ids.ts'
import { randomBytes } from '../../codec/random.ts'
import type { Storage } from '../../storage/storage.ts'
import type { RepositoryKeys } from '../keys.ts'
import { openObject, parseObject, sealObject } from '../sealed-object.ts'

/**
 * Reclamations on their way (docs/concurrency.md): `condemned/<g>` holds the packs that reclamation g is about to delete, and
 * `waiting/<g>` the runs that have to end first.
 */

/** Names a reclamation: 16 random bytes, hex. */
export type ReclamationId = string

/** The packs that each reclamation on its way is about to delete. */
export type CondemnedSets = ReadonlyMap<ReclamationId, readonly PackId[]>

/** Of a commit: says what a run that reclaimed space has put in the place of what. */
export const RECLAMATION_FIELD = 'compaction'

export function condemnedKey(reclamation: ReclamationId): string {
  return `condemned/${reclamation}`
}

export function waitingKey(reclamation: ReclamationId): string {
  return `waiting/${reclamation}`
}

/**
 * The first read of step W2: everything that a run relies on is read after it.
 *
 * @throws {CairnError} `DATA_CORRUPT` | `FORMAT_UNSUPPORTED` when a set cannot be read, unless `onUnreadable` takes it: then its
 *   packs are not known, and nothing that is written may rely on what is read now
 */
export async function readCondemned(
  storage: Storage,
  keys: RepositoryKeys,
  options: AbortOptions & { readonly onUnreadable?: ((key: string, error: CairnError) => void) | undefined },
): Promise<CondemnedSets> {
  const sets = new Map<ReclamationId, readonly PackId[]>()
  for await (const { key } of storage.list('condemned/', options)) {
    try {
      const object = await storage.get(key, undefined, options)
      sets.set(key.slice('condemned/'.length), decodeCondemned(keys, key, object))
    } catch (error) {
      // Removed since it was listed: its reclamation has come to its end, and the index read after this has none of its packs.
      if (isCairnError(error, 'NOT_FOUND')) continue
      const isDamaged = isCairnError(error, 'DATA_CORRUPT') || isCairnError(error, 'FORMAT_UNSUPPORTED')
      if (!isDamaged || !options.onUnreadable) throw error
      options.onUnreadable(key, error)
    }
  }
  return sets
}

/** Puts the set of a new reclamation (G3), and returns its id. */
export async function putCondemned(
  storage: Storage,
  keys: RepositoryKeys,
  packs: readonly PackId[],
  options: AbortOptions,
): Promise<ReclamationId> {
  const reclamation = toHex(randomBytes(16))
  const key = condemnedKey(reclamation)
  await storage.put(key, encodeCondemned(keys, key, packs), options)
  return reclamation
}

/** The object with this key that condemns these packs. */
export function encodeCondemned(keys: RepositoryKeys, key: string, packs: readonly PackId[]): Buffer {
  return sealObject('condemned', keys, key, Buffer.from(packs.join(''), 'hex'))
}

/** @throws {CairnError} `DATA_CORRUPT` | `FORMAT_UNSUPPORTED` */
export function decodeCondemned(keys: RepositoryKeys, key: string, object: Uint8Array): PackId[] {
  const bytes = openObject('condemned', keys, key, object)
  const packs: PackId[] = []
  for (let at = 0; at < bytes.length; at += CHUNK_ID_BYTES) {
    const pack = asPackId(toHex(bytes.subarray(at, at + CHUNK_ID_BYTES)))
    if (!pack) throw new CairnError('DATA_CORRUPT', `Cannot read ${key}: it ends within the id of a pack`)
    packs.push(pack)
  }
  return packs
}

/** Puts the runs that a reclamation has to wait for (G4). A later list is as good as an earlier one. */
export async function putWaiting(
  storage: Storage,
  keys: RepositoryKeys,
  reclamation: ReclamationId,
  sessions: readonly SessionId[],
  options: AbortOptions,
): Promise<void> {
  const key = waitingKey(reclamation)
  await storage.put(key, sealObject('waiting', keys, key, Buffer.from(JSON.stringify({ sessions }))), options)
}

/**
 * The runs that a reclamation has to wait for; `undefined` when nobody has listed them yet, or the list is damaged.
 *
 * @throws {CairnError} `FORMAT_UNSUPPORTED`
 */
export async function readWaiting(
  storage: Storage,
  keys: RepositoryKeys,
  reclamation: ReclamationId,
  options: AbortOptions,
): Promise<SessionId[] | undefined> {
  const key = waitingKey(reclamation)
  let object: Uint8Array
  try {
    object = await storage.get(key, undefined, options)
  } catch (error) {
    if (isCairnError(error, 'NOT_FOUND')) return undefined
    throw error
  }
  try {
    return decodeWaiting(keys, key, object)
  } catch (error) {
    if (isCairnError(error, 'DATA_CORRUPT')) return undefined
    throw error
  }
}

/** @throws {CairnError} `DATA_CORRUPT` | `FORMAT_UNSUPPORTED` */
export function decodeWaiting(keys: RepositoryKeys, key: string, object: Uint8Array): SessionId[] {
  const { sessions } = parseObject(openObject('waiting', keys, key, object), key)
  const ids = Array.isArray(sessions)
    ? sessions.map((id) => (typeof id === 'string' ? asSessionId(id) : undefined))
    : []
  if (!Array.isArray(sessions) || !ids.every((id) => id !== undefined))
    throw new CairnError('DATA_CORRUPT', `Cannot read ${key}: it does not list sessions`)
  return ids
}
