import type { AbortOptions } from '../../base/abort.ts'
import { CHUNK_ID_BYTES, toHex } from '../../base/ids.ts'
import type { Storage } from '../../storage/storage.ts'
import { type ChunkAddress, addressIn } from '../chunk-address.ts'
import type { RepositoryKeys } from '../keys.ts'
import { takeEffectivePacks, segmentsOf } from './load-index.ts'
import { readStoredIndex } from './read-index.ts'

/**
 * All places of chunks, by hex id, other than the one that `knownAddress` gives: what is left to try where that one is damaged.
 * Reads the index anew and goes through all of it, about as long as loading it; damaged index objects are passed over.
 */
export async function findCopies(
  storage: Storage,
  keys: RepositoryKeys,
  knownAddress: (id: Uint8Array) => ChunkAddress | undefined,
  options: AbortOptions,
): Promise<ReadonlyMap<string, readonly ChunkAddress[]>> {
  const stored = await readStoredIndex(storage, keys, options)
  const copies = new Map<string, ChunkAddress[]>()
  for (const { indexed } of takeEffectivePacks(stored, keys, { ...options, onDamaged: () => undefined }).values()) {
    for (const { ids, chunks, offset: segmentOffset, sealedBytes: segmentBytes } of segmentsOf(indexed)) {
      for (let position = 0; position < chunks; position++) {
        const id = ids.subarray(position * CHUNK_ID_BYTES, (position + 1) * CHUNK_ID_BYTES)
        const known = knownAddress(id)
        const isKnown =
          known?.pack === indexed.id && known.segmentOffset === segmentOffset && known.position === position
        if (isKnown) continue
        const name = toHex(id)
        const address = addressIn(indexed, { segmentOffset, segmentBytes, position })
        copies.set(name, [...(copies.get(name) ?? []), address])
      }
    }
  }
  return copies
}
