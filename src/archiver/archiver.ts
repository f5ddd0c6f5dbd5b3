/**
 * archiver: a source becomes trees. The main thread walks the source in step with the parent snapshot's tree and takes over
 * what has not changed without opening it (comparison.ts); worker threads read, cut, hash, compress and seal the rest
 * (dispatcher.ts, file-reader.ts); the main thread stores their packs and puts the trees together (tree-assembly.ts).
 *
 * Bounds: `MAX_WAITING` entries between walk and trees, two tasks a worker (dispatcher.ts), three packs a worker.
 */
import { type AbortOptions, throwIfAborted } from '../base/abort.ts'
import type { ChunkId } from '../base/ids.ts'
import type { ChunkerParams } from '../chunker/params.ts'
import type { Compression } from '../codec/compression.ts'
import { WorkerPool } from '../platform/worker-pool.ts'
import type { ChunkTable } from '../repository/chunk-table.ts'
import { ChunkWriter, type SealedPack, type WriterStats } from '../repository/chunk-writer.ts'
import type { RepositoryKeys } from '../repository/keys.ts'
import { type LoadChunk, type SaveChunk, encodeContent } from '../snapshot/content.ts'
import { type TreeNode } from '../snapshot/tree-node.ts'
import type { SourceEntry, SourceIssue } from '../sources/source.ts'
import { Comparison, type ParentTree } from './comparison.ts'
import { Dispatcher, type ReadFile } from './dispatcher.ts'
import type { ParentNode } from './parent-cursor.ts'
import type { ArchiveJob, ArchiveResult, PackToStore, WorkerInit } from './protocol.ts'
import { type PendingNode, TreeAssembly } from './tree-assembly.ts'

/** Borg's letters: A added, M modified, U unchanged, C changed while read, E error, d directory, s symlink, f fifo, c b devices. */
export type EntryStatus = 'A' | 'M' | 'U' | 'C' | 'E' | 'd' | 's' | 'f' | 'c' | 'b'

/** Told of everything as it happens; called for every entry, so it must be quick. */
export interface ArchiveObserver {
  entry(status: EntryStatus, entry: SourceEntry): void
  /** So many more bytes of a large file are read, whose `entry` comes when it is read wholly. */
  bytes(entry: SourceEntry, count: number): void
  /** An entry could not be read. */
  issue(issue: SourceIssue): void
}

export interface ArchiveOptions extends AbortOptions {
  /** Entries in the order of `Source.entries`. */
  readonly entries: AsyncIterable<SourceEntry[]>
  readonly keys: RepositoryKeys
  readonly chunker: ChunkerParams
  readonly compression: Compression
  readonly table: ChunkTable
  readonly loadChunk: LoadChunk
  /** Stores a pack durably and gives its memory back. */
  readonly storePack: (pack: SealedPack) => Promise<ArrayBuffer>
  readonly parent: ParentTree | undefined
  /** When the walk starts, by the clock of the source's file system. */
  readonly startedAtMs: number
  readonly workers: number
  readonly observer: ArchiveObserver
}

export interface Archived {
  readonly tree: ChunkId
  readonly stamps: Uint8Array
  /** Chunks of the files that were taken over. */
  readonly chunksTakenOver: number
  /** What was written of file content, and of trees. */
  readonly data: WriterStats
  readonly trees: WriterStats
}

/** Entries between walk and trees at most: about 30 MB. */
const MAX_WAITING = 50_000
/**
 * A file touched shortly before the walk may be touched again within the same tick of its file system's clock, and then looks
 * unchanged; so it gets no stamp and is read again next time (git's "racy" rule). Two seconds is FAT's tick, the coarsest.
 */
const RACY_NS = 2_000_000_000n

/**
 * Archives a source. Issues of single entries are reported, and the rest goes on.
 *
 * @throws {CairnError} `CANCELLED`, or what the store or the source as a whole throws; then packs may have been stored, but
 *   nothing refers to them
 */
export async function archive(options: ArchiveOptions): Promise<Archived> {
  const { keys, chunker, compression, table, storePack, entries, observer, signal } = options
  const trees = new ChunkWriter({ kind: 'treePack', keys, table, compression, maxChunkBytes: 1 << 20, storePack })
  const saveTree: SaveChunk = (data) => {
    dispatcher.makeRoom()
    return trees.save(data)
  }
  const assembly = new TreeAssembly(saveTree, (tree) => table.has(tree))
  const comparison = new Comparison(options.parent, table, options.loadChunk)
  await using pool = new WorkerPool<ArchiveJob, ArchiveResult, PackToStore, ArrayBuffer>({
    url: workerUrl(),
    count: options.workers,
    init: { keys, chunker, compression } satisfies WorkerInit,
    async onRequest({ id, memory, length, table: packTable }) {
      const pack = { id: id as SealedPack['id'], bytes: Buffer.from(memory, 0, length), table: Buffer.from(packTable) }
      const reply = await storePack(pack)
      return { reply, transfer: [reply] }
    },
  })
  if (!options.parent) pool.start()
  const dispatcher = new Dispatcher(pool, table)
  const racyFromNs = BigInt(options.startedAtMs) * 1_000_000n - RACY_NS

  const takeNode = (entry: SourceEntry, found: ParentNode | undefined): PendingNode => {
    const stamp = entry.ctimeNs >= racyFromNs || entry.mtimeNs >= racyFromNs ? undefined : entry
    const pending: PendingNode = { node: undefined, old: found?.node, stamp }
    if (entry.type !== 'file') {
      observer.entry(STATUS_OF_TYPE[entry.type], entry)
      pending.node = nodeOf(entry, undefined)
      return pending
    }
    dispatcher.read(
      entry,
      (read) => {
        pending.node = finishFile(entry, found, read, saveTree, observer)
        if (read.changed) pending.stamp = undefined
      },
      (bytes) => observer.bytes(entry, bytes),
    )
    return pending
  }

  const leaveTo = async (depth: number): Promise<void> => {
    while (comparison.depth > depth) assembly.closeDirectory(await comparison.leave())
  }

  for await (const batch of entries) {
    for (const entry of batch) {
      if (comparison.depth > entry.depth) await leaveTo(entry.depth)
      const finding = comparison.find(entry)
      const found = finding instanceof Promise ? await finding : finding
      if (entry.type === 'dir') {
        if (!entry.ancestor) observer.entry('d', entry)
        assembly.openDirectory(nodeOf(entry, undefined), found?.node)
        comparison.enter(found)
        continue
      }
      const comparing = comparison.isUnchanged(entry, found)
      if (comparing instanceof Promise ? await comparing : comparing) {
        observer.entry('U', entry)
        assembly.add(takeOver(entry, (found as ParentNode).node))
      } else {
        assembly.add(takeNode(entry, found))
      }
    }
    assembly.advance()
    await trees.ready()
    await new Promise((resolve) => setImmediate(resolve)) // lets the workers' messages in
    throwIfAborted(signal)
    while (dispatcher.full || assembly.waiting > MAX_WAITING) {
      dispatcher.sendBatch()
      await dispatcher.turn()
      throwIfAborted(signal)
      assembly.advance()
    }
  }
  await dispatcher.finish({ signal })
  throwIfAborted(signal)
  await leaveTo(1)
  const root = assembly.finish()
  await trees.flush()
  return { ...root, chunksTakenOver: comparison.chunks, data: dispatcher.stats, trees: { ...trees.stats } }
}

const STATUS_OF_TYPE = { symlink: 's', fifo: 'f', chardev: 'c', blockdev: 'b', dir: 'd' } as const

/** The node of a file whose content was read, reporting what became of it. */
function finishFile(
  entry: SourceEntry,
  found: ParentNode | undefined,
  { refs, changed, failure }: ReadFile,
  save: SaveChunk,
  observer: ArchiveObserver,
): TreeNode | 'omit' {
  if (failure) {
    observer.issue({ path: entry.path, systemPath: entry.systemPath, ...failure })
    observer.entry('E', entry)
    return 'omit'
  }
  if (changed)
    observer.issue({
      path: entry.path,
      systemPath: entry.systemPath,
      message: 'it changed while it was read',
      code: 'CHANGED',
    })
  observer.entry(changed ? 'C' : found?.node.type === 'file' ? 'M' : 'A', entry)
  const sizeBytes = refs.reduce((sum, ref) => sum + ref.bytes, 0)
  return { ...nodeOf(entry, refs.length > 0 ? encodeContent(refs, save) : undefined), sizeBytes }
}

/** An unchanged file: the parent's node itself, unless something beside the content differs. */
function takeOver(entry: SourceEntry, old: TreeNode): PendingNode {
  const { mode, uid, gid, user, group } = entry
  const same = old.mode === mode && old.uid === uid && old.gid === gid && old.user === user && old.group === group
  return { node: same ? old : nodeOf(entry, old.content), old, stamp: entry }
}

function nodeOf(entry: SourceEntry, content: Uint8Array | undefined): TreeNode {
  const { name, type, mode, uid, gid, user, group, sizeBytes, mtimeNs, linkTarget, ancestor } = entry
  const node: { -readonly [K in keyof TreeNode]: TreeNode[K] } = {
    name,
    type,
    mode,
    uid,
    gid,
    user,
    group,
    sizeBytes,
    mtimeNs,
  }
  if (linkTarget !== undefined) node.linkTarget = linkTarget
  if (content) node.content = content
  if (ancestor) node.ancestor = ancestor
  return node
}

/** The worker's file beside this one, with the same extension: `.ts` in a checkout, `.js` when compiled. */
function workerUrl(): URL {
  const self = import.meta.url
  return new URL(`./worker${self.slice(self.lastIndexOf('.'))}`, self)
}
