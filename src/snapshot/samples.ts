import type { LoadChunk, SaveChunk } from './content.ts'
import { LeafColumnReader, LeafColumnWriter } from './leaf-column.ts'

/**
 * *Samples* ("partial hashes"): where a file system's times and inode numbers cannot be relied on, a file is taken for unchanged
 * only when a few blocks of it still have the same hash. One per node that is not a directory (leaf-column.ts).
 *
 * A sample is the first 8 bytes of the BLAKE3 hash of three blocks of 64 KiB, at the beginning, in the middle and at the end, or
 * of a smaller file's whole content. 0 means that there is none.
 */
export const NO_SAMPLE = 0n

export const SAMPLE_BLOCK_BYTES = 64 << 10

const SAMPLE_BYTES = 8

/** The stretches of a file of this size that its sample is made of, in order. */
export function sampleBlocks(sizeBytes: number): { readonly offset: number; readonly length: number }[] {
  if (sizeBytes <= 3 * SAMPLE_BLOCK_BYTES) return sizeBytes === 0 ? [] : [{ offset: 0, length: sizeBytes }]
  const last = sizeBytes - SAMPLE_BLOCK_BYTES
  return [0, Math.floor(last / 2), last].map((offset) => ({ offset, length: SAMPLE_BLOCK_BYTES }))
}

/** The sample for a hash of the blocks. */
export function toSample(hash: Uint8Array): bigint {
  const sample = Buffer.from(hash.buffer, hash.byteOffset, hash.length).readBigUInt64LE()
  return sample === NO_SAMPLE ? 1n : sample
}

/** Collects samples in walk order. Most sources have none at all, and then nothing is stored. */
export class SampleWriter {
  readonly #save: SaveChunk
  #column: LeafColumnWriter | undefined
  /** Entries without a sample before the first one that has one. */
  #without = 0

  constructor(save: SaveChunk) {
    this.#save = save
  }

  add(sample: bigint): void {
    if (!this.#column) {
      if (sample === NO_SAMPLE) {
        this.#without++
        return
      }
      this.#column = new LeafColumnWriter(this.#save, SAMPLE_BYTES)
      for (; this.#without > 0; this.#without--) this.#append(NO_SAMPLE)
    }
    this.#append(sample)
  }

  #append(sample: bigint): void {
    if (!this.#column) return
    this.#column.buffer.writeBigUInt64LE(sample, this.#column.next())
    this.#column.written()
  }

  /** All samples as encoded content; `undefined` when there are none. The writer is used up. */
  finish(): Buffer | undefined {
    return this.#column?.finish()
  }

  /** The samples so far; the writer goes on. */
  peek(): Buffer | undefined {
    return this.#column?.peek()
  }
}

export class SampleReader {
  readonly #column: LeafColumnReader

  constructor(content: Uint8Array, load: LoadChunk) {
    this.#column = new LeafColumnReader(content, load, SAMPLE_BYTES, 'the samples of the parent snapshot')
  }

  /** The sample at `position`; `NO_SAMPLE` past the end. Positions only grow. @throws {CairnError} `DATA_CORRUPT` */
  async find(position: number): Promise<bigint> {
    await this.#column.seek(position)
    const offset = this.#column.offsetOf(position)
    return offset < 0 ? NO_SAMPLE : this.#column.buffer.readBigUInt64LE(offset)
  }
}
