/** Pieces of sources of regular expressions that the kinds of patterns have in common. */

/**
 * The longest source to compile, in characters. V8 stops optimizing above 20 KB (`kRegExpTooLargeToOptimize`), and compiling, which
 * it does at the first match, fails for some sources of 32 KB and more.
 */
const MAX_SOURCE = 20_000

/** @throws {SyntaxError} when V8 might not be able to compile it, or is not */
export function checkSource(source: string, flags: string): void {
  if (source.length > MAX_SOURCE) throw new SyntaxError('the pattern is too long')
  void new RegExp(source, flags)
}

/** Sources in groups that are short enough to be the branches of one regular expression each. */
export function groupSources(sources: readonly string[]): string[][] {
  const groups: string[][] = []
  let room = 0
  for (const source of sources) {
    if (source.length > room || groups.at(-1)?.length === 100) {
      groups.push([])
      room = MAX_SOURCE
    }
    const group = groups.at(-1) as string[]
    // No name twice: a back reference tries all groups of its name.
    group.push(source.replaceAll(/<a(\d+)>/g, `<a$1_${group.length}>`))
    room -= source.length
  }
  return groups
}

/** Source that matches just this character. */
export function literalSource(character: string): string {
  const code = character.codePointAt(0) as number
  return code < 0x80 ? byteSource(code) : `\\u{${code.toString(16)}}`
}

/** Source that matches the character of a code below 256. */
export function byteSource(code: number): string {
  const character = String.fromCharCode(code)
  return /^\w$/.test(character) ? character : `\\x${code.toString(16).padStart(2, '0')}`
}

/** A group that, once matched, is not tried again in another way; JavaScript has no syntax for it. */
export function atomicSource(source: string, name: string): string {
  return `(?=(?<${name}>${source}))\\k<${name}>`
}

/** Part of a wildcard pattern: a kind of star, or what matches exactly one character. */
export interface Token<Type extends string> {
  readonly type: Type
  readonly source: string
}

/** The runs of tokens between those of one type. */
export function splitTokens<Type extends string>(tokens: readonly Token<Type>[], type: Type): Token<Type>[][] {
  const parts: Token<Type>[][] = [[]]
  for (const token of tokens) {
    if (token.type === type) parts.push([])
    else parts.at(-1)?.push(token)
  }
  return parts
}

export function sourceOf(tokens: readonly Token<string>[]): string {
  return tokens.map((token) => token.source).join('')
}
