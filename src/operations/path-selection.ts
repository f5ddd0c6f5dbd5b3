import { CairnError } from '../base/errors.ts'
import { fromRawName } from '../base/raw-name.ts'
import { describeSystemError } from '../platform/files.ts'
import { readInputFile } from '../platform/input-file.ts'
import {
  PathPatterns,
  type PatternRule,
  parseExclude,
  parseExcludeFile,
  parsePattern,
  parsePatternFile,
  parseWantedPath,
} from '../sources/patterns.ts'

/** One of Borg's options that leave paths out; their order counts. */
export interface PatternOption {
  readonly kind: 'exclude' | 'exclude-from' | 'pattern' | 'patterns-from'
  /** A pattern, or the file that has them. */
  readonly value: string
}

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
  const rules = options.flatMap(rulesOf)
  const areStyled = paths.some((path) => STYLED.test(path))
  if (!areStyled && rules.length === 0) return { paths, patterns: undefined }
  return {
    paths: areStyled ? [] : paths,
    patterns: new PathPatterns(rules, areStyled ? paths.map((path) => parseWantedPath(path)) : []),
  }
}

function rulesOf({ kind, value }: PatternOption): readonly PatternRule[] {
  if (kind === 'exclude') return [parseExclude(value)]
  if (kind === 'exclude-from') return parseExcludeFile(readText(value), value)
  const { rules, roots } = kind === 'pattern' ? parsePattern(value) : parsePatternFile(readText(value), value)
  if (roots.length === 0) return rules
  throw new CairnError('INVALID_ARGUMENT', `Cannot use the pattern 'R ${roots[0]}': it names a path to back up`)
}

function readText(file: string): string {
  try {
    return fromRawName(readInputFile(file))
  } catch (error) {
    throw new CairnError('INVALID_ARGUMENT', `Cannot read patterns from ${file}: ${describeSystemError(error)}`, {
      cause: error,
    })
  }
}
