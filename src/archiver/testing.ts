import { spawnSync } from 'node:child_process'
import { toHex } from '../base/ids.ts'
import { parseChunkerParams } from '../chunker/params.ts'
import { parseCompression } from '../codec/compression.ts'
import { createRepository } from '../repository/create-repository.ts'
import type { Repository } from '../repository/repository.ts'
import { MemoryKeyFiles } from '../repository/testing.ts'
import { WriteSession } from '../repository/write-session.ts'
import { type ChunkRef, readContent } from '../snapshot/content.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import { walkTree } from '../snapshot/tree-walk.ts'
import { openFolderSource } from '../sources/folder-source.ts'
import type { Arrival } from '../sources/arrivals.ts'
import { arrivalsOf, walkSource } from '../sources/testing.ts'
import type { Source, SourceEntry, SourceIssue } from '../sources/source.ts'
import { MemoryStorage } from '../storage/memory/memory-storage.ts'
import { type ArchiveOptions, type Archived, archive } from './archiver.ts'
import { type ArchiveArrivalsOptions, archiveArrivals } from './arrivals.ts'

/** Chunks so small that small files have many. */
export const SMALL_CHUNKS = 'fastcdc,4K,16K,64K'

/** When runs of these tests start, unless they say otherwise: files made just now look old to them. */
export const LATER_MS = 4_000_000_000_000

/** A repository in memory. Unencrypted, so that the same content has the same ids in all of them. */
export async function newRepository(chunkerParams = SMALL_CHUNKS): Promise<Repository> {
  const keyFiles = new MemoryKeyFiles()
  const chunker = parseChunkerParams(chunkerParams)
  const options = { encryption: 'none', passphrase: undefined, keyFiles, chunker } as const
  const repository = await createRepository(new MemoryStorage(), options)
  await repository.loadIndex()
  return repository
}

export interface ArchiveRun extends Archived {
  /** `A path`, in the order reported. */
  readonly entries: string[]
  /** `CODE path`, in the order reported. */
  readonly issues: string[]
  readonly warnings: string[]
}

/** Archives a source into a repository and commits, so that what was saved can be read. */
export async function archiveInto(
  repository: Repository,
  source: Source,
  options: Partial<ArchiveOptions> = {},
): Promise<ArchiveRun> {
  const session = await WriteSession.open(repository)
  const entries: string[] = []
  const issues: string[] = []
  const warnings: string[] = []
  const issue = ({ code, path }: SourceIssue): void => void issues.push(`${code} ${path}`)
  try {
    await using walk = source.walk({ issue, excluded: () => undefined }, options)
    const archived = await archive({
      entries: walk,
      root: source.root,
      keys: repository.keys,
      chunker: repository.config.chunker,
      compression: parseCompression('zstd,1'),
      table: repository.table,
      loadChunk: (id) => repository.readChunk(id),
      storePack: (pack) => session.storePack(pack),
      parent: undefined,
      detect: 'auto',
      attributes: { xattrs: true, acls: true, flags: true },
      stableForMs: 0,
      startedAtMs: LATER_MS,
      workers: 1, // starting a thread takes longer than most of these runs
      observer: {
        entry: (status, { path }) => entries.push(`${status} ${path}`),
        bytes: () => undefined,
        issue,
        warning: (message) => warnings.push(message),
      },
      ...options,
    })
    await session.commit({})
    await repository.loadIndex()
    return { ...archived, entries, issues, warnings }
  } catch (error) {
    await session.abandon()
    throw error
  }
}

/** Archives what arrives into a repository and commits, so that what was saved can be read. */
export async function archiveArrivalsInto(
  repository: Repository,
  arrivals: Iterable<Arrival>,
  options: Partial<ArchiveArrivalsOptions> = {},
): Promise<ArchiveRun> {
  const session = await WriteSession.open(repository)
  const entries: string[] = []
  const issues: string[] = []
  try {
    const archived = await archiveArrivals({
      arrivals: arrivalsOf(arrivals),
      isPipe: false,
      keys: repository.keys,
      chunker: repository.config.chunker,
      compression: parseCompression('zstd,1'),
      table: repository.table,
      storePack: (pack) => session.storePack(pack),
      attributes: { xattrs: true, acls: true, flags: true },
      workers: 1,
      observer: {
        entry: (status, { path }) => entries.push(`${status} ${path}`),
        bytes: () => undefined,
        issue: ({ code, path }) => issues.push(`${code} ${path}`),
        warning: () => undefined,
      },
      ...options,
    })
    await session.commit({})
    await repository.loadIndex()
    return { ...archived, entries, issues, warnings: [] }
  } catch (error) {
    await session.abandon()
    throw error
  }
}

/** A source of the content of a folder. */
export function folderSource(folder: string): Source {
  return openFolderSource(['.'], folder)
}

/** The entries of a folder as they are now. */
export async function entriesOf(folder: string): Promise<SourceEntry[]> {
  return (await walkSource(folderSource(folder))).entries
}

/** Every node of a tree by path, ancestors and directories among them. */
export async function nodesOf(
  repository: Repository,
  { tree }: Pick<Archived, 'tree'>,
): Promise<Map<string, TreeNode>> {
  const nodes = new Map<string, TreeNode>()
  for await (const entries of walkTree(tree, [], (id) => repository.readChunk(id)))
    for (const { path, node } of entries) nodes.set(path, node)
  return nodes
}

/** The chunks of a file. */
export async function refsOf(repository: Repository, node: TreeNode | undefined): Promise<ChunkRef[]> {
  if (!node?.content) return []
  return Array.fromAsync(readContent(node.content, (id) => repository.readChunk(id), node.name))
}

/** Ids of the chunks of all files, in the order of a walk. */
export async function chunkIdsOf(repository: Repository, archived: Pick<Archived, 'tree'>): Promise<string[]> {
  const ids: string[] = []
  for (const node of (await nodesOf(repository, archived)).values())
    for (const { id } of await refsOf(repository, node)) ids.push(toHex(id))
  return ids
}

/** The content of a file, put together from its chunks. */
export async function contentOf(repository: Repository, node: TreeNode | undefined): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for (const { id } of await refsOf(repository, node)) parts.push(await repository.readChunk(id))
  return Buffer.concat(parts)
}

/** What strace(1) says of these system calls when a process of its own archives a folder. */
export function traceRun(root: string, calls: string): string {
  const code = `
    import { archiveInto, folderSource, newRepository } from ${JSON.stringify(import.meta.url)}
    await archiveInto(await newRepository(), folderSource(${JSON.stringify(root)}))`
  const args = ['-f', '-qq', '-y', '-e', `trace=${calls}`, process.execPath, '-e', code]
  return spawnSync('strace', args, { encoding: 'latin1', maxBuffer: 1 << 28 }).stderr
}
