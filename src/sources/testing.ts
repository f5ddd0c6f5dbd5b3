import type { Arrival, Arrivals } from './arrivals.ts'
import type { Source, SourceEntry, SourceIssue } from './source.ts'

/** What a walk gave. */
export interface Walked {
  readonly entries: SourceEntry[]
  readonly paths: string[]
  readonly issues: SourceIssue[]
  readonly excluded: string[]
}

/** Walks a source to its end. */
export async function walkSource(source: Source): Promise<Walked> {
  const entries: SourceEntry[] = []
  const issues: SourceIssue[] = []
  const excluded: string[] = []
  await using walk = source.walk({ issue: (issue) => issues.push(issue), excluded: (path) => excluded.push(path) })
  for await (const batch of walk) entries.push(...batch)
  return { entries, paths: entries.map(({ path }) => path), issues, excluded }
}

/** An entry of a made-up source, as a folder would give it; `path` decides name and depth. */
export function sourceEntry(path: string, fields: Partial<SourceEntry> = {}): SourceEntry {
  const parts = path.split('/')
  return {
    path,
    name: parts.at(-1) ?? '',
    depth: parts.length,
    type: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    user: '',
    group: '',
    sizeBytes: 0,
    mtimeNs: 1n,
    ctimeNs: 1n,
    inode: 1n,
    atimeNs: undefined,
    linkTarget: undefined,
    link: undefined,
    device: undefined,
    xattrs: undefined,
    flags: 0,
    sparse: false,
    fileSystemKind: 'local',
    systemPath: `/nowhere/${path}`,
    ancestor: false,
    ...fields,
  }
}

/** A source of these entries, in batches of `batchSize`. */
export function sourceOf(entries: Iterable<SourceEntry>, batchSize = 512): Source {
  return {
    paths: ['/made-up'],
    walk: () => ({ ...walkOf(entries, batchSize), [Symbol.asyncDispose]: async () => undefined }),
  }
}

function walkOf(entries: Iterable<SourceEntry>, batchSize: number): AsyncIterable<SourceEntry[]> {
  return {
    async *[Symbol.asyncIterator]() {
      let batch: SourceEntry[] = []
      for (const entry of entries) {
        batch.push(entry)
        if (batch.length < batchSize) continue
        yield batch
        batch = []
      }
      if (batch.length > 0) yield batch
    },
  }
}

/** A source of arrivals. */
export function arrivalsOf(arrivals: Iterable<Arrival>): Arrivals {
  return {
    async *[Symbol.asyncIterator]() {
      yield* arrivals
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
}
