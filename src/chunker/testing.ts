import { createHash } from 'node:crypto'
import { type Chunker, GEAR_TABLE_BYTES } from './chunker.ts'
import type { FastCdcParams } from './params.ts'

/** Bytes that look random and that anyone can make again: SHAKE256 of the label. */
export function testBytes(label: string, length: number): Buffer {
  return createHash('shake256', { outputLength: length }).update(label).digest()
}

/** The gear table of the golden vectors. */
export const TEST_GEAR: Uint8Array = testBytes('cairn gear table', GEAR_TABLE_BYTES)

/** The cut points by the definition, one byte after the other; what `GearChunker` must equal. */
export function referenceCuts(params: FastCdcParams, gearTable: Uint8Array, data: Uint8Array): number[] {
  const gear = new DataView(gearTable.buffer, gearTable.byteOffset, gearTable.length)
  const bits = Math.log2(params.meanBytes)
  const cuts: number[] = []
  let start = 0
  let hash = 0
  for (let i = 0; i < data.length; i++) {
    hash = (hash * 2 + gear.getUint32((data[i] as number) * 4, true)) % 2 ** 32
    const length = i + 1 - start
    const zeroBits = length < params.meanBytes ? bits + 2 : bits - 2
    const isCandidate = length >= params.minBytes && hash < 2 ** (32 - zeroBits)
    if (isCandidate || length === params.maxBytes || i + 1 === data.length) {
      cuts.push(i + 1)
      start = i + 1
    }
  }
  return cuts
}

/**
 * The cut points that a chunker finds in `data` when the bytes arrive in pieces of the lengths that `pieces` gives, and
 * leftovers move to the front of the buffer, as in a real reader.
 */
export function feed(chunker: Chunker, data: Uint8Array, pieces: () => number): number[] {
  const { buffer } = chunker
  const cuts: number[] = []
  let read = 0 // bytes of data that were put into the buffer
  let start = 0
  let end = 0
  while (read < data.length || start < end) {
    const cut = start < end ? chunker.cut(start, end, read === data.length) : -1
    if (cut >= 0) {
      start = cut
      cuts.push(read - (end - start))
      continue
    }
    if (end === buffer.length) {
      buffer.copyWithin(0, start, end)
      end -= start
      start = 0
    }
    const length = Math.min(pieces(), data.length - read, buffer.length - end)
    buffer.set(data.subarray(read, read + length), end)
    end += length
    read += length
  }
  return cuts
}
