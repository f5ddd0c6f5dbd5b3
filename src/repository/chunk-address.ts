import type { ChunkLocation } from './chunk-numbers.ts'
import { packKey } from './pack/pack-format.ts'

/** Where the sealed segment of a chunk lies, and the chunk in it. */
export interface ChunkAddress {
  /** Storage key of the pack, and its name for messages. */
  readonly packKey: string
  readonly pack: string
  readonly header: Uint8Array
  readonly segmentOffset: number
  readonly segmentBytes: number
  readonly position: number
}

/** The address of a chunk in a pack that an index names. */
export function addressIn(
  pack: { readonly id: string; readonly header: Uint8Array },
  { segmentOffset, segmentBytes, position }: Omit<ChunkLocation, 'pack'>,
): ChunkAddress {
  return { packKey: packKey(pack.id), pack: pack.id, header: pack.header, segmentOffset, segmentBytes, position }
}
