import { parseLocation } from '../operations/location.ts'

/**
 * What the arguments of a command that are not options mean. Borg users write `REPO::NAME` first, restic users `-r REPO`
 * (or a variable) and then names or paths; both work everywhere:
 *
 * - A first argument with `::` is `REPO::NAME`; either part may be empty (`::NAME` takes the repository from `-r`, the
 *   environment or the default).
 * - Without `::`, a command for paths takes paths and one for snapshots a snapshot. One for either a repository or a snapshot
 *   takes a snapshot if the repository is named by `-r` or the environment and a `/` does not rule that out, else a repository.
 * - A path that contains `::` is written after `--`, or, when the repository is named elsewhere, as `./a::b`.
 */
export interface Meaning {
  readonly repository: string | undefined
  readonly snapshot: string | undefined
  readonly rest: readonly string[]
}

export interface PositionalOptions {
  readonly wants: 'location' | 'repository' | 'snapshot' | 'paths'
  /** How many of the arguments, from the end, came after `--`. */
  readonly literals: number
  /** `-r` or the environment names a repository. */
  readonly repositoryKnown: boolean
}

export function interpretPositionals(values: readonly string[], options: PositionalOptions): Meaning {
  const [first, ...rest] = values
  if (first === undefined) return { repository: undefined, snapshot: undefined, rest }

  const literal = options.literals >= values.length
  const isPath = options.wants === 'paths' && options.repositoryKnown && /^\.{1,2}\//.test(first)
  if (first.includes('::') && !literal && !isPath) return { ...parseLocation(first), rest }

  if (options.wants === 'paths') return { repository: undefined, snapshot: undefined, rest: values }
  const isSnapshot =
    options.wants === 'snapshot' || (options.wants === 'repository' && options.repositoryKnown && !first.includes('/'))
  if (isSnapshot) return { repository: undefined, snapshot: first, rest }
  const [snapshot, ...paths] = rest
  return { repository: first, snapshot, rest: paths }
}

/** A path inside a snapshot as snapshots know it: no leading `/` or `./`, no trailing `/`; `''` is the root. */
export function snapshotPath(text: string): string {
  return text
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')
}

/** Paths inside a snapshot; none when one of them is the root, which means everything. */
export function snapshotPaths(texts: readonly string[]): string[] {
  const paths = texts.map(snapshotPath)
  return paths.includes('') ? [] : paths
}
