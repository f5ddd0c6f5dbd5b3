/** What the repositories below `repo-v1/` hold: their makers and their readers agree on it here. Never change it. */

export const REPO_V1_PASSPHRASE = 'Käse am Fluß, 1. Auflage'

/** A file system entry as the fixtures hold it. Names are latin1 text of their raw bytes. */
export type FixtureEntry = { readonly path: string; readonly mode: number; readonly mtimeNs: bigint } & (
  | { readonly type: 'file'; readonly content: Buffer }
  | { readonly type: 'dir' }
  | { readonly type: 'symlink'; readonly target: string }
)

const S = 1_000_000_000n
const MTIME = 1_750_000_000n * S + 123_456_789n

/** 100 blocks of 4 KiB, all different: more than fit into a node without a list. */
function numberedLines(): Buffer {
  const lines = Array.from({ length: 25_600 }, (_, i) => `line ${String(i).padStart(10, '0')}`)
  return Buffer.from(`${lines.join('\n')}\n`)
}

/** Every repository has these in its first snapshot, `zstd`, in path order. */
export const REPO_V1_ENTRIES: readonly FixtureEntry[] = [
  { path: 'Gr\u00c3\u00bc\u00c3\u009fe', type: 'file', mode: 0o644, mtimeNs: MTIME, content: Buffer.from('UTF-8\n') },
  { path: 'before 1970', type: 'file', mode: 0o600, mtimeNs: -1_500_000_001n, content: Buffer.from('old\n') },
  { path: 'caf\u00e9', type: 'file', mode: 0o644, mtimeNs: MTIME, content: Buffer.from('Latin 1\n') },
  { path: 'deep', type: 'dir', mode: 0o755, mtimeNs: MTIME },
  { path: 'deep/deeper', type: 'dir', mode: 0o700, mtimeNs: MTIME },
  { path: 'deep/deeper/deepest', type: 'dir', mode: 0o1777, mtimeNs: MTIME },
  { path: 'deep/deeper/deepest/note', type: 'file', mode: 0o400, mtimeNs: MTIME, content: Buffer.from('found\n') },
  { path: 'empty', type: 'file', mode: 0o644, mtimeNs: MTIME, content: Buffer.alloc(0) },
  { path: 'empty folder', type: 'dir', mode: 0o755, mtimeNs: MTIME },
  { path: 'large', type: 'file', mode: 0o644, mtimeNs: MTIME, content: numberedLines() },
  { path: 'link', type: 'symlink', mode: 0o777, mtimeNs: MTIME, target: 'deep/no\u00ebl' },
  { path: 'links', type: 'dir', mode: 0o755, mtimeNs: MTIME },
  ...Array.from({ length: 900 }, (_, i): FixtureEntry => {
    const number = String(i).padStart(4, '0')
    return { path: `links/entry of a long folder ${number}`, type: 'symlink', mode: 0o777, mtimeNs: MTIME, target: `../target ${number}` }
  }),
  { path: 'setuid', type: 'file', mode: 0o4755, mtimeNs: MTIME + 1n, content: Buffer.from('#!/bin/sh\n') },
  { path: 'zeros', type: 'file', mode: 0o644, mtimeNs: MTIME, content: Buffer.alloc(50_000) },
]

/** The snapshots in the order in which they were made; each has one file more than the one before, in its own compression. */
export const REPO_V1_SNAPSHOTS = ['zstd', 'none', 'lz4', 'zlib', 'lzma'] as const

/** What a snapshot adds to the first one's entries: `added by <name>`. */
export function addedBy(name: string): FixtureEntry {
  const content = Buffer.from(`compressed by ${name}\n`.repeat(300))
  return { path: `added by ${name}`, type: 'file', mode: 0o644, mtimeNs: MTIME, content }
}

/** All entries of one of the snapshots. */
export function entriesOf(name: string): FixtureEntry[] {
  const added = REPO_V1_SNAPSHOTS.slice(1, REPO_V1_SNAPSHOTS.findIndex((other) => other === name) + 1)
  return [...REPO_V1_ENTRIES, ...added.map(addedBy)]
}
