import { ByteReader, ByteWriter } from '../../base/binary.ts'
import { CairnError } from '../../base/errors.ts'
import { decompress } from '../../codec/compression.ts'
import { MAX_CHUNKS, MAX_PACK_BYTES } from './pack-format.ts'

/** What stands before the compressed chunks of a segment: compression code, number of chunks, their lengths. */
export function encodeSegmentHead(compressionCode: number, lengths: readonly number[]): Uint8Array {
  const writer = new ByteWriter(8 + lengths.length * 4)
  writer.u8(compressionCode)
  writer.varint(lengths.length)
  for (const length of lengths) writer.varint(length)
  return writer.view()
}

/** The chunks of one segment in plain. */
export interface Segment {
  /** All chunks, one after the other. */
  readonly bytes: Uint8Array
  /** Where each chunk ends in `bytes`. */
  readonly ends: readonly number[]
}

/**
 * Decompresses the unsealed bytes of a segment.
 *
 * @throws {CairnError} `DATA_CORRUPT` naming `what`
 */
export function decodeSegment(unsealed: Buffer, what: string): Segment {
  const reader = new ByteReader(unsealed, what)
  const code = reader.u8()
  const count = reader.varint()
  if (count === 0 || count > MAX_CHUNKS) throw reader.corrupt(`it has ${count} chunks`)
  const ends: number[] = []
  let end = 0
  for (let i = 0; i < count; i++) {
    end += reader.varint()
    ends.push(end)
  }
  // Bounds what a damaged segment can make the decoder allocate.
  if (end > MAX_PACK_BYTES) throw reader.corrupt(`its chunks have ${end} bytes`)
  try {
    return { bytes: decompress(code, unsealed.subarray(reader.offset), end), ends }
  } catch (error) {
    if (!(error instanceof CairnError)) throw error
    throw new CairnError(error.code, `Cannot read ${what}: ${error.message}`, { cause: error })
  }
}

/** The chunk at this position of a segment, as a view; `undefined` when there is none. */
export function chunkAt(segment: Segment, position: number): Uint8Array | undefined {
  const end = segment.ends[position]
  if (end === undefined) return undefined
  return segment.bytes.subarray(position === 0 ? 0 : segment.ends[position - 1], end)
}
