import { CairnError } from './errors.ts'

/**
 * Writes the integers and byte strings of the repository format into one growing buffer.
 *
 * Fixed-size integers are little-endian; a varint is unsigned LEB128 (7 bits a byte, low bits first).
 */
export class ByteWriter {
  #buffer: Buffer
  #length = 0

  constructor(capacityBytes = 1024) {
    this.#buffer = Buffer.allocUnsafe(capacityBytes)
  }

  get length(): number {
    return this.#length
  }

  /** Forgets what was written and keeps the memory; views returned earlier change from now on. */
  reset(): void {
    this.#length = 0
  }

  /** What was written, as a view that is valid until the next write or `reset`. */
  view(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  /** What was written, as a copy that the caller owns. */
  copy(): Buffer {
    return Buffer.from(this.view())
  }

  u8(value: number): void {
    this.#reserve(1)
    this.#buffer[this.#length++] = value
  }

  u16(value: number): void {
    this.#reserve(2)
    this.#length = this.#buffer.writeUInt16LE(value, this.#length)
  }

  u32(value: number): void {
    this.#reserve(4)
    this.#length = this.#buffer.writeUInt32LE(value, this.#length)
  }

  i64(value: bigint): void {
    this.#reserve(8)
    this.#length = this.#buffer.writeBigInt64LE(value, this.#length)
  }

  u64(value: bigint): void {
    this.#reserve(8)
    this.#length = this.#buffer.writeBigUInt64LE(value, this.#length)
  }

  /** @param value a non-negative safe integer */
  varint(value: number): void {
    this.#reserve(8)
    let rest = value
    while (rest >= 0x80) {
      // Division, not a shift: sizes and offsets pass 32 bits.
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#buffer[this.#length++] = rest
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#length)
    this.#length += bytes.length
  }

  /** A varint length, then the bytes. */
  bytes(bytes: Uint8Array): void {
    this.varint(bytes.length)
    this.raw(bytes)
  }

  /** A varint length, then the text in UTF-8. */
  text(text: string): void {
    this.varint(Buffer.byteLength(text))
    this.#reserve(text.length * 3)
    this.#length += this.#buffer.write(text, this.#length)
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + bytes))
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#buffer = grown
  }
}

/**
 * Reads what `ByteWriter` wrote. Every read is checked against the end, so hostile or truncated input ends in an error.
 *
 * @throws {CairnError} `DATA_CORRUPT`, naming `what`, when a read passes the end or a varint is not a safe integer
 */
export class ByteReader {
  readonly #buffer: Buffer
  readonly #what: string
  #end: number
  offset: number

  /** Reads `buffer` from `offset` to `end`; the views it returns share the buffer's memory. */
  constructor(buffer: Uint8Array, what: string, offset = 0, end = buffer.length) {
    this.#buffer = Buffer.isBuffer(buffer) ? buffer : Buffer.from(buffer.buffer, buffer.byteOffset, buffer.length)
    this.#what = what
    this.offset = offset
    this.#end = end
  }

  get done(): boolean {
    return this.offset >= this.#end
  }

  /**
   * Begins a record that has its length, a varint, in front: until `leave`, reads end where it ends. Hot path of reading trees:
   * a reader for each node would cost as much as the node.
   *
   * @returns what to give to `leave`
   */
  enter(): number {
    const length = this.varint()
    const outer = this.#end
    if (length > outer - this.offset)
      throw this.corrupt(`a record ends ${length - (outer - this.offset)} bytes too late`)
    this.#end = this.offset + length
    return outer
  }

  /** Ends a record, passing over what is left of it. */
  leave(outer: number): void {
    this.offset = this.#end
    this.#end = outer
  }

  u8(): number {
    return this.#buffer[this.#advance(1)] as number
  }

  u16(): number {
    return this.#buffer.readUInt16LE(this.#advance(2))
  }

  u32(): number {
    return this.#buffer.readUInt32LE(this.#advance(4))
  }

  i64(): bigint {
    return this.#buffer.readBigInt64LE(this.#advance(8))
  }

  u64(): bigint {
    return this.#buffer.readBigUInt64LE(this.#advance(8))
  }

  varint(): number {
    let value = 0
    let scale = 1
    for (;;) {
      const byte = this.u8()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) break
      scale *= 0x80
      if (scale > 2 ** 49) throw this.corrupt('a varint is too long')
    }
    if (!Number.isSafeInteger(value)) throw this.corrupt('a varint is too large')
    return value
  }

  skip(length: number): void {
    this.#advance(length)
  }

  raw(length: number): Buffer {
    const start = this.#advance(length)
    return this.#buffer.subarray(start, start + length)
  }

  bytes(): Buffer {
    return this.raw(this.varint())
  }

  text(): string {
    const length = this.varint()
    const start = this.#advance(length)
    return this.#buffer.toString('utf8', start, start + length)
  }

  /** The error to throw when the bytes make no sense. */
  corrupt(found: string): CairnError {
    return new CairnError('DATA_CORRUPT', `Cannot read ${this.#what}: ${found} at byte ${this.offset}`)
  }

  #advance(length: number): number {
    const start = this.offset
    if (length > this.#end - start) throw this.corrupt(`it ends ${length - (this.#end - start)} bytes too early`)
    this.offset = start + length
    return start
  }
}
