import { type AbortOptions, throwIfAborted } from '../../base/abort.ts'
import { CairnError, isCairnError } from '../../base/errors.ts'
import { CHUNK_ID_BYTES, type SessionId, asSessionId } from '../../base/ids.ts'
import type { Storage } from '../../storage/storage.ts'
import type { RepositoryKeys } from '../keys.ts'
import { type SegmentRecord, readPackTable } from '../pack/pack-format.ts'
import { ChunkTable } from '../chunk-table.ts'
import { type IndexedPack, decodeIndex, parseIndexKey } from './index-object.ts'

/** A pack as kept in memory; its number is its place in `LoadedIndex.packs`. */
export interface KnownPack {
  readonly id: string
  readonly sizeBytes: number
  readonly header: Uint8Array
  readonly chunks: number
  /** Bytes of its chunks in plain. */
  readonly rawBytes: number
}

/** What the store's index said at one moment. */
export interface LoadedIndex {
  readonly table: ChunkTable
  readonly packs: readonly KnownPack[]
  /** Runs that have committed, and whose index is wholly here. */
  readonly commits: readonly SessionId[]
}

/** Index objects read at the same time; each is at most a few MiB. */
const PARALLEL_READS = 8
/** Room for what a small run adds, so that most runs never grow the table. */
const SPARE_CHUNKS = 1 << 13

/**
 * Step W2 of docs/concurrency.md: reads condemned, then the index, then commits, in this order. An index object counts only if
 * its run has committed; otherwise a late upload of an aborted run could announce packs that were reclaimed.
 *
 * @throws {CairnError} `DATA_CORRUPT` naming a damaged index object
 */
export async function loadIndex(storage: Storage, keys: RepositoryKeys, options: AbortOptions): Promise<LoadedIndex> {
  for await (const { key } of storage.list('condemned/', options)) {
    throw new CairnError(
      'FORMAT_UNSUPPORTED',
      `Cannot use ${storage.location}: ${key} is from a version that reclaims space; install that version`,
    )
  }
  // A run that commits while its index objects are already listed would be known, but not where its chunks are: it is left for
  // the next load. What had committed before the listing began had all its index objects on the store.
  const before = await listCommits(storage, options)
  const objects = await readIndexObjects(storage, options)
  const commits = await listCommits(storage, options)

  const effective: IndexedPack[] = []
  for (const { key, session, object } of objects) {
    throwIfAborted(options.signal)
    if (commits.has(session)) effective.push(...decodeIndex(keys, key, object))
  }
  return { ...fillTable(effective), commits: [...commits].filter((session) => before.has(session)) }
}

async function listCommits(storage: Storage, options: AbortOptions): Promise<Set<SessionId>> {
  const commits = new Set<SessionId>()
  for await (const { key, sizeBytes } of storage.list('commits/', options)) {
    const session = asSessionId(key.slice('commits/'.length))
    if (session && sizeBytes > 0) commits.add(session)
  }
  return commits
}

interface IndexObject {
  readonly key: string
  readonly session: SessionId
  readonly object: Uint8Array
}

async function readIndexObjects(storage: Storage, options: AbortOptions): Promise<IndexObject[]> {
  const names: { key: string; session: SessionId }[] = []
  for await (const { key } of storage.list('index/', options)) {
    const name = parseIndexKey(key)
    if (name) names.push({ key, session: name.session })
  }
  const objects: IndexObject[] = []
  const next = names[Symbol.iterator]()
  const read = async (): Promise<void> => {
    for (const { key, session } of next) {
      try {
        objects.push({ key, session, object: await storage.get(key, undefined, options) })
      } catch (error) {
        // Superseded since it was listed: what it said stands in a newer object, which a second look finds.
        if (isCairnError(error, 'NOT_FOUND')) throw new IndexMoved()
        throw error
      }
    }
  }
  try {
    await Promise.all(Array.from({ length: PARALLEL_READS }, read))
  } catch (error) {
    if (error instanceof IndexMoved) return readIndexObjects(storage, options)
    throw error
  }
  return objects
}

class IndexMoved extends Error {}

function fillTable(indexed: readonly IndexedPack[]): { table: ChunkTable; packs: KnownPack[] } {
  // Counted, not estimated from the bytes: 16 ms for a million chunks, and 6 % less memory.
  const chunks = indexed.reduce((sum, pack) => sum + countChunks(pack).chunks, 0)
  const table = ChunkTable.create(chunks + SPARE_CHUNKS)
  const packs: KnownPack[] = []
  for (const pack of indexed) {
    const number = packs.length
    packs.push(
      countChunks(pack, ({ ids, chunks, offset, sealedBytes }) => {
        for (let i = 0; i < chunks; i++) table.add(ids, number, offset, sealedBytes, i, i * CHUNK_ID_BYTES)
      }),
    )
  }
  return { table, packs }
}

/** What is kept of a pack in memory; `onSegment` gets each segment of its table on the way. */
export function countChunks(pack: IndexedPack, onSegment?: (segment: SegmentRecord) => void): KnownPack {
  let chunks = 0
  let rawBytes = 0
  for (const segment of readPackTable(pack.table, pack.sizeBytes, `the index of pack ${pack.id}`)) {
    onSegment?.(segment)
    chunks += segment.chunks
    rawBytes += segment.rawBytes
  }
  return { id: pack.id, sizeBytes: pack.sizeBytes, header: Buffer.from(pack.header), chunks, rawBytes }
}
