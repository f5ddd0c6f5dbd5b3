import { CairnError } from '../base/errors.ts'
import { toPrintable } from '../base/raw-name.ts'
import { globSource, normalizePath } from './patterns/glob.ts'
import { translatePythonRegex } from './patterns/python-regex.ts'
import { strip, stripStart, toPythonText } from './patterns/python-text.ts'
import { type MatcherKind, RuleSet } from './patterns/rule-set.ts'

/**
 * What to leave out of a backup, and which paths of a snapshot to take, in the language of Borg 1.2 (`borg help patterns`).
 * Options and files are parsed to rules, which are plain data; `PathPatterns` decides by them.
 */

const STYLES = ['fm', 'sh', 're', 'pp', 'pf'] as const
type Style = (typeof STYLES)[number]

/** `exclude` leaves a folder out and still looks into it for what is included; `exclude-all` does not even look. */
export type PatternAction = 'include' | 'exclude' | 'exclude-all'

/** One pattern and what happens to the paths it matches. Plain data: it may be stored, compared and sent to a worker. */
export interface PatternRule {
  readonly action: PatternAction
  /** What `matcher` is: a whole path, a path that stands for all below it too, or the source of a regular expression. */
  readonly kind: MatcherKind
  readonly matcher: string
  /** The pattern as the user wrote it. */
  readonly text: string
}

/** What `--pattern` options and pattern files say. */
export interface PatternList {
  readonly rules: readonly PatternRule[]
  /** Further paths to back up (`R path`), as written. */
  readonly roots: readonly string[]
}

export interface PatternDecision {
  readonly included: boolean
  /** Whether to look into it when it is a directory: below an excluded one there may be included paths. */
  readonly recurse: boolean
}

/**
 * The rule of an `--exclude` option: an `fm:` pattern unless it names another style.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for an unknown style or a pattern that is not valid in its style
 */
export function parseExclude(text: string): PatternRule {
  return explained(`--exclude '${text}'`, () => parseRule(text, 'fm', 'exclude-all'))
}

/**
 * The rule of a path of a snapshot named by the user, as for `extract`: a `pp:` pattern unless it names another style.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` as `parseExclude`
 */
export function parseWantedPath(text: string): PatternRule {
  return explained(`the path '${text}'`, () => parseRule(text, 'pp', 'include'))
}

/**
 * What a `--pattern` option says: `+`, `-` or `!` and a pattern (`sh:` unless it names another style), or `R` and a path.
 * `P` and a style is accepted without effect, since every option starts anew.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for text without a command or value; and as `parseExclude`
 */
export function parsePattern(text: string): PatternList {
  const list = new ListBuilder()
  explained(`--pattern '${text}'`, () => list.add(text))
  return list
}

/**
 * The rules of an `--exclude-from` file, one pattern a line. Lines that are empty or start with `#` after removing white
 * space on both ends are skipped. `content` is raw-name text, so names that are not UTF-8 can be written as they are.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` with file, line number and line; as `parseExclude`
 */
export function parseExcludeFile(content: string, file: string): PatternRule[] {
  return linesOf(content).map(({ line, number }) =>
    explained(`line ${number} of ${file}, '${line}'`, () => parseRule(line, 'fm', 'exclude-all')),
  )
}

/**
 * What a `--patterns-from` file says: lines as of `parsePattern`, where `P style` sets the style of the lines after it.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` with file, line number and line; as `parsePattern`
 */
export function parsePatternFile(content: string, file: string): PatternList {
  const list = new ListBuilder()
  for (const { line, number } of linesOf(content))
    explained(`line ${number} of ${file}, '${line}'`, () => list.add(line))
  return list
}

const DECISIONS: Record<PatternAction, PatternDecision> = {
  include: { included: true, recurse: true },
  exclude: { included: false, recurse: true },
  'exclude-all': { included: false, recurse: false },
}

/**
 * Decides path by path, as Borg does: `pf:` rules first, whatever their place and the last one if there are several; then
 * the first rule that matches; a path that none matches is included. Borg applies rules in the order of its command line.
 *
 * About 0.3 µs a path for a dozen rules. `fm:` and `sh:` patterns take time that grows with the length of the path, however
 * many stars they have, but for a `*` before a class such as `[!a]` that can match `/`, and a `**` + `/` glued to a name
 * (`a**` + `/b`), both in `sh:`: each of those multiplies it by that length again. `re:` patterns can take forever, as in Borg.
 */
export class PathPatterns {
  readonly #paths = new Map<string, PatternDecision>()
  readonly #groups: { readonly decision: PatternDecision; readonly set: RuleSet }[] = []
  readonly #default: PatternDecision
  readonly #unmatched = new Map<PatternRule, RuleSet>()
  readonly #unmatchedPrefixes = new Map<string, PatternRule>()

  /** `wanted`, when not empty, are the only paths included, unless a rule before them says otherwise. */
  constructor(rules: readonly PatternRule[], wanted: readonly PatternRule[] = []) {
    const all = [...rules, ...wanted]
    for (const rule of all) if (rule.kind === 'path') this.#paths.set(rule.matcher, DECISIONS[rule.action])
    const ordered = all.filter((rule) => rule.kind !== 'path')
    for (let i = 0, end = 0; i < ordered.length; i = end) {
      const { action } = ordered[i] as PatternRule
      while (ordered[end]?.action === action) end++
      this.#groups.push({ decision: DECISIONS[action], set: new RuleSet(ordered.slice(i, end)) })
    }
    this.#default = wanted.length > 0 ? DECISIONS.exclude : DECISIONS.include
    for (const rule of wanted) {
      if (rule.kind === 'prefix') this.#unmatchedPrefixes.set(rule.matcher, rule)
      else this.#unmatched.set(rule, new RuleSet([rule]))
    }
  }

  /** `path` is a path as in the snapshot: raw-name text, without a slash at either end, `''` for the root. */
  decide(path: string): PatternDecision {
    const text = toPythonText(path)
    const decision = this.#decide(text)
    if (decision.included && this.#unmatched.size + this.#unmatchedPrefixes.size > 0) this.#forgetMatched(text)
    return decision
  }

  /**
   * Those of `wanted`, as written, that no included path has matched so far. Borg also names one that matched only
   * what an earlier one matched as well (`dir dir/file`), and every `pf:`.
   */
  unmatched(): string[] {
    return [...this.#unmatchedPrefixes.values(), ...this.#unmatched.keys()].map((rule) => rule.text)
  }

  #decide(text: string): PatternDecision {
    const exact = this.#paths.size > 0 ? this.#paths.get(text) : undefined
    if (exact) return exact
    const slashed = `${text}/`
    for (const { decision, set } of this.#groups) if (set.matches(text, slashed)) return decision
    return this.#default
  }

  #forgetMatched(text: string): void {
    if (this.#unmatchedPrefixes.size > 0) {
      for (let i = text.length; i > 0; i = text.lastIndexOf('/', i - 1))
        this.#unmatchedPrefixes.delete(text.slice(0, i))
      this.#unmatchedPrefixes.delete('')
    }
    for (const [rule, set] of this.#unmatched) if (set.matches(text, `${text}/`)) this.#unmatched.delete(rule)
  }
}

class ListBuilder implements PatternList {
  readonly rules: PatternRule[] = []
  readonly roots: string[] = []
  #style: Style = 'sh'

  add(line: string): void {
    const value = stripStart(line.slice(1))
    const command = line.charAt(0)
    const action = ({ '+': 'include', '-': 'exclude', '!': 'exclude-all' } as const)[command]
    if (!action && !/[RrPp]/.test(command)) throw new SyntaxError("it has to start with one of '+', '-', '!', 'R', 'P'")
    if (value === '') throw new SyntaxError(`nothing follows '${command}'`)
    if (action) this.rules.push(parseRule(value, this.#style, action))
    else if (/[Rr]/.test(command)) this.roots.push(value)
    else this.#style = toStyle(value)
  }
}

function parseRule(text: string, defaultStyle: Style, action: PatternAction): PatternRule {
  const [prefix = '', named] = /^([\p{L}\p{N}]{2}):/u.exec(text) ?? []
  const style = named === undefined ? defaultStyle : toStyle(named)
  const pattern = toPythonText(text.slice(prefix.length))
  const plain = normalizePath(pattern).replace(/^\/+/, '')

  if (style === 'pf') return { action, kind: 'path', matcher: plain, text }
  if (style === 'pp') return { action, kind: 'prefix', matcher: plain, text }
  if (style === 're') {
    const { source, ignoreCase } = translatePythonRegex(pattern)
    return { action, kind: ignoreCase ? 'regex-i' : 'regex', matcher: checked(source, 'v'), text }
  }
  if (!/[*?[]|\/$/.test(pattern)) return { action, kind: 'prefix', matcher: plain, text }
  return { action, kind: 'glob', matcher: checked(globSource(pattern, style), 'sv'), text }
}

function toStyle(name: string): Style {
  const style = STYLES.find((known) => known === name)
  if (!style) throw new SyntaxError(`unknown pattern style '${name}'; known are ${STYLES.join(' ')}`)
  return style
}

function checked(source: string, flags: string): string {
  void new RegExp(source, flags)
  return source
}

/** The lines of a pattern file as Python reads them; a byte order mark, which Borg trips over, is dropped. */
function linesOf(content: string): { readonly line: string; readonly number: number }[] {
  return content
    .replace(/^\ufeff/, '')
    .split(/\r\n|\r|\n/)
    .map((line, i) => ({ line: strip(line), number: i + 1 }))
    .filter(({ line }) => line !== '' && !line.startsWith('#'))
}

function explained<T>(what: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new CairnError('INVALID_ARGUMENT', toPrintable(`Cannot use ${what}: ${error.message}`), { cause: error })
  }
}
