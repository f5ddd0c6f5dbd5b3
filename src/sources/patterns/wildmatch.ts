import { atomicSource, sourceOf, splitTokens, type Token as AnyToken } from './regex-source.ts'

/**
 * git's `wildmatch` as the source of a regular expression (flag `s`) for a whole path or name. git compares bytes, so here a
 * character stands for a byte (`latin1`): `?` is one byte of an `é`.
 */

type Token = AnyToken<'star' | 'deep' | 'any' | 'byte'>

const STAR = '[^\\/]*?'
/** `**` + `/`. */
const DEEP = '(?:.*?\\/)??'

/**
 * `start` is where git begins to look for wildcards, after the characters before the first one: there `**` counts as the
 * beginning of a path component even when it is not (`foo**` + `/bar` matches `foobar`).
 *
 * @returns `undefined` for a pattern that matches nothing, such as one with a class that does not end
 */
export function wildmatchSource(pattern: string, start: number): string | undefined {
  const tokens = tokenize(pattern, start)
  return tokens && join(tokens)
}

function tokenize(pattern: string, start: number): Token[] | undefined {
  const tokens: Token[] = []
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern.charAt(i)
    if (char === '*') {
      const from = i
      while (pattern[i + 1] === '*') i++
      const next = pattern.slice(i + 1)
      const aligned = from === start || from === 0 || pattern[from - 1] === '/'
      if (i === from || !aligned || !/^(?:$|\\?\/)/.test(next)) tokens.push({ type: 'star', source: '' })
      else if (next.startsWith('/')) {
        tokens.push({ type: 'deep', source: '' })
        i++
      } else tokens.push({ type: 'any', source: '.*' })
    } else if (char === '?') tokens.push({ type: 'byte', source: '[^\\/]' })
    else if (char === '[') {
      const found = parseClass(pattern, i + 1)
      if (!found) return undefined
      tokens.push({ type: 'byte', source: found.source })
      i = found.end
    } else {
      if (char === '\\' && ++i === pattern.length) return undefined
      tokens.push({ type: 'byte', source: byteSource(pattern.charCodeAt(i)) })
    }
  }
  return tokens
}

/** As in `glob.ts`: what stands between two stars of a kind is matched as early as possible, and never tried again. */
function join(tokens: readonly Token[]): string {
  let atomics = 0
  const atomic = (source: string): string => atomicSource(source, `a${atomics++}`)

  const units = splitTokens(tokens, 'deep').map((unit, u, units) => {
    const pieces = splitTokens(unit, 'star').map((piece, p, pieces) => {
      if (p === 0) return sourceOf(piece)
      const isLast = p === pieces.length - 1 || piece.some((token) => token.type === 'any')
      return isLast ? STAR + sourceOf(piece) : atomic(STAR + sourceOf(piece))
    })
    if (u === 0) return pieces.join('')
    const isLast = u === units.length - 1 || unit.some((token) => token.type === 'any')
    return isLast ? DEEP + pieces.join('') : atomic(DEEP + pieces.join(''))
  })
  return units.join('')
}

/** The class that begins at `at`, after its bracket; `end` is where its closing bracket is. */
function parseClass(pattern: string, at: number): { readonly source: string; readonly end: number } | undefined {
  const negated = pattern[at] === '!' || pattern[at] === '^'
  const first = negated ? at + 1 : at
  const members = new Set<number>()
  // What a '-' would make a range with: nothing at the start, after a range and after a named class.
  let low: number | undefined
  let i = first
  while (i === first || pattern[i] !== ']') {
    const isRange = pattern[i] === '-' && low !== undefined && i + 1 < pattern.length && pattern[i + 1] !== ']'
    if (isRange) i++
    if (!isRange && pattern.startsWith('[:', i)) {
      const close = pattern.indexOf(']', i + 2)
      if (close < 0) return undefined
      if (close > i + 2 && pattern[close - 1] === ':') {
        const named = NAMED_CLASSES[pattern.slice(i + 2, close - 1)]
        if (!named) return undefined
        for (let byte = 0; byte < 128; byte++) if (named.test(String.fromCharCode(byte))) members.add(byte)
        low = undefined
        i = close + 1
        continue
      }
    } else if (pattern[i] === '\\') i++
    if (i >= pattern.length) return undefined

    const byte = pattern.charCodeAt(i++)
    for (let member = isRange ? (low as number) : byte; member <= byte; member++) members.add(member)
    low = isRange ? undefined : byte
  }

  let source = ''
  for (let byte = 1; byte < 256; byte++) if (members.has(byte) !== negated && byte !== SLASH) source += byteSource(byte)
  return { source: `[${source}]`, end: i }
}

const SLASH = 0x2f

/** As git's own `ctype`, where vertical tab and form feed are no white space. */
const NAMED_CLASSES: Record<string, RegExp> = {
  alnum: /[A-Za-z0-9]/,
  alpha: /[A-Za-z]/,
  blank: /[ \t]/,
  // oxlint-disable-next-line no-control-regex
  cntrl: /[\x00-\x1f\x7f]/,
  digit: /[0-9]/,
  graph: /[!-~]/,
  lower: /[a-z]/,
  print: /[ -~]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /[ \t\n\r]/,
  upper: /[A-Z]/,
  xdigit: /[0-9A-Fa-f]/,
}

function byteSource(byte: number): string {
  const char = String.fromCharCode(byte)
  return /^[A-Za-z0-9_]$/.test(char) ? char : `\\x${byte.toString(16).padStart(2, '0')}`
}
