import { isUtf8 } from 'node:buffer'
import { toRawName } from '../../base/raw-name.ts'

/** What Python's `str` makes of bytes and lines, since Borg's patterns and pattern files are defined by it. */

/**
 * A path or pattern as Python holds it (PEP 383): every valid UTF-8 sequence is a character, every other byte one lone
 * surrogate. Raw-name text escapes all high bytes of a name or none, so 'é\xff' would be three characters there, and a
 * pattern could not name its 'é'.
 */
export function toPythonText(text: string): string {
  if (text.isWellFormed()) return text
  const bytes = toRawName(text)
  let result = ''
  for (let i = 0; i < bytes.length;) {
    const lead = bytes[i] as number
    const length = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
    const sequence = bytes.subarray(i, i + length)
    const valid = isUtf8(sequence)
    result += valid ? sequence.toString('utf8') : String.fromCharCode(0xdc00 + lead)
    i += valid ? length : 1
  }
  return result
}

/** The characters of `str.isspace`, for a character class; JavaScript's `\s` has other ones. */
export const PYTHON_SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'

const LEADING_SPACE = new RegExp(`^[${PYTHON_SPACE}]+`)

/** `str.lstrip` */
export function stripStart(text: string): string {
  return text.replace(LEADING_SPACE, '')
}

/** `str.strip` */
export function strip(text: string): string {
  const start = stripStart(text)
  let end = start.length
  while (end > 0 && LEADING_SPACE.test(start.charAt(end - 1))) end--
  return start.slice(0, end)
}
