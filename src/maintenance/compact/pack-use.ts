import type { AbortOptions } from '../../base/abort.ts'
import { CHUNK_ID_BYTES, type PackId } from '../../base/ids.ts'
import { chunkLengths, segmentsOf } from '../../repository/low-level.ts'
import type { Repository } from '../../repository/repository.ts'
import { eachIndexObject } from './index-objects.ts'
import type { ChunkUsage } from './usage.ts'

/** How much of a pack is needed. */
export interface PackUse {
  readonly id: PackId
  /** On the store. */
  readonly sizeBytes: number
  /** Of its chunks in plain: all, and those that some snapshot refers to and that the index looks for here. */
  readonly rawBytes: number
  readonly usedBytes: number
}

/** How much of every pack is needed that the loaded index has and that is not condemned, in the order of the index. */
export async function measurePacks(
  repository: Repository,
  usage: ChunkUsage,
  options: AbortOptions,
): Promise<PackUse[]> {
  const { table, numbers: chunks, packs } = repository.index
  const numbers = new Map(packs.map(({ id }, number) => [id, number]))
  const uses: PackUse[] = []
  for await (const { packs: named } of eachIndexObject(repository, options)) {
    for (const pack of named) {
      const number = numbers.get(pack.id)
      if (number === undefined) continue // condemned, or measured already
      numbers.delete(pack.id)
      let rawBytes = 0
      let usedBytes = 0
      for (const segment of segmentsOf(pack)) {
        const { ids, offset } = segment
        rawBytes += segment.rawBytes
        let i = 0
        for (const length of chunkLengths(pack.table, segment)) {
          const position = i++
          if (!usage.has(ids, position * CHUNK_ID_BYTES)) continue
          // Of several copies, one is needed.
          const place = chunks.find(table, ids, position * CHUNK_ID_BYTES)
          if (place?.pack === number && place.segmentOffset === offset && place.position === position)
            usedBytes += length
        }
      }
      uses.push({ id: pack.id, sizeBytes: pack.sizeBytes, rawBytes, usedBytes })
    }
  }
  return uses
}
