import { crc32 } from '../codec/crc32.ts'
import { ByteReader, ByteWriter } from '../base/binary.ts'
import { CairnError } from '../base/errors.ts'
import { asRepositoryId, toHex } from '../base/ids.ts'
import { cleanBase32, decodeBase32, encodeBase32 } from '../codec/base32.ts'
import { blake3 } from '../codec/hash.ts'
import { type SlotFields, formatSlot } from './key-slot.ts'

/**
 * A key slot as lines that people can type (docs/format.md, "Paper keys"). Each line ends with a CRC-32 of its number and its bytes,
 * which no single mistyped character, no two exchanged ones and no line in the wrong place gets past.
 */
const VERSION = 1
const LINE_BYTES = 16
const CRC_BYTES = 4
const GROUP_LENGTH = 4
/** Characters of a line: 20 bytes. */
const LINE_LENGTH = 32
/** First 4 bytes of the hash of all before it, so that lines of two keys do not make one. */
const HASH_BYTES = 4
/** The number of lines is a byte; that is enough for 120 generations. */
const MAX_LINES = 255

/** The lines of a slot, without their numbers: `7ZQX 1M0K …`. What the slot says of itself (notes) is left out. */
export function encodePaperKey({ repository, argon2, salt, sealed }: SlotFields): string[] {
  const writer = new ByteWriter()
  writer.bytes(Buffer.from(repository, 'hex'))
  writer.varint(argon2?.memoryKiB ?? 0)
  writer.varint(argon2?.passes ?? 0)
  writer.varint(argon2?.parallelism ?? 0)
  writer.bytes(salt)
  writer.bytes(sealed)
  const body = writer.copy()
  const count = Math.ceil((2 + body.length + HASH_BYTES) / LINE_BYTES)
  if (count > MAX_LINES) {
    throw new CairnError('INVALID_ARGUMENT', `Cannot print the key: it has ${count} lines; use 'cairn key export FILE'`)
  }
  const bytes = Buffer.alloc(count * LINE_BYTES)
  bytes.set([VERSION, count])
  body.copy(bytes, 2)
  blake3(bytes.subarray(0, -HASH_BYTES)).copy(bytes, bytes.length - HASH_BYTES, 0, HASH_BYTES)
  return Array.from({ length: count }, (_, i) =>
    encodeLine(i + 1, bytes.subarray(i * LINE_BYTES, (i + 1) * LINE_BYTES)),
  )
}

/** Takes the lines of a paper key one after the other, as they are typed. */
export class PaperKeyReader {
  readonly #lines: Buffer[] = []

  /** The number of the line that is wanted next, counted from 1; `undefined` when the key is complete. */
  get next(): number | undefined {
    return this.#lines.length === this.lineCount ? undefined : this.#lines.length + 1
  }

  /** How many lines there are; `undefined` before the first. */
  get lineCount(): number | undefined {
    return this.#lines[0]?.[1]
  }

  /**
   * Takes the next line, with or without its number and a colon.
   *
   * @throws {CairnError} `INVALID_ARGUMENT` when it was mistyped, or is another line; it can be given again
   */
  add(typed: string): void {
    const number = this.#lines.length + 1
    const [, shownNumber, text = ''] = /^\s*(?:(\d{1,3})\s*:)?(.*)$/s.exec(typed) ?? []
    const clean = cleanBase32(text)
    const bytes = decodeBase32(clean)
    if (clean.length !== LINE_LENGTH || !bytes) {
      throw wrongLine(number, `want ${LINE_LENGTH} letters and digits, there are ${clean.length}`)
    }
    const payload = bytes.subarray(0, LINE_BYTES)
    if (bytes.readUInt32LE(LINE_BYTES) !== checksum(number, payload)) {
      const isAnother = shownNumber !== undefined && Number(shownNumber) !== number
      throw wrongLine(number, isAnother ? `this is line ${shownNumber}` : 'there is a typing error in it')
    }
    if (number === 1 && (payload[0] !== VERSION || (payload[1] ?? 0) < 2)) {
      throw new CairnError('FORMAT_UNSUPPORTED', 'Cannot read the paper key: a newer version of cairn wrote it')
    }
    this.#lines.push(payload)
  }

  /**
   * The text of the slot, when the key is complete.
   *
   * @throws {CairnError} `INVALID_ARGUMENT` when its lines do not belong together
   */
  slot(): string {
    const bytes = Buffer.concat(this.#lines)
    const end = bytes.length - HASH_BYTES
    const wanted = blake3(bytes.subarray(0, end)).subarray(0, HASH_BYTES)
    if (this.next !== undefined || !wanted.equals(bytes.subarray(end))) {
      throw new CairnError(
        'INVALID_ARGUMENT',
        'Cannot read the paper key: each line is right, but they are not those of one key; type the lines of one paper',
      )
    }
    const reader = new ByteReader(bytes, 'the paper key', 2, end)
    const repository = asRepositoryId(toHex(reader.bytes()))
    if (!repository) throw reader.corrupt('it names no repository')
    const [memoryKiB, passes, parallelism] = [reader.varint(), reader.varint(), reader.varint()]
    const argon2 = memoryKiB === 0 ? undefined : { memoryKiB, passes, parallelism }
    return formatSlot({ repository, argon2, salt: reader.bytes(), sealed: reader.bytes() })
  }
}

function encodeLine(number: number, payload: Uint8Array): string {
  const bytes = Buffer.alloc(LINE_BYTES + CRC_BYTES)
  bytes.set(payload)
  bytes.writeUInt32LE(checksum(number, payload), LINE_BYTES)
  return encodeBase32(bytes).replaceAll(new RegExp(`(.{${GROUP_LENGTH}})(?!$)`, 'g'), '$1 ')
}

function checksum(number: number, payload: Uint8Array): number {
  return crc32(Buffer.concat([Uint8Array.of(number), payload]))
}

function wrongLine(number: number, found: string): CairnError {
  return new CairnError('INVALID_ARGUMENT', `Cannot read line ${number} of the paper key: ${found}; type it again`)
}
