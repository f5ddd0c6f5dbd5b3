/**
 * What the arguments of a command that are not options mean. Borg users write `REPO::NAME` first, restic users `-r REPO`
 * (or a variable) and then names or paths; both work everywhere:
 *
 * - A first argument with `::` is `REPO::NAME`; either part may be empty (`::NAME` takes the repository from `-r`, the
 *   environment or the default).
 * - Without `::`, a command for paths takes paths. One for snapshots takes a snapshot, and one for either a repository or a
 *   snapshot takes a snapshot if the repository is named by `-r` or the environment. Names of snapshots have no `/`, so a first
 *   argument with one is no snapshot but a path or a repository, and `latest` is always a snapshot.
 * - A command that mounts on a folder takes that folder, alone or after a repository or snapshot; with the repository named
 *   elsewhere, a first argument without `/` is a snapshot if others follow.
 * - A path that contains `::` is written after `--`, or, when the repository is named elsewhere, as `./a::b`.
 */
export interface Meaning {
  readonly repository: string | undefined
  readonly snapshot: string | undefined
  readonly rest: readonly string[]
}

export interface PositionalOptions {
  /** `folder`: a folder follows in any case. */
  readonly wants: 'location' | 'repository' | 'snapshot' | 'paths' | 'folder'
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
  if (separatorOf(first) >= 0 && !literal && !isPath) return { ...splitLocation(first), rest }

  if (options.wants === 'paths') return { repository: undefined, snapshot: undefined, rest: values }
  if (options.wants === 'folder') return beforeFolder(values, options)
  const maybeSnapshot = !first.includes('/')
  if (options.wants === 'snapshot' && !maybeSnapshot)
    return { repository: undefined, snapshot: undefined, rest: values }
  // No snapshot can be called so, and a folder of that name is './latest'.
  const isLatest = first === 'latest' && options.wants === 'repository'
  const isSnapshot = maybeSnapshot && (options.wants === 'snapshot' || options.repositoryKnown || isLatest)
  if (isSnapshot && options.wants !== 'location') return { repository: undefined, snapshot: first, rest }
  const [snapshot, ...paths] = rest
  return { repository: first, snapshot, rest: paths }
}

/** Arguments of which the first may be a repository or a snapshot, when another one follows, and the next is a folder. */
function beforeFolder(values: readonly string[], { repositoryKnown }: PositionalOptions): Meaning {
  const [first = '', ...rest] = values
  const isSnapshot = repositoryKnown ? !first.includes('/') : first === 'latest'
  if (rest.length === 0 || (repositoryKnown && !isSnapshot))
    return { repository: undefined, snapshot: undefined, rest: values }
  return isSnapshot
    ? { repository: undefined, snapshot: first, rest }
    : { repository: first, snapshot: undefined, rest }
}

/** Where the `::` of `REPO::NAME` is: the first one outside of an IPv6 address in brackets; -1 when there is none. */
function separatorOf(text: string): number {
  return text.replaceAll(/\[[0-9a-f:.]+\]/gi, (address) => '_'.repeat(address.length)).indexOf('::')
}

/** Splits Borg's `REPO::NAME`; either part may be empty, which leaves it to other options. */
export function splitLocation(text: string): Pick<Meaning, 'repository' | 'snapshot'> {
  const at = separatorOf(text)
  if (at < 0) return { repository: text, snapshot: undefined }
  return { repository: text.slice(0, at) || undefined, snapshot: text.slice(at + 2) || undefined }
}

/** A path inside a snapshot as snapshots know it: no leading `/` or `./`, no trailing `/`; `''` is the root. */
export function snapshotPath(text: string): string {
  return text
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')
}

/** Paths inside a snapshot as `snapshotPaths` gives them; when one is a pattern with its style in front, all stay as they are. */
export function pathsInSnapshot(texts: readonly string[]): string[] {
  return texts.some((text) => /^[\p{L}\p{N}]{2}:/u.test(text)) ? [...texts] : snapshotPaths(texts)
}

/** Paths inside a snapshot; none when one of them is the root, which means everything. */
export function snapshotPaths(texts: readonly string[]): string[] {
  const paths = texts.map(snapshotPath)
  return paths.includes('') ? [] : paths
}
