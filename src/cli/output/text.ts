import { toPrintable } from '../../base/raw-name.ts'

const NAMED_ESCAPES: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

// Controls (also the 8-bit ones, which some terminals obey), line separators, and marks that reorder text to the right of them.
const UNSAFE = /[\p{Cc}\u2028\u2029\u202A-\u202E\u2066-\u2069]/gu

/**
 * Text of a file name or message from outside that is safe to print: one line, no terminal commands. Bytes that are not UTF-8
 * become U+FFFD; the exact name is in `--json` output.
 */
export function printable(text: string): string {
  return toPrintable(text).replaceAll(UNSAFE, (character) => {
    const code = character.charCodeAt(0)
    const hex = code.toString(16)
    return NAMED_ESCAPES[character] ?? (code < 0x100 ? `\\x${hex.padStart(2, '0')}` : `\\u${hex}`)
  })
}

const ASCII = /^[\u0020-\u007E]*$/
const ZERO_WIDTH = /^[\p{Mn}\p{Me}\p{Cf}]$/u
const WIDE =
  /^[\u1100-\u115F\u2E80-\u303E\u3041-\u33FF\u3400-\u4DBF\u4E00-\u9FFF\uA000-\uA4CF\uA960-\uA97F\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{1F300}-\u{1F64F}\u{1F680}-\u{1F6FF}\u{1F900}-\u{1F9FF}\u{20000}-\u{3FFFD}]$/u

/** Columns that printable text takes on a terminal; good enough to keep a status line on one line. */
export function displayWidth(text: string): number {
  if (ASCII.test(text)) return text.length
  let width = 0
  for (const character of text) width += characterWidth(character)
  return width
}

function characterWidth(character: string): number {
  if (ZERO_WIDTH.test(character)) return 0
  return WIDE.test(character) ? 2 : 1
}

/** The end of a path in at most `width` columns, which is the part that tells files apart: `…/share/doc/index.html`. */
export function shortenPath(text: string, width: number): string {
  if (displayWidth(text) <= width) return text
  const characters = Array.from(text)
  let used = 1
  let from = characters.length
  while (from > 0) {
    const next = characterWidth(characters[from - 1] as string)
    if (used + next > width) break
    used += next
    from--
  }
  return `…${characters.slice(from).join('')}`
}

/** Pads or leaves text so that it takes at least `width` columns. */
export function padText(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - displayWidth(text)))
}
