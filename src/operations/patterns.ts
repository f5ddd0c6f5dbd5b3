import { fromRawName } from '../base/raw-name.ts'
import { CairnError } from '../base/errors.ts'
import { describeSystemError } from '../platform/files.ts'
import { readInputFile } from '../platform/input-file.ts'
import {
  type PatternRule,
  parseExclude,
  parseExcludeFile,
  parsePattern,
  parsePatternFile,
} from '../sources/patterns.ts'

export type { PatternRule }

/** One of Borg's options for patterns, as given; the value of a `…-from` option is a file. */
export interface PatternOption {
  readonly kind: 'exclude' | 'exclude-from' | 'pattern' | 'patterns-from'
  readonly value: string
}

/**
 * The rules of these options, in their order, and further paths to back up that they name.
 *
 * @throws {CairnError} `INVALID_ARGUMENT` for a pattern that makes no sense or a file that cannot be read
 */
export function parsePatternOptions(options: readonly PatternOption[]): {
  readonly rules: readonly PatternRule[]
  readonly roots: readonly string[]
} {
  const rules: PatternRule[] = []
  const roots: string[] = []
  for (const { kind, value } of options) {
    if (kind === 'exclude') rules.push(parseExclude(value))
    else if (kind === 'exclude-from') rules.push(...parseExcludeFile(readText(value), value))
    else {
      const list = kind === 'pattern' ? parsePattern(value) : parsePatternFile(readText(value), value)
      rules.push(...list.rules)
      roots.push(...list.roots)
    }
  }
  return { rules, roots }
}

function readText(file: string): string {
  try {
    return fromRawName(readInputFile(file))
  } catch (error) {
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot read the patterns in ${file}: ${describeSystemError(error)}; check the path`,
      { cause: error },
    )
  }
}
