import { PYTHON_SPACE } from './python-text.ts'
import { atomicSource, literalSource } from './regex-source.ts'

export interface Translation {
  readonly source: string
  readonly ignoreCase: boolean
}

/**
 * A JavaScript regular expression (flag `v`, and `i` if case is ignored) that finds what Python's `re.search` finds with `pattern`. The
 * dialects differ in more than looks: `$` before a last newline, `\A` and `\Z`, Unicode `\d`, `\w` and `\b`, inline flags,
 * possessive and atomic groups, `]` and `[` in classes, a `{` that is no quantifier, octal escapes, named groups.
 *
 * Not the same: `(?(1)…)`, `(?i:…)` and `\N{…}` are refused; a reference to a group that took no part in the match
 * is passed over, where Python fails; a look-behind may have any width.
 * JavaScript has `(?i:…)` too, but V8 14.6 forgets it in loops (`(?i:(a+))`) once a process has compiled some 1 MB of regular
 * expressions and stops optimizing them; `node --no-regexp-optimization` shows it.
 *
 * @throws {SyntaxError} when the pattern is not valid in Python 3.11, or one of those refused
 */
export function translatePythonRegex(pattern: string): Translation {
  return new Translator(pattern).translate()
}

interface Flags {
  readonly i: boolean
  readonly m: boolean
  readonly s: boolean
  readonly x: boolean
  readonly a: boolean
}

/** Part of a sequence; assertions cannot be repeated, and what is repeated cannot be repeated again. */
interface Item {
  readonly source: string
  readonly kind: 'atom' | 'assertion' | 'repeat'
}

const CONTROLS: Record<string, number> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 }
const HEX_DIGITS: Record<string, number> = { x: 2, u: 4, U: 8 }

class Translator {
  readonly #chars: readonly string[]
  #at = 0
  #groups = 0
  #atomics = 0
  readonly #open = new Set<number>()
  readonly #names = new Map<string, number>()

  constructor(pattern: string) {
    this.#chars = Array.from(pattern)
  }

  translate(): Translation {
    let flags: Flags = { i: false, m: false, s: false, x: false, a: false }
    for (let letters = this.#globalFlags(); letters !== undefined; letters = this.#globalFlags())
      flags = withFlags(flags, letters, true)
    const source = this.#alternatives(flags)
    if (this.#at < this.#chars.length) throw new SyntaxError('unbalanced parenthesis')
    return { source, ignoreCase: flags.i }
  }

  #globalFlags(): string | undefined {
    const [all = '', letters] = /^\(\?([a-zA-Z]+)\)/.exec(this.#chars.slice(this.#at, this.#at + 20).join('')) ?? []
    this.#at += all.length
    return letters
  }

  #alternatives(flags: Flags): string {
    const branches = []
    do branches.push(this.#sequence(flags))
    while (this.#take('|'))
    return branches.join('|')
  }

  #sequence(flags: Flags): string {
    const items: Item[] = []
    while (this.#at < this.#chars.length && this.#peek() !== '|' && this.#peek() !== ')') {
      if (flags.x && this.#skipVerbose()) continue
      const bounds = this.#quantifier()
      if (bounds === undefined) {
        const item = this.#item(flags)
        if (item) items.push(item)
        continue
      }
      const last = items.pop()
      if (!last || last.kind === 'assertion') throw new SyntaxError('nothing to repeat')
      if (last.kind === 'repeat') throw new SyntaxError('multiple repeat')
      const source = `(?:${last.source})${bounds}`
      if (this.#take('?')) items.push({ source: `${source}?`, kind: 'repeat' })
      else items.push({ source: this.#take('+') ? this.#atomic(source) : source, kind: 'repeat' })
    }
    return items.map((item) => item.source).join('')
  }

  #skipVerbose(): boolean {
    if (this.#take('#')) while (this.#at < this.#chars.length && !this.#take('\n')) this.#at++
    else if (/[ \t-\r]/.test(this.#peek())) this.#at++
    else return false
    return true
  }

  /** `*`, `+`, `?` or `{…}` when there is one; other braces are literals. */
  #quantifier(): string | undefined {
    if (/[*+?]/.test(this.#peek())) return this.#next()
    if (this.#peek() !== '{') return undefined
    const close = this.#chars.indexOf('}', this.#at)
    const [all, low, comma, high] = /^\{(\d*)(,?)(\d*)\}$/.exec(this.#chars.slice(this.#at, close + 1).join('')) ?? []
    if (all === undefined || all === '{}') return undefined
    if (comma && low && high && Number(low) > Number(high)) throw new SyntaxError('min repeat greater than max repeat')
    this.#at = close + 1
    return comma ? `{${low || '0'},${high}}` : all
  }

  #item(flags: Flags): Item | undefined {
    const char = this.#next()
    if (char === '(') return this.#group(flags)
    if (char === '\\') return this.#escape(flags)
    if (char === '[') return atom(this.#class(flags))
    if (char === '.') return atom(flags.s ? '[^]' : '[^\\n]')
    if (char === '^') return assertion(flags.m ? '(?<=^|\\n)' : '^')
    if (char === '$') return assertion(flags.m ? '(?=\\n|$)' : '(?=\\n?$)')
    return atom(literalSource(char))
  }

  #group(flags: Flags): Item | undefined {
    if (!this.#take('?')) return atom(this.#capture(flags))
    if (this.#take('#')) {
      while (this.#next() !== ')');
      return undefined
    }
    if (this.#take('>')) return atom(this.#atomic(this.#body(flags)))
    for (const look of ['=', '!', '<=', '<!']) if (this.#take(look)) return atom(`(?${look}${this.#body(flags)})`)
    if (this.#take('P<')) return atom(this.#capture(flags, this.#upTo('>')))
    if (this.#take('P=')) return atom(this.#reference(this.#names.get(this.#upTo(')'))))
    if (this.#peek() === '(') throw new SyntaxError('conditional groups are not supported')

    const [all, on, dash, off] =
      /^([a-zA-Z]*)(-?)([a-zA-Z]*):/.exec(this.#chars.slice(this.#at, this.#at + 20).join('')) ?? []
    if (all === undefined || (dash && !off)) {
      const isGlobal = /^[aiLmsux]+\)/.test(this.#chars.slice(this.#at, this.#at + 20).join(''))
      throw new SyntaxError(
        isGlobal ? 'global flags not at the start of the expression' : `unknown extension ?${this.#peek()}`,
      )
    }
    this.#at += all.length
    if (off && (/[^imsx]/.test(off) || Array.from(off).some((letter) => on?.includes(letter))))
      throw new SyntaxError('bad inline flags')
    const inner = withFlags(withFlags(flags, on ?? '', true), off ?? '', false)
    if (inner.i !== flags.i)
      throw new SyntaxError('a part cannot ignore case on its own; (?i) at the start ignores it everywhere')
    return atom(`(?:${this.#body(inner)})`)
  }

  #capture(flags: Flags, name?: string): string {
    const number = ++this.#groups
    if (name !== undefined) {
      if (!/^[\p{L}\p{Nl}_][\p{L}\p{N}\p{M}_]*$/u.test(name)) throw new SyntaxError(`bad group name '${name}'`)
      if (this.#names.has(name)) throw new SyntaxError(`group '${name}' is defined twice`)
      this.#names.set(name, number)
    }
    this.#open.add(number)
    const body = this.#body(flags)
    this.#open.delete(number)
    return `(?<p${number}>${body})`
  }

  #body(flags: Flags): string {
    const source = this.#alternatives(flags)
    if (!this.#take(')')) throw new SyntaxError('missing ), unterminated subpattern')
    return source
  }

  #atomic(source: string): string {
    return atomicSource(source, `a${this.#atomics++}`)
  }

  #reference(group: number | undefined): string {
    if (group === undefined || group > this.#groups) throw new SyntaxError('invalid group reference')
    if (this.#open.has(group)) throw new SyntaxError('cannot refer to an open group')
    return `\\k<p${group}>`
  }

  #escape(flags: Flags): Item {
    const char = this.#next()
    const word = wordSource(flags)
    if (char === 'A') return assertion('^')
    if (char === 'Z') return assertion('$')
    if (char === 'b') return assertion(`(?:(?<=${word})(?!${word})|(?<!${word})(?=${word}))`)
    if (char === 'B') return assertion(`(?!^$)(?:(?<=${word})(?=${word})|(?<!${word})(?!${word}))`)
    const category = categorySource(char, flags)
    if (category) return atom(category)
    if (/[1-9]/.test(char)) {
      const [digits = char] = /^[0-7]{3}|^\d{1,2}/.exec(char + this.#chars.slice(this.#at, this.#at + 2).join('')) ?? []
      this.#at += digits.length - 1
      return atom(digits.length === 3 ? octal(digits) : this.#reference(Number(digits)))
    }
    return atom(literalSource(this.#escapedLiteral(char)))
  }

  /** The character that an escape stands for which means the same inside a class and outside. */
  #escapedLiteral(char: string): string {
    if (/[0-7]/.test(char)) {
      const [digits = char] = /^[0-7]{1,3}/.exec(char + this.#chars.slice(this.#at, this.#at + 2).join('')) ?? []
      this.#at += digits.length - 1
      if (Number.parseInt(digits, 8) > 0o377) throw new SyntaxError(`octal escape \\${digits} is too large`)
      return String.fromCodePoint(Number.parseInt(digits, 8))
    }
    const length = HEX_DIGITS[char]
    if (length !== undefined) {
      const digits = this.#chars.slice(this.#at, this.#at + length).join('')
      const code = /^[\da-fA-F]+$/.test(digits) && digits.length === length ? Number.parseInt(digits, 16) : Infinity
      if (code > 0x10ffff) throw new SyntaxError(`bad escape \\${char}`)
      this.#at += length
      return String.fromCodePoint(code)
    }
    const control = CONTROLS[char]
    if (control !== undefined) return String.fromCodePoint(control)
    if (/[a-zA-Z0-9]/.test(char)) throw new SyntaxError(`bad escape \\${char}`)
    return char
  }

  #class(flags: Flags): string {
    const negated = this.#take('^')
    const start = this.#at
    let source = ''
    while (this.#peek() !== ']' || this.#at === start) {
      const low = this.#classMember(flags)
      if (this.#peek() !== '-' || this.#chars[this.#at + 1] === ']') {
        source += low.source
        continue
      }
      this.#at++
      const high = this.#classMember(flags)
      if (low.code > high.code || !Number.isFinite(high.code - low.code)) throw new SyntaxError('bad character range')
      source += `${low.source}-${high.source}`
    }
    this.#at++
    return `[${negated ? '^' : ''}${source}]`
  }

  /** One character, or a category such as `\d`, whose code is not a number. */
  #classMember(flags: Flags): { readonly source: string; readonly code: number } {
    let char = this.#next()
    if (char === '\\') {
      const escaped = this.#next()
      const category = categorySource(escaped, flags)
      if (category) return { source: category, code: NaN }
      char = escaped === 'b' ? '\b' : this.#escapedLiteral(escaped)
    }
    return { source: literalSource(char), code: char.codePointAt(0) as number }
  }

  #peek(): string {
    return this.#chars[this.#at] ?? ''
  }

  #next(): string {
    const char = this.#chars[this.#at++]
    if (char === undefined) throw new SyntaxError('unexpected end of pattern')
    return char
  }

  #take(text: string): boolean {
    if (
      !this.#chars
        .slice(this.#at, this.#at + text.length)
        .join('')
        .startsWith(text)
    )
      return false
    this.#at += text.length
    return true
  }

  #upTo(end: string): string {
    const close = this.#chars.indexOf(end, this.#at)
    if (close < 0) throw new SyntaxError(`missing ${end}`)
    const text = this.#chars.slice(this.#at, close).join('')
    this.#at = close + 1
    return text
  }
}

const atom = (source: string): Item => ({ source, kind: 'atom' })
const assertion = (source: string): Item => ({ source, kind: 'assertion' })

function octal(digits: string): string {
  const code = Number.parseInt(digits, 8)
  if (code > 0o377) throw new SyntaxError(`octal escape \\${digits} is too large`)
  return literalSource(String.fromCodePoint(code))
}

function withFlags(flags: Flags, letters: string, on: boolean): Flags {
  const changed: Record<string, boolean> = { ...flags }
  for (const letter of letters) {
    if (letter === 'u') changed['a'] = !on
    else if (letter in changed) changed[letter] = on
    else throw new SyntaxError(`unknown flag ${letter}`)
  }
  return { ...flags, ...changed }
}

function wordSource(flags: Flags): string {
  return flags.a ? '[a-zA-Z0-9_]' : '[\\p{L}\\p{N}_]'
}

function categorySource(letter: string, flags: Flags): string | undefined {
  const digit = flags.a ? '0-9' : '\\p{Nd}'
  const space = flags.a ? '\\t-\\r\\x20' : PYTHON_SPACE
  if (letter === 'd') return `[${digit}]`
  if (letter === 'D') return `[^${digit}]`
  if (letter === 's') return `[${space}]`
  if (letter === 'S') return `[^${space}]`
  if (letter === 'w') return wordSource(flags)
  if (letter === 'W') return wordSource(flags).replace('[', '[^')
  return undefined
}
