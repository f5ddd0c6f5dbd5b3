import { crc32 } from 'node:zlib'
import { CairnError } from '../../base/errors.ts'

/** One message of a connection: a JSON object that says what it is, and the bytes of an object, if any. */
export interface Frame {
  readonly header: Readonly<Record<string, unknown>>
  /** Memory of its own, so it may be given away. */
  readonly body: Uint8Array
}

/**
 * Lengths of header and body, a CRC-32 of header and body, and one of all this; little-endian. The last is for lengths alone: one
 * that was damaged would have the reader wait for more than will ever come.
 */
const PREFIX_BYTES = 16
/** Many times what a batch of a listing needs. */
const MAX_HEADER_BYTES = 4 << 20
/** The largest object, a pack (docs/format.md), and its sealing. */
const MAX_BODY_BYTES = (128 << 20) + (1 << 20)

/** The frame's bytes: what comes before the body; the body follows as it is. */
export function encodeFrame(header: object, body: Uint8Array): Buffer {
  const text = Buffer.from(JSON.stringify(header))
  const prefix = Buffer.alloc(PREFIX_BYTES)
  prefix.writeUInt32LE(text.length, 0)
  prefix.writeUInt32LE(body.length, 4)
  prefix.writeUInt32LE(crc32(body, crc32(text)), 8)
  prefix.writeUInt32LE(crc32(prefix.subarray(0, 12)), 12)
  return Buffer.concat([prefix, text])
}

/**
 * Puts frames together from the pieces in which a stream delivers them; each byte is copied once. Takes nothing on trust: lengths
 * are limited, and a frame counts only if its checksum is right. What the far end wrote was checksummed by it; in between are
 * programs and networks that need not be as careful as SSH.
 */
export class FrameReader {
  readonly #prefix = Buffer.alloc(PREFIX_BYTES)
  #header: Buffer | undefined
  #body = new Uint8Array()
  #filled = 0

  /** Whether a frame has begun and not ended. */
  get isInside(): boolean {
    return this.#filled > 0
  }

  /**
   * The frames that are complete with `piece`.
   *
   * @throws {CairnError} `STORAGE_UNAVAILABLE` when this is no frame; what follows cannot be read either
   */
  *push(piece: Uint8Array): Generator<Frame> {
    for (let rest = piece; rest.length > 0;) {
      rest = this.#take(rest)
      const frame = this.#next()
      if (frame) yield frame
    }
  }

  /** Takes what belongs to the part that is being filled, and returns the rest. */
  #take(piece: Uint8Array): Uint8Array {
    const parts = [this.#prefix, this.#header ?? Buffer.alloc(0), this.#body]
    let start = 0
    for (const part of parts) {
      if (this.#filled < start + part.length) {
        const at = this.#filled - start
        const taken = piece.subarray(0, part.length - at)
        part.set(taken, at)
        this.#filled += taken.length
        return piece.subarray(taken.length)
      }
      start += part.length
    }
    return piece
  }

  #next(): Frame | undefined {
    if (this.#filled < PREFIX_BYTES) return undefined
    const headerBytes = this.#prefix.readUInt32LE(0)
    const bodyBytes = this.#prefix.readUInt32LE(4)
    if (!this.#header) {
      if (crc32(this.#prefix.subarray(0, 12)) !== this.#prefix.readUInt32LE(12)) throw notAFrame()
      if (headerBytes === 0 || headerBytes > MAX_HEADER_BYTES || bodyBytes > MAX_BODY_BYTES) throw notAFrame()
      this.#header = Buffer.alloc(headerBytes)
      this.#body = new Uint8Array(bodyBytes)
    }
    if (this.#filled < PREFIX_BYTES + headerBytes + bodyBytes) return undefined
    const header = this.#header
    const body = this.#body
    if (crc32(body, crc32(header)) !== this.#prefix.readUInt32LE(8)) throw notAFrame()
    this.#header = undefined
    this.#body = new Uint8Array()
    this.#filled = 0
    return { header: parseHeader(header), body }
  }
}

function parseHeader(bytes: Buffer): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(bytes.toString())
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>
  } catch {}
  throw notAFrame()
}

function notAFrame(): CairnError {
  return new CairnError('STORAGE_UNAVAILABLE', 'what arrived was damaged on the way, or is of another program')
}
