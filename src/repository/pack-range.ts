import type { AbortOptions } from '../base/abort.ts'
import { CairnError, isCairnError } from '../base/errors.ts'
import type { Storage } from '../storage/storage.ts'
import type { ChunkAddress } from './chunk-address.ts'
import type { SealedSegment } from './segment-reader.ts'

/** Whether an error of `getPackRange` or `readChunk` says that the pack is not there. */
export function isMissingPack(error: unknown): boolean {
  return isCairnError(error, 'DATA_CORRUPT') && isCairnError(error.cause, 'NOT_FOUND')
}

/** The sealed bytes of one segment. @throws {CairnError} `DATA_CORRUPT` when the pack is missing or too short */
export async function fetchSegment(
  storage: Storage,
  address: ChunkAddress,
  options: AbortOptions,
): Promise<SealedSegment> {
  const range = { offset: address.segmentOffset, length: address.segmentBytes }
  const bytes = await getPackRange(storage, address, range, options)
  return { pack: address.pack, header: address.header, offset: address.segmentOffset, bytes }
}

/** Bytes of a pack that an index promises. @throws {CairnError} `DATA_CORRUPT` when they are not there */
export async function getPackRange(
  storage: Storage,
  pack: Pick<ChunkAddress, 'pack' | 'packKey'>,
  range: { offset: number; length: number },
  options: AbortOptions = {},
): Promise<Uint8Array> {
  try {
    return await storage.get(pack.packKey, range, options)
  } catch (error) {
    if (!isCairnError(error, 'NOT_FOUND')) throw error
    throw new CairnError('DATA_CORRUPT', `Cannot read pack ${pack.pack}: it is missing from ${storage.location}`, {
      cause: error,
    })
  }
}
