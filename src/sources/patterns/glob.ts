import path from 'node:path'
import { atomicSource, literalSource, sourceOf, splitTokens, type Token as AnyToken } from './regex-source.ts'

/**
 * Borg's `fm:` and `sh:` patterns as sources of regular expressions (flags `sv`), to be matched from the start of a path to
 * which a `/` is appended. That `/` lets a pattern match a whole path or the folders it starts with.
 */

/** `**` + `/` of shell patterns. */
export const DEEP = '(?:[^\\/]*\\/)*?'

/** `*` of fnmatch patterns. */
export const ANY = '.*?'

type Token = AnyToken<'star' | 'deep' | 'class' | 'character'>

/** Python's `os.path.normpath`, but for two leading slashes, which nobody here keeps. */
export function normalizePath(text: string): string {
  const normal = path.posix.normalize(text)
  return normal.length > 1 ? normal.replace(/\/+$/, '') : normal
}

/** @throws {SyntaxError} for a backward range (`[z-a]`) in a shell pattern, as Borg does */
export function globSource(pattern: string, style: 'fm' | 'sh'): string {
  const inside = pattern.endsWith('/')
  const body = `${normalizePath(pattern)}/`.replace(/^\/+/, '')
  // Borg appends what matches everything below; a pattern that ends in '/' wants at least one name there.
  return join(tokenize(body, style), style === 'fm' ? ANY : '[^\\/]*?') + (inside ? '.' : '')
}

function tokenize(glob: string, style: 'fm' | 'sh'): Token[] {
  const chars = Array.from(glob)
  const tokens: Token[] = []
  for (let i = 0; i < chars.length; i++) {
    const char = chars[i] as string
    if (char === '*') {
      if (style === 'sh' && chars[i + 1] === '*' && chars[i + 2] === '/') {
        tokens.push({ type: 'deep', source: '' })
        i += 2
      } else if (tokens.at(-1)?.type !== 'star') tokens.push({ type: 'star', source: '' })
    } else if (char === '?') {
      tokens.push({ type: 'character', source: style === 'fm' ? '.' : '[^\\/]' })
    } else if (char === '[') {
      const negated = chars[i + 1] === '!'
      const first = negated ? i + 2 : i + 1
      const close = chars.indexOf(']', first + 1)
      if (close < 0) tokens.push({ type: 'character', source: '\\[' })
      else {
        tokens.push({ type: 'class', source: classSource(chars.slice(first, close), negated, style) })
        i = close
      }
    } else tokens.push({ type: 'character', source: literalSource(char) })
  }
  return tokens
}

function classSource(members: readonly string[], negated: boolean, style: 'fm' | 'sh'): string {
  let source = ''
  for (let k = 0; k < members.length; k++) {
    const low = members[k] as string
    const high = members[k + 2]
    if (members[k + 1] !== '-' || high === undefined) {
      source += literalSource(low)
      continue
    }
    if ((low.codePointAt(0) as number) <= (high.codePointAt(0) as number))
      source += `${literalSource(low)}-${literalSource(high)}`
    else if (style === 'sh') throw new SyntaxError(`bad character range ${low}-${high}`)
    k += 2
  }
  return `[${negated ? '^' : ''}${source}]`
}

/**
 * What follows a `*` up to the next `*` is best matched as early as possible, as the next `*` takes the rest: so it is tried
 * once and never again, and time grows with the length of the path and not with a power of it (after Python's `fnmatch`).
 * The same holds for whole folders between two `**` + `/`, unless classes that can match `/` make their end uncertain.
 */
function join(tokens: readonly Token[], star: string): string {
  let atomics = 0
  const atomic = (source: string): string => atomicSource(source, `a${atomics++}`)

  const units = splitTokens(tokens, 'deep').map((unit, u, units) => {
    const pieces = splitTokens(unit, 'star').map((piece, p, pieces) => {
      if (p === 0) return sourceOf(piece)
      if (p === pieces.length - 1) return star + sourceOf(piece)
      return star === ANY ? atomic(star + sourceOf(piece)) : earliest(piece, star, atomic)
    })
    if (u === 0) return pieces.join('')
    const whole = endsWithSlash(unit) && (pieces.length === 1 || !unit.some(crosses))
    return u < units.length - 1 && whole ? atomic(DEEP + pieces.join('')) : DEEP + pieces.join('')
  })
  return units.join('')
}

/**
 * A `*` that does not match `/`, and a piece with another `*` after it. A class that can match `/` may end it in this folder
 * or in the next, and the earliest end is best only among those in the same folder. So it is tried without any class
 * matching `/`, and then with each being the first that does, for which there is one place at most.
 */
function earliest(piece: readonly Token[], star: string, atomic: (source: string) => string): string {
  const within = piece.map((token) => (crosses(token) ? { ...token, source: `(?!\\/)${token.source}` } : token))
  const ways = [atomic(star + sourceOf(within))]
  for (const [i, token] of piece.entries())
    if (crosses(token)) ways.push(`${star}${sourceOf(within.slice(0, i))}\\/${sourceOf(piece.slice(i + 1))}`)
  return ways.length === 1 ? (ways[0] as string) : `(?:${ways.join('|')})`
}

function crosses(token: Token): boolean {
  return token.type === 'class' && new RegExp(token.source, 'v').test('/')
}

function endsWithSlash(tokens: readonly Token[]): boolean {
  return tokens.at(-1)?.source === literalSource('/')
}
