import { type ChunkId, asChunkId } from '../base/ids.ts'
import type { ChunkRef } from '../snapshot/content.ts'
import { REF_BYTES } from './protocol.ts'

/** Chunk references in the form in which they go to the main thread. */
export class RefList {
  #bytes = Buffer.allocUnsafeSlow(256 * REF_BYTES)
  count = 0

  add(id: ChunkId, bytes: number): void {
    const offset = this.count * REF_BYTES
    if (offset + REF_BYTES > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(this.#bytes.length * 2)
      this.#bytes.copy(grown)
      this.#bytes = grown
    }
    this.#bytes.set(id, offset)
    this.#bytes.writeUInt32LE(bytes, offset + 32)
    this.count++
  }

  /** A copy of what is there, and a fresh start. */
  take(): Uint8Array {
    const refs = new Uint8Array(this.#bytes.subarray(0, this.count * REF_BYTES))
    this.count = 0
    return refs
  }
}

/** The references from number `first` to before `end`; ids are views. */
export function decodeRefs(refs: Uint8Array, first = 0, end = refs.length / REF_BYTES): ChunkRef[] {
  const view = new DataView(refs.buffer, refs.byteOffset)
  const decoded: ChunkRef[] = []
  for (let offset = first * REF_BYTES; offset < end * REF_BYTES; offset += REF_BYTES) {
    decoded.push({ id: asChunkId(refs.subarray(offset, offset + 32)), bytes: view.getUint32(offset + 32, true) })
  }
  return decoded
}

/** How many bytes of content all references together stand for. */
export function refBytes(refs: Uint8Array): number {
  const view = new DataView(refs.buffer, refs.byteOffset)
  let bytes = 0
  for (let offset = 32; offset < refs.length; offset += REF_BYTES) bytes += view.getUint32(offset, true)
  return bytes
}
