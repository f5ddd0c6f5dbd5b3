/**
 * chunker: bytes → cut points. Pure and deterministic: the cuts depend on the parameters, the gear table and the bytes
 * of the file, never on how the bytes arrive. One chunker serves one thread: its user reads a piece of a file into `buffer`, asks
 * `cut()` for the end of each chunk, and moves what is left of the last, undecided chunk to the front before reading on.
 *
 * The cut points (normative; FastCDC of Xia et al., USENIX ATC 2016, with normalized chunking level 2):
 * - `gear` is a table of 256 unsigned 32-bit integers. The hash of byte i of a file is the sum of gear[byte i-k] * 2^k for k
 *   from 0 to 31, modulo 2^32: the state of h = 2h + gear[byte] after byte i, which by then has forgotten all but 32 bytes.
 * - The mean is 2^b bytes. Let a chunk begin at byte s, and let n = i + 1 - s be its length if byte i were its last. Byte i
 *   is a candidate when min <= n < mean and the upper b+2 bits of its hash are zero, or when mean <= n < max and
 *   the upper b-2 bits are zero. As min is at least 64, the 32 bytes all lie in the chunk.
 * - The chunk ends after its first candidate; without one, after max bytes or at the end of the file.
 *
 * On random data the mean length is about 1.14 times the mean when min and max are a quarter and four times of it.
 */
import type { ChunkerParams, FastCdcParams } from './params.ts'
import { createGearScan, type GearScan, LANES, STRETCH_UNIT_BYTES, WINDOW_BYTES } from './gear-scan.ts'

/** Finds the ends of chunks in a buffer of its own; for one thread. */
export interface Chunker {
  /**
   * The memory that the data must lie in; read files straight into it. It never moves, and is at least as large as asked
   * for. With `fastcdc` it is WebAssembly memory: it cannot be transferred to another thread, only copied.
   */
  readonly buffer: Buffer
  /** Length of the largest chunk. */
  readonly maxBytes: number
  /** A file of at most this many bytes is one chunk; no need to call `cut()`. */
  readonly minBytes: number
  /**
   * The end (exclusive) of the chunk that begins at `start` of the buffer; the bytes up to `end` (exclusive) are there.
   * `final` says that the file ends at `end`, where its last chunk then ends at the latest.
   *
   * Returns -1 when more bytes are needed: not `final`, fewer than `maxBytes` bytes there, and no cut among them. The next
   * call looks at the same bytes again, so fill the buffer before calling. Nothing is remembered between calls.
   */
  cut(start: number, end: number, final: boolean): number
}

/** Bytes of a gear table: 256 integers of 32 bits, little-endian. */
export const GEAR_TABLE_BYTES = 1024

/**
 * Creates a chunker with a buffer of `bufferBytes` bytes; twice the largest chunk or more keeps moving leftovers cheap.
 *
 * `gearTable` is copied. It is derived from a secret of the repository, so that the lengths of chunks do not give away what
 * they hold; `fixed` ignores it. Wrong sizes are a programming error (`RangeError`); `params` must have been validated.
 */
export function createChunker(params: ChunkerParams, gearTable: Uint8Array, bufferBytes: number): Chunker {
  const maxBytes = params.algorithm === 'fixed' ? params.blockBytes : params.maxBytes
  if (bufferBytes < maxBytes) throw new RangeError(`A chunker's buffer of ${bufferBytes} bytes is below ${maxBytes}`)
  if (params.algorithm === 'fixed') return new FixedChunker(params.blockBytes, bufferBytes)
  if (gearTable.length !== GEAR_TABLE_BYTES) throw new RangeError(`A gear table of ${gearTable.length} bytes`)
  return new GearChunker(params, gearTable, bufferBytes)
}

class FixedChunker implements Chunker {
  readonly buffer: Buffer
  readonly maxBytes: number
  readonly minBytes: number

  constructor(blockBytes: number, bufferBytes: number) {
    this.buffer = Buffer.alloc(bufferBytes)
    this.maxBytes = blockBytes
    this.minBytes = blockBytes
  }

  cut(start: number, end: number, final: boolean): number {
    checkRange(this.buffer, start, end)
    if (end - start >= this.maxBytes) return start + this.maxBytes
    return final ? end : -1
  }
}

class GearChunker implements Chunker {
  readonly buffer: Buffer
  readonly maxBytes: number
  readonly minBytes: number
  readonly #meanBytes: number
  readonly #strictThreshold: number
  readonly #looseThreshold: number
  readonly #stretchBytes: number
  readonly #gear: Int32Array
  readonly #scan: GearScan['scan']

  constructor(params: FastCdcParams, gearTable: Uint8Array, bufferBytes: number) {
    const table = new DataView(gearTable.buffer, gearTable.byteOffset, gearTable.length)
    this.#gear = Int32Array.from({ length: 256 }, (_, byte) => table.getInt32(byte * 4, true))
    const { data, scan } = createGearScan(gearTable, bufferBytes)
    this.#scan = scan
    this.buffer = data
    this.minBytes = params.minBytes
    this.#meanBytes = params.meanBytes
    this.maxBytes = params.maxBytes
    // The upper n bits of a hash are zero when it is below 2^(32-n).
    this.#strictThreshold = 2 ** 30 / params.meanBytes
    this.#looseThreshold = 2 ** 34 / params.meanBytes
    // Long stretches waste what lies behind the cut, short ones the filling of the windows. 4 KiB at a mean of 1 MiB
    // waste 1 % each.
    this.#stretchBytes = Math.max(128, Math.min(4096, params.meanBytes / 256))
  }

  cut(start: number, end: number, final: boolean): number {
    checkRange(this.buffer, start, end)
    const limit = Math.min(end, start + this.maxBytes)
    // A chunk of n bytes has its last byte at start + n - 1.
    const strict = start + this.minBytes - 1
    const loose = start + this.#meanBytes - 1
    let last = this.#findBelow(this.#strictThreshold, strict, Math.min(loose, limit))
    if (last < 0) last = this.#findBelow(this.#looseThreshold, loose, limit)
    if (last >= 0) return last + 1
    return final || limit - start === this.maxBytes ? limit : -1
  }

  /** The first byte in `from` to `to` (exclusive) whose hash is below `threshold`, or -1. */
  #findBelow(threshold: number, from: number, to: number): number {
    let at = from
    while (to - at >= LANES * STRETCH_UNIT_BYTES) {
      const evenShare = Math.floor((to - at) / (LANES * STRETCH_UNIT_BYTES)) * STRETCH_UNIT_BYTES
      const stretchBytes = Math.min(this.#stretchBytes, evenShare)
      const lane = this.#scan(at, stretchBytes, threshold)
      if (lane < LANES) return this.#findBelowSlowly(threshold, at + lane * stretchBytes, to)
      at += LANES * stretchBytes
    }
    return this.#findBelowSlowly(threshold, at, to)
  }

  /** As `#findBelow`, one byte after the other: for the stretch that is known to hold a cut, and for the odd rest. */
  #findBelowSlowly(threshold: number, from: number, to: number): number {
    const data = this.buffer
    const gear = this.#gear
    let hash = 0
    for (let i = from + 1 - WINDOW_BYTES; i < to; i++) {
      hash = ((hash << 1) + (gear[data[i] as number] as number)) | 0
      if (hash >>> 0 < threshold && i >= from) return i
    }
    return -1
  }
}

function checkRange(buffer: Buffer, start: number, end: number): void {
  if (start >= 0 && start <= end && end <= buffer.length) return
  throw new RangeError(`Cannot cut bytes ${start} to ${end} of a buffer of ${buffer.length}`)
}
