/**
 * What lies below chunks in and chunks out: index objects, packs, claims and slots one by one, and what each of them says. For
 * maintenance and inspection only (test/architecture.test.ts), which look at parts of a repository that may be damaged;
 * everybody else reads by way of `Repository`, which stops at the first damage.
 */
import { type AbortOptions, throwIfAborted } from '../base/abort.ts'
import { CairnError, isCairnError } from '../base/errors.ts'
import { type RepositoryId, type SessionId, asSessionId, toHex } from '../base/ids.ts'
import { ChunkHasher, blake3 } from '../codec/hash.ts'
import type { Storage } from '../storage/storage.ts'
import { type IndexedPack, decodeIndex, parseIndexKey } from './index/index-object.ts'
import { segmentsOf } from './index/load-index.ts'
import { forEachAtOnce, getOrError, readStoredIndex } from './index/read-index.ts'
import { parseKeySlot } from './key-slot.ts'
import type { RepositoryKeys } from './keys.ts'
import { loadPackTable } from './pack/load-pack-table.ts'
import { type SegmentRecord, chunkLengths } from './pack/pack-format.ts'
import { type LostPart, type PackClaim, type PackVerdict, PackVerifier, digestOf } from './pack/pack-verifier.ts'
import {
  type CondemnedSets,
  type ReclamationId,
  RECLAMATION_FIELD,
  condemnedKey,
  decodeCondemned,
  decodeWaiting,
  putCondemned,
  readCondemned,
  waitingKey,
} from './sessions/condemned.ts'
import {
  commitKey,
  decodeSession,
  findObject,
  forgottenKey,
  listSessions,
  loadSession,
  pinKey,
  sessionKey,
} from './sessions/open-session.ts'
import { storeTime } from './sessions/store-time.ts'
import { SessionEnds } from './sessions/session-ends.ts'
import { packKindOf } from './segment-reader.ts'
import { decodeLabel } from './sessions/label-log.ts'
import { decodeClaim } from './sessions/name-claim.ts'

export {
  PackVerifier,
  SessionEnds,
  chunkLengths,
  decodeIndex,
  digestOf,
  forEachAtOnce,
  getOrError,
  loadPackTable,
  packKindOf,
  parseIndexKey,
  segmentsOf,
}
export { commitKey, findObject, forgottenKey, listSessions, loadSession, pinKey, sessionKey }
export { storeTime }
export { RECLAMATION_FIELD, condemnedKey, decodeCondemned, decodeWaiting, putCondemned, readCondemned, waitingKey }
export type {
  CondemnedSets,
  IndexedPack,
  LostPart,
  PackClaim,
  PackVerdict,
  ReclamationId,
  RepositoryKeys,
  SegmentRecord,
}

/** An index object as it was found. */
export interface FoundIndexObject {
  readonly key: string
  readonly session: SessionId
  /** Its run has committed; otherwise it counts for nothing. */
  readonly isEffective: boolean
  /** What it says; nothing when it is damaged. */
  readonly packs: readonly IndexedPack[]
  /** Why it cannot be relied on. */
  readonly error: CairnError | undefined
}

/** What the store's index said at one moment, object by object. */
export interface IndexReading {
  /** Runs that have committed, and whose index was wholly there to be read. */
  readonly commits: ReadonlySet<SessionId>
  /** Bytes of the effective index objects. */
  readonly effectiveBytes: number
  /** Keys under `index/` and `commits/` that are not named like objects of theirs. */
  readonly foreignKeys: readonly string[]
  /** Decodes the objects one by one, and lets go of each; can be gone through once. */
  objects(): Generator<FoundIndexObject>
}

/**
 * Reads the index as `loadIndex` does, but an object that is damaged or cannot be read is an error of its own and no obstacle.
 * In addition to what every reader checks, the bytes of an object must be those its name tells the hash of.
 *
 * @throws {CairnError} what listing throws
 */
export async function readIndex(
  storage: Storage,
  keys: RepositoryKeys,
  options: AbortOptions = {},
): Promise<IndexReading> {
  const foreignKeys = new Set<string>()
  const objects = new Map<string, Uint8Array | CairnError>()
  const { registers, commits, effective, others } = await readStoredIndex(storage, keys, {
    ...options,
    onForeignKey: (key) => foreignKeys.add(key),
    onUnreadable: (key, error) => objects.set(key, error),
  })
  for (const { key, object } of [...effective, ...others]) objects.set(key, object)
  return {
    commits: new Set(commits),
    effectiveBytes: effective.reduce((sum, { object }) => sum + object.length, 0),
    foreignKeys: [...foreignKeys],
    *objects() {
      for (const [key, object] of objects) {
        objects.delete(key)
        throwIfAborted(options.signal)
        const session = parseIndexKey(key)?.session
        if (!session) continue
        const isEffective = registers.get(session) === 'committed'
        yield { key, session, isEffective, ...decodeFound(keys, key, object) }
      }
    },
  }
}

function decodeFound(
  keys: RepositoryKeys,
  key: string,
  object: Uint8Array | CairnError,
): Pick<FoundIndexObject, 'packs' | 'error'> {
  if (isCairnError(object)) return { packs: [], error: object }
  try {
    if (!key.endsWith(toHex(blake3(object)))) {
      throw new CairnError('DATA_CORRUPT', `Cannot read ${key}: its bytes are not those that were written`)
    }
    const packs = decodeIndex(keys, key, object)
    for (const pack of packs) for (const _ of segmentsOf(pack)); // a table that makes no sense throws on the way
    return { packs, error: undefined }
  } catch (error) {
    if (!isCairnError(error)) throw error
    // Messages of what lies inside know the object's context, which is not its whole name.
    const message = error.message.includes(key) ? error.message : `Cannot read ${key}: ${error.message}`
    return { packs: [], error: new CairnError(error.code, message, { cause: error }) }
  }
}

/** What an index object says of a pack that it is known to name; `undefined` when it is gone or has changed. */
export async function readIndexedPack(
  storage: Storage,
  keys: RepositoryKeys,
  indexKey: string,
  claim: PackClaim,
  options: AbortOptions = {},
): Promise<IndexedPack | undefined> {
  const object = await getOrError(storage, indexKey, options)
  const { packs } = decodeFound(keys, indexKey, object)
  return packs.find((pack) => pack.id === claim.id && digestOf(pack).equals(claim.digest))
}

/** What stands between `names/` and the number in the keys of claims of this snapshot name. */
export function hashOfName(keys: RepositoryKeys, name: string): string {
  return toHex(new ChunkHasher(keys.names).hash(Buffer.from(name)))
}

/** The hash of the name and the snapshot of a claim. @throws {CairnError} `DATA_CORRUPT` when it claims nothing for anybody */
export function readNameClaim(key: string, object: Uint8Array): { readonly hash: string; readonly session: SessionId } {
  const hash = /^names\/([0-9a-f]{64})-\d{1,15}$/.exec(key)?.[1]
  const claim = decodeClaim(object)
  if (hash !== undefined && claim) return { hash, session: claim.snapshot }
  throw new CairnError('DATA_CORRUPT', `Cannot read ${key}: it does not say for which snapshot it claims the name`)
}

/** Whether a label can be read. @throws {CairnError} `DATA_CORRUPT` | `FORMAT_UNSUPPORTED` when not */
export function verifyLabel(keys: RepositoryKeys, key: string, object: Uint8Array): void {
  decodeLabel(keys, key, object)
}

/** Whether a session object can be read. @throws {CairnError} `DATA_CORRUPT` | `FORMAT_UNSUPPORTED` when not */
export function verifySession(keys: RepositoryKeys, key: string, object: Uint8Array): void {
  const session = asSessionId(key.slice('sessions/'.length))
  if (!session) throw new CairnError('DATA_CORRUPT', `Cannot read ${key}: it is not named like a session`)
  decodeSession(keys, session, object)
}

/**
 * Whether an object under `keys/` looks like a slot of this repository; only its passphrase can tell whether it opens.
 *
 * @throws {CairnError} `DATA_CORRUPT` | `FORMAT_UNSUPPORTED` when not
 */
export function verifyKeySlot(repository: RepositoryId, key: string, object: Uint8Array): void {
  const slot = parseKeySlot(Buffer.from(object).toString('utf8'), key)
  if (slot.repository === repository && slot.needsPassphrase) return
  const found = slot.needsPassphrase ? `it is of repository ${slot.repository}` : 'it needs no passphrase'
  throw new CairnError('DATA_CORRUPT', `Cannot use ${key}: ${found}, so it opens nothing here`)
}
