import { CairnError } from '../../base/errors.ts'

/** Longest packet that is taken from a server; OpenSSH sends 256 KiB at most. */
const MAX_PACKET_BYTES = (1 << 20) + 1024

/** One message of SFTP: integers are big-endian, texts and bytes have their length before them. */
export interface Packet {
  readonly type: number
  readonly body: PacketReader
}

export class PacketWriter {
  #buffer = Buffer.allocUnsafe(256)
  #length = 4

  constructor(type: number) {
    this.#buffer[this.#length++] = type
  }

  u32(value: number): this {
    this.#reserve(4)
    this.#length = this.#buffer.writeUInt32BE(value, this.#length)
    return this
  }

  /** @param value a non-negative safe integer */
  u64(value: number): this {
    this.#reserve(8)
    this.#length = this.#buffer.writeBigUInt64BE(BigInt(value), this.#length)
    return this
  }

  bytes(value: Uint8Array): this {
    this.u32(value.length)
    this.#reserve(value.length)
    this.#buffer.set(value, this.#length)
    this.#length += value.length
    return this
  }

  text(value: string): this {
    return this.bytes(Buffer.from(value))
  }

  /** The packet; `data` is its last field, which the caller sends behind it without copying it. */
  finish(data?: Uint8Array): Buffer {
    if (data) this.u32(data.length)
    this.#buffer.writeUInt32BE(this.#length - 4 + (data?.length ?? 0), 0)
    return this.#buffer.subarray(0, this.#length)
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return
    this.#buffer = Buffer.concat([this.#buffer], (this.#length + bytes) * 2)
  }
}

/** Reads the fields of a packet; every read is checked against its end. @throws {CairnError} `STORAGE_UNAVAILABLE` */
export class PacketReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length
  }

  u32(): number {
    return this.#take(4).readUInt32BE()
  }

  u64(): bigint {
    return this.#take(8).readBigUInt64BE()
  }

  /** A view of the packet. */
  bytes(): Buffer {
    return this.#take(this.u32())
  }

  text(): string {
    return this.bytes().toString()
  }

  skip(bytes: number): void {
    this.#take(bytes)
  }

  #take(bytes: number): Buffer {
    if (this.#at + bytes > this.#bytes.length) throw nonsense()
    return this.#bytes.subarray(this.#at, (this.#at += bytes))
  }
}

/**
 * Returns a function that takes pieces of a stream and hands out the packets in them, each with memory of its own.
 *
 * @throws {CairnError} `STORAGE_UNAVAILABLE` for what is no packet
 */
export function splitPackets(onPacket: (packet: Packet) => void): (piece: Buffer) => void {
  const prefix = Buffer.alloc(4)
  let packet: Buffer | undefined
  let filled = 0
  return (piece) => {
    for (let rest = piece; rest.length > 0;) {
      const target = packet ?? prefix
      const taken = rest.copy(target, filled)
      filled += taken
      rest = rest.subarray(taken)
      if (filled < target.length) return
      filled = 0
      if (packet) {
        onPacket({ type: packet[0] as number, body: new PacketReader(packet.subarray(1)) })
        packet = undefined
      } else {
        const length = prefix.readUInt32BE()
        if (length < 5 || length > MAX_PACKET_BYTES) throw nonsense()
        packet = Buffer.alloc(length)
      }
    }
  }
}

function nonsense(): CairnError {
  return new CairnError('STORAGE_UNAVAILABLE', 'what it answers is no SFTP')
}
