/** Pieces of sources of regular expressions that the kinds of patterns have in common. */

/** Source that matches just this character. */
export function literalSource(character: string): string {
  const code = character.codePointAt(0) as number
  return /^\w$/.test(character) ? character : `\\u{${code.toString(16)}}`
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
