import { errnoOf } from '../../base/errors.ts'
import { fromRawName, sortRawNames } from '../../base/raw-name.ts'
import { FILE_FLAGS } from '../../platform/file-flags.ts'
import { closeFile, openForReading, readFully, statOpenFile } from '../../platform/files.ts'
import { IgnoreRules } from '../ignore-rules.ts'
import { PathPatterns, type PatternDecision, type PatternRule } from '../patterns.ts'

/** What a walk leaves out. Plain data: it is sent to the threads that walk. */
export interface SelectionOptions {
  readonly patterns: readonly PatternRule[]
  /** Names of files with git's ignore rules, such as `.gitignore`, which count from the directory they lie in. */
  readonly ignoreFiles: readonly string[]
  /** Names of files, in the same language, that list what is wanted of the directory they lie in, and nothing else is. */
  readonly includeFiles: readonly string[]
  /** Leave out directories with a `CACHEDIR.TAG` (bford.info/cachedir). */
  readonly excludeCaches: boolean
  /** Leave out directories in which a file of one of these names lies. */
  readonly excludeIfPresent: readonly string[]
  /** Of directories left out so, keep the directory itself and the file that says so. */
  readonly keepExcludeTags: boolean
  /** Leave out larger files. */
  readonly excludeLargerThanBytes: number | undefined
  /** Leave out what has the flag `d` of chattr(1). */
  readonly excludeNodump: boolean
  /** Keep directories on which other file systems are mounted, and not what is in them. */
  readonly oneFileSystem: boolean
  /** Tell what is left out. */
  readonly listExcluded: boolean
}

export const NOTHING_EXCLUDED: SelectionOptions = {
  patterns: [],
  ignoreFiles: [],
  includeFiles: [],
  excludeCaches: false,
  excludeIfPresent: [],
  keepExcludeTags: false,
  excludeLargerThanBytes: undefined,
  excludeNodump: false,
  oneFileSystem: false,
  listExcluded: false,
}

/** The rules of files found on the way to a directory. Plain data, for a walk may go on in another thread. */
export interface FolderRules {
  readonly ignore: readonly RuleText[]
  readonly include: readonly RuleText[]
}

interface RuleText {
  /** Where the file lies: a path inside the snapshot. */
  readonly folder: string
  readonly text: string
}

const NO_RULES: FolderRules = { ignore: [], include: [] }
const INCLUDED: PatternDecision = { included: true, recurse: true }

const CACHE_TAG = 'CACHEDIR.TAG'
const CACHE_SIGNATURE = 'Signature: 8a477f597d28d172789f06886806bc55'
/** Nobody writes more rules than this; a larger file is something else. */
const MAX_RULE_FILE_BYTES = 8 << 20

/** Decides what a walk takes. One per thread. */
export class Selection {
  readonly #options: SelectionOptions
  readonly #patterns: PathPatterns | undefined
  readonly #compiled = new WeakMap<readonly RuleText[], IgnoreRules>()

  constructor(options: SelectionOptions) {
    this.#options = options
    this.#patterns = options.patterns.length > 0 ? new PathPatterns(options.patterns) : undefined
  }

  get oneFileSystem(): boolean {
    return this.#options.oneFileSystem
  }

  get listExcluded(): boolean {
    return this.#options.listExcluded
  }

  /** Rules at the start of a walk. */
  get noRules(): FolderRules {
    return NO_RULES
  }

  /** By path alone, before it is looked at. */
  decide(path: string): PatternDecision {
    return this.#patterns ? this.#patterns.decide(path) : INCLUDED
  }

  /** By what it is. `below`: only as the way to what is wanted below. */
  decideFound(
    rules: FolderRules,
    path: string,
    {
      isDirectory,
      sizeBytes,
      flags,
    }: { readonly isDirectory: boolean; readonly sizeBytes: number; readonly flags: number },
  ): 'all' | 'below' | 'none' {
    const { excludeLargerThanBytes, excludeNodump } = this.#options
    if (!isDirectory && excludeLargerThanBytes !== undefined && sizeBytes > excludeLargerThanBytes) return 'none'
    if (excludeNodump && flags & FILE_FLAGS.NODUMP) return 'none'
    if (rules.ignore.length > 0 && this.#rulesOf(rules.ignore).isIgnored(path, isDirectory)) return 'none'
    if (rules.include.length === 0 || this.#rulesOf(rules.include).isIncluded(path, isDirectory)) return 'all'
    return isDirectory ? 'below' : 'none'
  }

  /**
   * Looks at the names in a directory for what changes the rules. `tagged` when a file in it says that it is to be left out, but
   * for the names in `keep`.
   *
   * @param handle a path to the directory
   */
  enter(
    rules: FolderRules,
    path: string,
    names: readonly string[],
    handle: string,
  ): { readonly rules: FolderRules; readonly tagged: { readonly keep: readonly string[] } | undefined } {
    const { ignoreFiles, includeFiles, excludeCaches, excludeIfPresent, keepExcludeTags } = this.#options
    const tags = excludeIfPresent.filter((name) => names.includes(name))
    if (excludeCaches && names.includes(CACHE_TAG) && isCacheTag(`${handle}/${CACHE_TAG}`)) tags.push(CACHE_TAG)
    if (tags.length > 0) return { rules, tagged: { keep: keepExcludeTags ? sortRawNames([...new Set(tags)]) : [] } }
    const found = (wanted: readonly string[]): RuleText[] =>
      wanted
        .filter((name) => names.includes(name))
        .map((name) => ({ folder: path, text: readStart(`${handle}/${name}`, MAX_RULE_FILE_BYTES) }))
        .filter((rule): rule is RuleText => rule.text !== undefined)
    const ignore = found(ignoreFiles)
    const include = found(includeFiles)
    if (ignore.length + include.length === 0) return { rules, tagged: undefined }
    return {
      rules: {
        ignore: ignore.length > 0 ? [...rules.ignore, ...ignore] : rules.ignore,
        include: include.length > 0 ? [...rules.include, ...include] : rules.include,
      },
      tagged: undefined,
    }
  }

  #rulesOf(texts: readonly RuleText[]): IgnoreRules {
    const known = this.#compiled.get(texts)
    if (known) return known
    const rules = texts.reduce((above, { folder, text }) => above.below(folder, text), IgnoreRules.none)
    this.#compiled.set(texts, rules)
    return rules
  }
}

function isCacheTag(path: string): boolean {
  return readStart(path, CACHE_SIGNATURE.length) === CACHE_SIGNATURE
}

/** The beginning of a regular file as raw-name text; `undefined` when there is none or it cannot be read. */
function readStart(path: string, maxBytes: number): string | undefined {
  try {
    const fd = openForReading(path)
    try {
      const stat = statOpenFile(fd)
      if (stat.type !== 'file') return undefined
      const bytes = Buffer.alloc(Math.min(stat.sizeBytes, maxBytes))
      return fromRawName(bytes.subarray(0, readFully(fd, bytes, 0, bytes.length, 0)))
    } finally {
      closeFile(fd)
    }
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return undefined // it will be reported when it is its turn to be backed up
  }
}
