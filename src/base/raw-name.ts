import { isUtf8 } from 'node:buffer'

/**
 * File names are bytes; in memory they are text that loses nothing: valid UTF-8 is decoded as usual, and each byte of a
 * name that is not valid UTF-8 as a whole and is 0x80 or above becomes the lone surrogate U+DC00 + byte. So paths can be
 * joined, compared and matched as strings, and `toRawName` gives the bytes back.
 *
 * After PEP 383 ("surrogateescape"), but a name escapes either none or all of its high bytes: simple and bijective too.
 */

/** Text of the raw bytes of a name or path. */
export function fromRawName(bytes: Uint8Array): string {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const text = buffer.toString('utf8')
  if (!text.includes('\ufffd') || isUtf8(buffer)) return text
  let escaped = ''
  for (const byte of buffer) escaped += String.fromCharCode(byte < 0x80 ? byte : 0xdc00 + byte)
  return escaped
}

/** Raw bytes of a name or path; text and escaped names may be mixed, as when a path is joined from both. */
export function toRawName(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text, 'utf8')
  const parts: Buffer[] = []
  let plain = 0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    const paired = i > 0 && (text.charCodeAt(i - 1) & 0xfc00) === 0xd800
    if (unit < 0xdc80 || unit > 0xdcff || paired) continue
    parts.push(Buffer.from(text.slice(plain, i), 'utf8'), Buffer.of(unit - 0xdc00))
    plain = i + 1
  }
  parts.push(Buffer.from(text.slice(plain), 'utf8'))
  return Buffer.concat(parts)
}

/** The names that a relative path consists of; `/`, `.` and an empty path have none and mean all of it. */
export function partsOfPath(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  // What was decoded as a whole has high bytes escaped also in names that are UTF-8 by themselves.
  return path.isWellFormed() ? parts : parts.map((part) => fromRawName(toRawName(part)))
}

/** What `node:fs` wants for a path: the text itself when it is valid, else the raw bytes. */
export function toSystemPath(text: string): string | Buffer {
  return text.isWellFormed() ? text : toRawName(text)
}

/** Text that can be printed: bytes that are not UTF-8 become U+FFFD, as most terminals would show them. */
export function toPrintable(text: string): string {
  return text.toWellFormed()
}

/** Orders names by their raw bytes, as trees do; a comparison function for `sort`. */
export function compareRawNames(a: string, b: string): number {
  if (a === b) return 0
  if (!NEEDS_BYTES.test(a) && !NEEDS_BYTES.test(b)) return a < b ? -1 : 1
  return Buffer.compare(toRawName(a), toRawName(b))
}

/** Sorts names in place by their raw bytes. */
export function sortRawNames(names: string[]): string[] {
  // UTF-16 order is byte order as long as no surrogate is involved; the built-in order is several times faster.
  return names.some((name) => NEEDS_BYTES.test(name)) ? names.sort(compareRawNames) : names.sort()
}

const NEEDS_BYTES = /[\ud800-\uffff]/
