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
import { parseKeySlot } from './key-slot.ts'
import type { RepositoryKeys } from './keys.ts'
import { type SegmentRecord, readPackTable } from './pack/pack-format.ts'
import { type LostPart, type PackClaim, type PackVerdict, PackVerifier, digestOf } from './pack/pack-verifier.ts'
import { decodeSession } from './sessions/open-session.ts'

export { PackVerifier, digestOf }
export type { IndexedPack, LostPart, PackClaim, PackVerdict, RepositoryKeys, SegmentRecord }

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

/** Index objects read at the same time, as in index/load-index.ts. */
const PARALLEL_READS = 8
/** How often an object may be listed and then not be there, before that is an error of the store. */
const MAX_LISTINGS = 10

/**
 * Step W2 of docs/concurrency.md, as `loadIndex` does it, but an object that is damaged or cannot be read is an error of its own
 * and no obstacle. In addition to what every reader checks, the bytes of an object must be those its name tells the hash of.
 *
 * @throws {CairnError} `FORMAT_UNSUPPORTED` when packs are condemned, and what listing throws
 */
export async function readIndex(
  storage: Storage,
  keys: RepositoryKeys,
  options: AbortOptions = {},
): Promise<IndexReading> {
  for await (const { key } of storage.list('condemned/', options)) {
    throw new CairnError(
      'FORMAT_UNSUPPORTED',
      `Cannot use ${storage.location}: ${key} is from a version that reclaims space; install that version`,
    )
  }
  const foreignKeys = new Set<string>()
  // Before and after the index, for the reasons given in load-index.ts.
  const before = await listCommits(storage, foreignKeys, options)
  const objects = await readIndexObjects(storage, foreignKeys, options)
  const commits = await listCommits(storage, foreignKeys, options)

  let effectiveBytes = 0
  for (const [key, object] of objects) {
    const session = parseIndexKey(key)?.session
    if (session && commits.has(session) && !isCairnError(object)) effectiveBytes += object.length
  }
  return {
    commits: new Set([...commits].filter((session) => before.has(session))),
    effectiveBytes,
    foreignKeys: [...foreignKeys],
    *objects() {
      for (const [key, object] of objects) {
        objects.delete(key)
        throwIfAborted(options.signal)
        const session = parseIndexKey(key)?.session
        if (session) yield { key, session, isEffective: commits.has(session), ...decodeFound(keys, key, object) }
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

/** The segments that an index object lists of a pack, in order. @throws {CairnError} `DATA_CORRUPT` */
export function segmentsOf(pack: Pick<IndexedPack, 'id' | 'sizeBytes' | 'table'>): Generator<SegmentRecord> {
  return readPackTable(pack.table, pack.sizeBytes, `the index of pack ${pack.id}`)
}

async function listCommits(storage: Storage, foreignKeys: Set<string>, options: AbortOptions): Promise<Set<SessionId>> {
  const commits = new Set<SessionId>()
  for await (const { key, sizeBytes } of storage.list('commits/', options)) {
    const session = asSessionId(key.slice('commits/'.length))
    if (!session) foreignKeys.add(key)
    else if (sizeBytes > 0) commits.add(session)
  }
  return commits
}

async function readIndexObjects(
  storage: Storage,
  foreignKeys: Set<string>,
  options: AbortOptions,
): Promise<Map<string, Uint8Array | CairnError>> {
  const read = new Map<string, Uint8Array | CairnError>()
  for (let listings = 1; ; listings++) {
    const listed = new Set<string>()
    for await (const { key } of storage.list('index/', options)) {
      if (parseIndexKey(key)) listed.add(key)
      else foreignKeys.add(key)
    }
    for (const key of read.keys()) if (!listed.has(key)) read.delete(key)
    const next = [...listed].filter((key) => !read.has(key))[Symbol.iterator]()
    let hasMoved = false
    const reader = async (): Promise<void> => {
      for (const key of next) {
        const object = await getOrError(storage, key, options)
        // Superseded since it was listed: what it said stands in a newer object, which a second look finds.
        if (isCairnError(object, 'NOT_FOUND') && listings < MAX_LISTINGS) hasMoved = true
        else read.set(key, object)
      }
    }
    await Promise.all(Array.from({ length: PARALLEL_READS }, reader))
    if (!hasMoved) return read
  }
}

/** The bytes of an object, or why it cannot be read; the end of the run is thrown. */
export async function getOrError(
  storage: Storage,
  key: string,
  options: AbortOptions = {},
): Promise<Uint8Array | CairnError> {
  try {
    return await storage.get(key, undefined, options)
  } catch (error) {
    throwIfAborted(options.signal)
    if (!isCairnError(error) || error.code === 'INTERNAL' || error.code === 'CANCELLED') throw error
    return error
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

/** The hash of the name and the run of a claim. @throws {CairnError} `DATA_CORRUPT` when it claims nothing for anybody */
export function readNameClaim(key: string, object: Uint8Array): { readonly hash: string; readonly session: SessionId } {
  const hash = /^names\/([0-9a-f]{64})-\d{1,15}$/.exec(key)?.[1]
  const session = asSessionId(Buffer.from(object).toString('latin1'))
  if (hash !== undefined && session) return { hash, session }
  throw new CairnError('DATA_CORRUPT', `Cannot read ${key}: it does not say which run claims the name`)
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
