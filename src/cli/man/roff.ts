/** Text as roff(7) has to have it: each character comes out as it is, so that what is shown can be searched for and copied. */

const SPECIAL: Readonly<Record<string, string>> = {
  '\\': String.raw`\(rs`,
  '-': String.raw`\-`, // '-' alone may come out as a hyphen
  "'": String.raw`\(aq`,
  '"': String.raw`\(dq`,
  '`': String.raw`\(ga`,
  '^': String.raw`\(ha`,
  '~': String.raw`\(ti`,
}

/** One line of text, as a line of its own or as the argument of a macro. */
export function escapeRoff(text: string): string {
  const escaped = text.replaceAll(
    /[\\\-'"`^~]|[^\u0020-\u007E]/gu,
    (character) => SPECIAL[character] ?? byNumber(character),
  )
  return escaped.startsWith('.') ? String.raw`\&${escaped}` : escaped
}

function byNumber(character: string): string {
  const hex = (character.codePointAt(0) ?? 0).toString(16).toUpperCase()
  return String.raw`\[u${hex.padStart(4, '0')}]`
}

export function bold(text: string): string {
  return String.raw`\fB${escapeRoff(text)}\fR`
}

export function italic(text: string): string {
  return String.raw`\fI${escapeRoff(text)}\fR`
}

/** Escapes text, with its options in bold. */
export function prose(text: string): string {
  return styled(text, /(?<![\w-])--?[A-Za-z][\w-]*/g, bold)
}

/** Escapes a way to call a command: what stands for something else is in italics, options are in bold. */
export function synopsis(text: string): string {
  return styled(text, /(?<![\w-])--?[a-z][\w-]*|\b[A-Z]+\b/g, (word) =>
    word.startsWith('-') ? bold(word) : italic(word),
  )
}

function styled(text: string, pattern: RegExp, style: (word: string) => string): string {
  let result = ''
  let end = 0
  for (const match of text.matchAll(pattern)) {
    result += escapeRoff(text.slice(end, match.index)) + style(match[0])
    end = match.index + match[0].length
  }
  return result + escapeRoff(text.slice(end))
}
