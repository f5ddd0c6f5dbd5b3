import type { LoadChunk, SaveChunk } from './content.ts'
import { LeafColumnReader, LeafColumnWriter } from './leaf-column.ts'

/** A *stamp*: what change detection compares besides type, size and mtime. One per node that is not a directory (leaf-column.ts). */
export interface Stamp {
  /** ns since 1970, modulo 2^64 once stored. */
  readonly ctimeNs: bigint
  readonly inode: bigint
}

const STAMP_BYTES = 16

/** A ctime as a stamp holds it: modulo 2^64, which is as good to compare with. */
export function toStampTime(ns: bigint): bigint {
  return BigInt.asIntN(64, ns)
}

/** A stamp that matches no file: what it is written for is read again in the next run. */
export const NO_STAMP: Stamp = { ctimeNs: 0n, inode: 0n }

export function isNoStamp({ ctimeNs, inode }: Stamp): boolean {
  return ctimeNs === 0n && inode === 0n
}

export class StampWriter {
  readonly #column: LeafColumnWriter

  constructor(save: SaveChunk) {
    this.#column = new LeafColumnWriter(save, STAMP_BYTES)
  }

  add(stamp: Stamp): void {
    const column = this.#column
    const index = column.next() / 8
    column.longs[index] = stamp.ctimeNs // modulo 2^64
    column.longs[index + 1] = stamp.inode
    column.written()
  }

  /** All stamps as encoded content. The writer is used up. */
  finish(): Buffer {
    return this.#column.finish()
  }

  /** The stamps so far; the writer goes on. */
  peek(): Buffer {
    return this.#column.peek()
  }
}

export class StampReader {
  readonly #column: LeafColumnReader

  /** @param content what `StampWriter.finish` returned */
  constructor(content: Uint8Array, load: LoadChunk) {
    this.#column = new LeafColumnReader(content, load, STAMP_BYTES, 'the stamps of the parent snapshot')
  }

  /** The stamp at `position`, if it lies in the chunk at hand; else `seek` there first. */
  at(position: number): Stamp | undefined {
    const { buffer } = this.#column
    const offset = this.#column.offsetOf(position)
    if (offset < 0) return undefined
    return { ctimeNs: buffer.readBigInt64LE(offset), inode: buffer.readBigUInt64LE(offset + 8) }
  }

  /** Moves on to the chunk that holds `position`; positions only grow. @throws {CairnError} `DATA_CORRUPT` */
  seek(position: number): Promise<void> {
    return this.#column.seek(position)
  }
}
