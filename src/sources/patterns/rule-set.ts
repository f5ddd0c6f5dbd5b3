import { ANY, DEEP } from './glob.ts'

/** `regex-i` ignores case. */
export type MatcherKind = 'path' | 'prefix' | 'glob' | 'regex' | 'regex-i'

/** The part of a `PatternRule` that says what it matches. */
export interface Matcher {
  readonly kind: MatcherKind
  readonly matcher: string
}

/** Patterns in one regular expression; V8 no longer optimizes one whose source is over 20 KB. */
const PATTERNS_PER_REGEXP = 100

/** Matchers whose order does not matter, as all have the same consequence; as few comparisons as possible. */
export class RuleSet {
  readonly #paths: ReadonlySet<string>
  readonly #prefixes: ReadonlySet<string>
  readonly #shortest: number
  readonly #longest: number
  readonly #globs: readonly RegExp[]
  readonly #regexes: readonly RegExp[]

  constructor(matchers: readonly Matcher[]) {
    const ofKind = (kind: MatcherKind): string[] => matchers.filter((m) => m.kind === kind).map((m) => m.matcher)
    this.#paths = new Set(ofKind('path'))
    this.#prefixes = new Set(ofKind('prefix'))
    const lengths = [...this.#prefixes].map((prefix) => prefix.length)
    this.#shortest = lengths.reduce((least, length) => Math.min(least, length), Infinity)
    this.#longest = lengths.reduce((most, length) => Math.max(most, length), -1)
    this.#globs = combine(ofKind('glob'))
    this.#regexes = [
      ...ofKind('regex').map((source) => new RegExp(source, 'v')),
      ...ofKind('regex-i').map((source) => new RegExp(source, 'iv')),
    ]
  }

  /** `slashed` is the path with a `/` appended. */
  matches(path: string, slashed: string): boolean {
    if (this.#longest >= 0 && this.#hasPrefixOf(path, slashed)) return true
    for (const glob of this.#globs) if (glob.test(slashed)) return true
    for (const regex of this.#regexes) if (regex.test(path)) return true
    return this.#paths.size > 0 && this.#paths.has(path)
  }

  #hasPrefixOf(path: string, slashed: string): boolean {
    if (this.#shortest === 0) return this.#prefixes.size > 0
    for (let i = slashed.indexOf('/', this.#shortest); i >= 0 && i <= this.#longest; i = slashed.indexOf('/', i + 1))
      if (this.#prefixes.has(path.slice(0, i))) return true
    return false
  }
}

/** One pass over the path serves all patterns that begin with the same kind of star. */
function combine(sources: readonly string[]): RegExp[] {
  const regexps: RegExp[] = []
  for (let i = 0; i < sources.length; i += PATTERNS_PER_REGEXP) {
    const byStart = Object.entries(
      Object.groupBy(
        sources.slice(i, i + PATTERNS_PER_REGEXP),
        (source) => [ANY, DEEP].find((start) => source.startsWith(start)) ?? '',
      ),
    )
    const branches = byStart.map(
      ([start, group = []]) => `${start}(?:${group.map((s) => s.slice(start.length)).join('|')})`,
    )
    regexps.push(new RegExp(`^(?:${branches.join('|')})`, 'sv'))
  }
  return regexps
}
