/** What is open where a command line ends. */
export type Quote = '' | "'" | '"'

export interface BashWords {
  /** The words that are complete, without their quotes. */
  readonly words: readonly string[]
  /** The word at the end, without quotes. */
  readonly current: string
  /** The same as it was typed. */
  readonly typed: string
  readonly quote: Quote
  /** It names a file to read or write. */
  readonly isRedirection: boolean
}

/**
 * Takes the beginning of a command line of bash apart. Nothing is expanded, and nothing run: `$(x)` stays what it is. bash itself
 * would also split at `:` and `=`. `undefined` after a lone backslash.
 */
export function splitBashWords(line: string): BashWords | undefined {
  const words: string[] = []
  let value: string | undefined
  let start = line.length
  let quote: Quote = ''
  let isRedirection = false
  const end = (): void => {
    if (value !== undefined && !isRedirection) words.push(value)
    if (value !== undefined) isRedirection = false
    value = undefined
  }

  for (let index = 0; index < line.length; index++) {
    const character = line[index] as string
    if (quote === '' && /\s/.test(character)) {
      end()
      continue
    }
    if (quote === '' && /[<>]/.test(character)) {
      if (/^\d+$/.test(value ?? '')) value = undefined // the number of what is redirected
      end()
      isRedirection = true
      while (/[<>&|]/.test(line[index + 1] ?? '')) index++
      continue
    }
    if (value === undefined) {
      value = ''
      start = index
    }
    if (character === quote) quote = ''
    else if (quote === '' && (character === "'" || character === '"')) quote = character
    else if (character === '\\' && isEscape(quote, line[index + 1])) {
      if (index + 1 === line.length) return undefined
      value += line[++index]
    } else value += character
  }
  return { words, current: value ?? '', typed: value === undefined ? '' : line.slice(start), quote, isRedirection }
}

function isEscape(quote: Quote, next: string | undefined): boolean {
  return quote === '' || (quote === '"' && (next === undefined || '$`"\\'.includes(next)))
}

/**
 * Text, without control characters, so that bash takes it as it is after the quote that is open. readline closes the quote, unless the
 * text ends with one.
 */
export function quoteForBash(text: string, quote: Quote): string {
  if (quote !== '') {
    const quoted = quoteInside(text, quote)
    return quoted.endsWith(quote) ? quoted + quote : quoted
  }
  return text.replaceAll(/[^\p{L}\p{N}\p{M}_@%+=:,./-]/gu, '\\$&')
}

function quoteInside(text: string, quote: Quote): string {
  if (quote === "'") return text.replaceAll("'", String.raw`'\''`)
  // '!' is taken for a reference to the history there, and a backslash in front of it would stay.
  return text.replaceAll(/[$`"\\]/g, '\\$&').replaceAll('!', String.raw`"\!"`)
}
