import { CairnError } from '../base/errors.ts'
import { PathPatterns, parseWantedPath } from '../sources/patterns.ts'
import { type PatternOption, parsePatternOptions } from './patterns.ts'

export type { PatternOption }

/** Which part of a snapshot is meant. */
export interface PathSelection {
  /** Paths; everything when empty. Raw-name text. */
  readonly paths: readonly string[]
  /** Decides by patterns; absent when there are none. */
  readonly patterns: PathPatterns | undefined
}

const STYLED = /^[\p{L}\p{N}]{2}:/u

/**
 * Reads the options that select paths of a snapshot. When one of `paths` is a pattern (`sh:**` …), all are: then those that match
 * nothing are found out at the end only.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for a pattern that makes no sense, or a file that cannot be read
 */
export function selectPaths(paths: readonly string[], options: readonly PatternOption[]): PathSelection {
  const { rules, roots } = parsePatternOptions(options)
  if (roots.length > 0)
    throw new CairnError('INVALID_ARGUMENT', `Cannot use the pattern 'R ${roots[0]}': it names a path to back up`)
  const areStyled = paths.some((path) => STYLED.test(path))
  if (!areStyled && rules.length === 0) return { paths, patterns: undefined }
  return {
    paths: areStyled ? [] : paths,
    patterns: new PathPatterns(rules, areStyled ? paths.map((path) => parseWantedPath(path)) : []),
  }
}
