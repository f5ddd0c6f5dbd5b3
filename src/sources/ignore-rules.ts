import { toRawName } from '../base/raw-name.ts'
import { wildmatchSource } from './patterns/wildmatch.ts'

/**
 * git's ignore rules (`git help gitignore`, with `core.ignoreCase` off), for files such as `.gitignore` that are found in the
 * directories of a walk, and for files of the same syntax that say what to store and not what to leave out. Immutable: a
 * directory has the rules of the one above it, and `below` adds those of its own file.
 *
 * Not the npm package `ignore`: it compares UTF-16 units where git compares bytes, so names that are not UTF-8 and `?` next to
 * an `é` come out differently, and it knows no named classes (`[[:digit:]]`). Time for a path grows with its length only,
 * however many stars a pattern has.
 */
export class IgnoreRules {
  /** No rules at all: nothing is ignored. */
  static readonly none = new IgnoreRules('', [], undefined)

  readonly #base: string
  readonly #runs: readonly Run[]
  readonly #outer: IgnoreRules | undefined

  private constructor(base: string, runs: readonly Run[], outer: IgnoreRules | undefined) {
    this.#base = base
    this.#runs = runs
    this.#outer = outer
  }

  /**
   * These rules and, before them, those of a file found in a directory (`''` for the root of the walk). `fileText` is raw-name
   * text. A file without rules gives back the same object, so `=== IgnoreRules.none` tells that there are none.
   */
  below(directoryPath: string, fileText: string): IgnoreRules {
    const runs = parseRuns(toByteText(fileText))
    const base = directoryPath === '' ? '' : `${toByteText(directoryPath)}/`
    return runs.length === 0 ? this : new IgnoreRules(base, runs, this)
  }

  /**
   * Whether a path of the walk is ignored, provided that no directory above it is: as in git, nothing below an ignored
   * directory can be taken back, so the walk does not look there.
   */
  isIgnored(path: string, isDirectory: boolean): boolean {
    return this.#verdict(path, isDirectory) === true
  }

  /**
   * Whether a path is stored when the rules say what to store: the path itself decides or, where no rule is about it, the
   * nearest directory above it that a rule is about. So `src/` takes all of `src`, and `!src/tmp` leaves that part of it out.
   * A path that no rule is about is not stored; it may be a directory with something below it that is.
   */
  isIncluded(path: string, isDirectory: boolean): boolean {
    const verdict = this.#verdict(path, isDirectory)
    const above = path.lastIndexOf('/')
    if (verdict !== undefined || above < 0) return verdict === true
    return this.isIncluded(path.slice(0, above), true)
  }

  #verdict(path: string, isDirectory: boolean): boolean | undefined {
    const text = toByteText(path)
    return this.#lookUp(text, text.slice(text.lastIndexOf('/') + 1), isDirectory)
  }

  /** Whether the last rule about a path, of the deepest file that has one, says yes or, by `!`, no. */
  #lookUp(text: string, name: string, isDirectory: boolean): boolean | undefined {
    if (text.startsWith(this.#base)) {
      const relative = text.slice(this.#base.length)
      for (const run of this.#runs) if (matches(run, relative, name, isDirectory)) return !run.negated
    }
    return this.#outer === undefined ? undefined : this.#outer.#lookUp(text, name, isDirectory)
  }
}

/** Neighbouring lines that all ignore or all take back, so that their order does not matter. */
interface Run {
  readonly negated: boolean
  readonly any: Matchers
  /** Patterns that end in a slash. */
  readonly directories: Matchers
}

interface Matchers {
  /** For the last part of a path: patterns without a slash. */
  readonly names: RegExp | undefined
  /** For the path relative to where the file is. */
  readonly paths: RegExp | undefined
}

interface Line {
  readonly negated: boolean
  readonly directoriesOnly: boolean
  readonly namesOnly: boolean
  readonly source: string
}

function matches(run: Run, path: string, name: string, isDirectory: boolean): boolean {
  if (run.any.names?.test(name) || run.any.paths?.test(path)) return true
  return isDirectory && Boolean(run.directories.names?.test(name) || run.directories.paths?.test(path))
}

/** The runs of a file, the last one first. */
function parseRuns(text: string): Run[] {
  const lines = text
    .replace(/^\xef\xbb\xbf/, '')
    .split('\n')
    .flatMap((line) => parseLine(line) ?? [])
  const runs: Run[] = []
  for (let i = lines.length, start = i; i > 0; i = start) {
    const negated = lines[i - 1]?.negated === true
    while (start > 0 && lines[start - 1]?.negated === negated) start--
    const run = lines.slice(start, i)
    runs.push({ negated, any: combine(run, false), directories: combine(run, true) })
  }
  return runs
}

function combine(lines: readonly Line[], directoriesOnly: boolean): Matchers {
  const regexp = (namesOnly: boolean): RegExp | undefined => {
    const wanted = lines.filter((line) => line.directoriesOnly === directoriesOnly && line.namesOnly === namesOnly)
    return wanted.length === 0 ? undefined : new RegExp(`^(?:${wanted.map((line) => line.source).join('|')})$`, 's')
  }
  return { names: regexp(true), paths: regexp(false) }
}

/** As `add_patterns_from_buffer` and `parse_path_pattern` of git's dir.c. */
function parseLine(line: string): Line | undefined {
  if (line.startsWith('#')) return undefined
  const text = withoutTrailingSpaces(line.replace(/\r$/, '').replace(/\0.*$/s, ''))
  const negated = text.startsWith('!')
  const directoriesOnly = text.length > (negated ? 1 : 0) && text.endsWith('/')
  const pattern = text.slice(negated ? 1 : 0, directoriesOnly ? -1 : undefined)
  const namesOnly = !pattern.includes('/')
  const anchored = pattern.replace(/^\//, '')
  const source = anchored === '' ? undefined : wildmatchSource(anchored, namesOnly ? 0 : anchored.search(/[*?[\\]/))
  return source === undefined ? undefined : { negated, directoriesOnly, namesOnly, source }
}

/** A space after a backslash stays; an even number of backslashes are themselves. */
function withoutTrailingSpaces(line: string): string {
  let end = line.length
  while (end > 0 && line[end - 1] === ' ') end--
  let slashes = 0
  while (slashes < end && line[end - 1 - slashes] === '\\') slashes++
  return line.slice(0, slashes % 2 === 1 ? end + 1 : end)
}

/** Each byte as the character of that code, which for ASCII is the same text. */
function toByteText(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return /^[\0-\x7f]*$/.test(text) ? text : toRawName(text).toString('latin1')
}
