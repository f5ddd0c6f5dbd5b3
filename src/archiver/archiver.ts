/**
 * archiver: a source becomes trees. The main thread goes through the walk of the source in step with the parent snapshot's tree and
 * takes over what has not changed without opening it (comparison.ts); worker threads read, cut, hash, compress and seal the rest
 * (dispatcher.ts, file-reader.ts); the main thread stores their packs and puts the trees together (tree-assembly.ts).
 *
 * Bounds: `MAX_WAITING` entries between walk and trees, two tasks a worker (dispatcher.ts), three packs a worker.
 */
import { throwIfAborted } from '../base/abort.ts'
import { isCairnError } from '../base/errors.ts'
import { ChunkWriter, type WriterStats } from '../repository/chunk-writer.ts'
import type { LoadChunk, SaveChunk } from '../snapshot/content.ts'
import { NO_SAMPLE } from '../snapshot/samples.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import type { SourceEntry, SourceIssue } from '../sources/source.ts'
import { Comparison, type Detect, type ParentTree, type Verdict, needsSample } from './comparison.ts'
import { Dispatcher, type ReadFile } from './dispatcher.ts'
import { HardLinks } from './hard-links.ts'
import { type KeptAttributes, NodeBuilder } from './node-builder.ts'
import type { ParentNode } from './parent-cursor.ts'
import { CHANGED } from './protocol.ts'
import { waitUntilStable } from './stability.ts'
import type { ArchivePool, TaskQueue } from './task-queue.ts'
import { type Assembled, type PendingNode, TreeAssembly } from './tree-assembly.ts'
import { type ChunkStore, newPool, newQueue } from './workers.ts'

export type { Detect, KeptAttributes }

/**
 * Borg's letters: A added, M modified, U unchanged, C changed while read, E error, d directory, h another name of a file that came
 * before, s symlink, f fifo, c b devices, i standard input or a command's output.
 */
export type EntryStatus = 'A' | 'M' | 'U' | 'C' | 'E' | 'd' | 'h' | 's' | 'f' | 'c' | 'b' | 'i'

/** Told of everything as it happens; called for every entry, so it must be quick. */
export interface ArchiveObserver {
  entry(status: EntryStatus, entry: SourceEntry): void
  /** So many more bytes of a large file are read, whose `entry` comes when it is read wholly. Negative when it is read again. */
  bytes(entry: SourceEntry, count: number): void
  /** An entry could not be read, or not wholly. */
  issue(issue: SourceIssue): void
  /** Something that makes no entry incomplete, but that people should know. */
  warning(message: string): void
}

export interface ArchiveOptions extends ChunkStore {
  /** Entries in the order of `Source.walk`. */
  readonly entries: AsyncIterable<SourceEntry[]>
  /** Of `Source`. */
  readonly root?: SourceEntry | undefined
  readonly loadChunk: LoadChunk
  readonly parent: ParentTree | undefined
  readonly detect: Detect
  readonly attributes: KeptAttributes
  /** A file that was touched less than this ago is read only once it has stayed the same for so long; 0 to read all at once. */
  readonly stableForMs: number
  /** When the walk starts, by the clock of the source's file system. */
  readonly startedAtMs: number
  /** Asked now and then whether it is time for a checkpoint; if so, `checkpoint` gets what there is, all of it stored. */
  readonly isCheckpointDue?: (() => boolean) | undefined
  readonly checkpoint?: ((archived: Archived) => Promise<void>) | undefined
  readonly observer: ArchiveObserver
}

export interface Archived extends Assembled {
  readonly root: TreeNode | undefined
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
  await using pool = newPool(options)
  if (!options.parent) pool.start()
  return await new Archiver(options, pool).run()
}

/** An entry on its way into the tree. */
interface Adding {
  readonly entry: SourceEntry
  readonly found: ParentNode | undefined
  readonly pending: PendingNode
  /** Tells what it is, or that it could not be read. */
  readonly settle: (node: TreeNode | 'omit') => void
  /** It may be other than it seems, so the next run shall look at it again. */
  readonly doubt: () => void
}

class Archiver {
  readonly #options: ArchiveOptions
  readonly #trees: ChunkWriter
  readonly #queue: TaskQueue
  readonly #dispatcher: Dispatcher
  readonly #assembly: TreeAssembly
  readonly #comparison: Comparison
  readonly #nodes: NodeBuilder
  readonly #hardLinks = new HardLinks()
  readonly #racyFromNs: bigint
  /** Aborted when the run ends in any way, for nobody waits for a file any more. */
  readonly #ended = new AbortController()

  constructor(options: ArchiveOptions, pool: ArchivePool) {
    this.#options = options
    const { keys, compression, table, storePack, parent, observer } = options
    this.#trees = new ChunkWriter({ kind: 'treePack', keys, table, compression, maxChunkBytes: 1 << 20, storePack })
    this.#queue = newQueue(pool, options)
    this.#dispatcher = new Dispatcher(this.#queue)
    const saveTree: SaveChunk = (data) => {
      this.#queue.makeRoom()
      return this.#trees.save(data)
    }
    this.#assembly = new TreeAssembly(saveTree, (tree) => table.has(tree))
    this.#comparison = new Comparison(parent, table, options.loadChunk, options.detect)
    this.#nodes = new NodeBuilder(options.attributes, saveTree, (issue) => observer.issue(issue))
    this.#racyFromNs = BigInt(options.startedAtMs) * 1_000_000n - RACY_NS
  }

  async run(): Promise<Archived> {
    const { signal } = this.#options
    const abort = (): void => this.#ended.abort(signal?.reason)
    signal?.addEventListener('abort', abort)
    try {
      return await this.#run()
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#ended.abort()
    }
  }

  async #run(): Promise<Archived> {
    const { entries, root, signal } = this.#options
    for await (const batch of entries) {
      for (const entry of batch) {
        if (this.#comparison.depth > entry.depth) await this.#leaveTo(entry.depth)
        const taken = this.#take(entry)
        if (taken) await taken
      }
      this.#assembly.advance()
      await this.#trees.ready()
      await new Promise((resolve) => setImmediate(resolve)) // lets the workers' messages in
      throwIfAborted(signal)
      await this.#checkpointIfDue()
      while (this.#queue.full || this.#assembly.waiting > MAX_WAITING) {
        this.#dispatcher.sendBatch()
        await this.#queue.turn()
        throwIfAborted(signal)
        this.#assembly.advance()
        await this.#checkpointIfDue()
      }
    }
    await this.#dispatcher.finish({ signal, between: () => this.#checkpointIfDue() })
    throwIfAborted(signal)
    await this.#leaveTo(1)
    const assembled = this.#assembly.finish()
    const rootNode = root && { ...this.#nodes.node(root), tree: assembled.tree }
    await this.#trees.flush()
    return this.#result(assembled, rootNode)
  }

  #result(assembled: Assembled, root: TreeNode | undefined): Archived {
    return {
      ...assembled,
      root,
      chunksTakenOver: this.#comparison.chunks,
      data: this.#queue.stats,
      trees: { ...this.#trees.stats },
    }
  }

  /** A promise only where something has to be waited for, which most entries need not. */
  #take(entry: SourceEntry): Promise<void> | undefined {
    let finding: ParentNode | undefined | Promise<ParentNode | undefined>
    let verdict: Verdict | Promise<Verdict> = false
    try {
      finding = this.#comparison.find(entry)
      if (finding instanceof Promise) return this.#takeFurther(entry, finding)
      if (entry.type !== 'dir') verdict = this.#comparison.isUnchanged(entry, finding)
    } catch (error) {
      this.#passOverParent(error)
      finding = undefined
    }
    if (verdict instanceof Promise) return this.#takeFurther(entry, finding, verdict)
    if (entry.type === 'dir') this.#enter(entry, finding)
    else this.#add(entry, finding, verdict)
    return undefined
  }

  async #takeFurther(
    entry: SourceEntry,
    finding: ParentNode | undefined | Promise<ParentNode | undefined>,
    judging?: Promise<Verdict>,
  ): Promise<void> {
    let found: ParentNode | undefined
    let verdict: Verdict = false
    try {
      found = await finding
      if (entry.type !== 'dir') verdict = await (judging ?? this.#comparison.isUnchanged(entry, found))
    } catch (error) {
      this.#passOverParent(error)
      found = undefined
    }
    if (entry.type === 'dir') this.#enter(entry, found)
    else this.#add(entry, found, verdict)
  }

  #enter(entry: SourceEntry, found: ParentNode | undefined): void {
    if (!entry.ancestor) this.#options.observer.entry('d', entry)
    this.#assembly.openDirectory(this.#nodes.node(entry), found?.node)
    this.#comparison.enter(found)
  }

  async #leaveTo(depth: number): Promise<void> {
    while (this.#comparison.depth > depth) {
      let complete = false
      try {
        complete = await this.#comparison.leave()
      } catch (error) {
        this.#passOverParent(error)
      }
      this.#assembly.closeDirectory(complete)
    }
  }

  /** A damaged parent snapshot costs reading everything anew, and storing all trees that come. */
  #passOverParent(error: unknown): void {
    if (!isCairnError(error, 'DATA_CORRUPT') && !isCairnError(error, 'NOT_FOUND')) throw error
    this.#comparison.giveUp()
    this.#trees.distrustStored() // the new snapshot's trees are not to rest on those that cannot be read
    this.#options.observer.warning(`The previous snapshot is damaged, so everything is read: ${error.message}`)
  }

  #add(entry: SourceEntry, found: ParentNode | undefined, verdict: Verdict): void {
    if (verdict === true && found && !entry.link) {
      // Hot path of backups in which nothing changed.
      this.#options.observer.entry('U', entry)
      const node = this.#nodes.takeOver(entry, found.node, true, ignore)
      this.#assembly.add({ node, old: found.node, stamp: entry, sample: NO_SAMPLE })
      return
    }
    const stamp = entry.ctimeNs >= this.#racyFromNs || entry.mtimeNs >= this.#racyFromNs ? undefined : entry
    const pending: PendingNode = { node: undefined, old: found?.node, stamp, sample: NO_SAMPLE }
    this.#assembly.add(pending)
    const { link } = entry
    if (link?.isFirst) this.#hardLinks.expect(link)
    const settle = (node: TreeNode | 'omit'): void => {
      pending.node = node
      if (link?.isFirst) {
        this.#hardLinks.settle(link, { node, isStamped: pending.stamp !== undefined, sample: pending.sample })
      } else if (link) {
        this.#hardLinks.passed(link)
      }
    }
    const adding: Adding = { entry, found, pending, settle, doubt: () => (pending.stamp = undefined) }
    if (verdict === false || !found) return this.#addNew(adding)
    const { sample, sameAttributes } = verdict === true ? UNCHANGED : verdict
    if (sample === undefined) return this.#takeOver(adding, found.node, sameAttributes)
    this.#dispatcher.sample({ ...entry, wantsSample: true }, (sampled) => {
      // One that cannot be read now is reported when it is read.
      if (!('sample' in sampled) || sampled.sample !== sample) return this.#addNew(adding)
      pending.sample = sample
      this.#takeOver(adding, found.node, sameAttributes)
    })
  }

  #takeOver({ entry, pending, settle, doubt }: Adding, old: TreeNode, sameAttributes: boolean): void {
    this.#options.observer.entry('U', entry)
    pending.stamp = entry // what could be trusted before still can
    settle(this.#nodes.takeOver(entry, old, sameAttributes, doubt))
  }

  #addNew(adding: Adding): void {
    const { entry, pending, settle } = adding
    const { link } = entry
    const isKnown =
      link?.isFirst === false &&
      this.#hardLinks.whenSettled(link, ({ node, isStamped, sample }) => {
        if (node === 'omit') return this.#readNew(adding)
        this.#options.observer.entry('h', entry)
        if (!isStamped) adding.doubt()
        pending.sample = sample
        settle(this.#nodes.renamed(entry, node))
      })
    if (!isKnown) this.#readNew(adding)
  }

  #readNew(adding: Adding): void {
    const { entry, settle, doubt } = adding
    const { observer, stableForMs, startedAtMs } = this.#options
    if (entry.type !== 'file') {
      observer.entry(STATUS_OF_TYPE[entry.type], entry)
      return settle(this.#nodes.special(entry, doubt))
    }
    const touchedMs = Number((entry.mtimeNs > entry.ctimeNs ? entry.mtimeNs : entry.ctimeNs) / 1_000_000n)
    if (stableForMs === 0 || touchedMs < startedAtMs - stableForMs) this.#read(adding, entry)
    else this.#queue.hold(this.#readWhenStable(adding))
  }

  /** @param file the entry, or what became of it meanwhile */
  #read({ entry, found, pending, settle, doubt }: Adding, file: SourceEntry): void {
    const { observer, detect } = this.#options
    this.#dispatcher.read(
      { ...file, wantsSample: needsSample(detect, file) },
      (result) => {
        pending.sample = result.sample
        // What is no longer what was listed is looked at again next time.
        if (file !== entry || result.changed !== CHANGED.no || result.xattrFailure) doubt()
        settle(this.#finishFile(file, found, result))
      },
      (bytes) => observer.bytes(entry, bytes),
    )
  }

  async #readWhenStable(adding: Adding): Promise<void> {
    const { entry, found, settle, doubt } = adding
    const { observer, stableForMs } = this.#options
    const outcome = await waitUntilStable(entry, { stableForMs, signal: this.#ended.signal })
    if (outcome !== 'unstable') return this.#read(adding, outcome)
    const previous = await this.#previousVersion(entry, found)
    doubt()
    const message = 'it is still being written to; ' + (previous ? 'its previous version is kept' : 'it is left out')
    observer.issue({ path: entry.path, systemPath: entry.systemPath, message, code: 'UNSTABLE' })
    observer.entry('E', entry)
    settle(previous ? this.#nodes.renamed(entry, previous) : 'omit')
  }

  async #previousVersion(entry: SourceEntry, found: ParentNode | undefined): Promise<TreeNode | undefined> {
    if (found?.node.type !== 'file') return undefined
    try {
      return (await this.#comparison.isLive(found.node, entry.path)) ? found.node : undefined
    } catch (error) {
      this.#passOverParent(error)
      return undefined
    }
  }

  /** The node of a file whose content was read, reporting what became of it. */
  #finishFile(entry: SourceEntry, found: ParentNode | undefined, read: ReadFile): TreeNode | 'omit' {
    const { observer } = this.#options
    const issue = ({ message, code }: { readonly message: string; readonly code: string }): void =>
      observer.issue({ path: entry.path, systemPath: entry.systemPath, message, code })
    if (read.failure) {
      issue(read.failure)
      observer.entry('E', entry)
      return 'omit'
    }
    if (read.xattrFailure) {
      issue({ ...read.xattrFailure, message: `its extended attributes cannot be read: ${read.xattrFailure.message}` })
    }
    const changed = read.changed === CHANGED.meanwhile
    if (changed) issue({ message: 'it changed while it was read', code: 'CHANGED' })
    const { node, sameContent } = this.#nodes.file(entry, read, found?.node)
    // Where everything is read, reading says nothing.
    const same = sameContent && this.#options.detect === 'full-hash'
    const status = changed ? 'C' : same ? 'U' : found?.node.type === 'file' ? 'M' : 'A'
    observer.entry(status, { ...entry, sizeBytes: node.sizeBytes })
    return node
  }

  async #checkpointIfDue(): Promise<void> {
    const { isCheckpointDue, checkpoint } = this.#options
    if (!checkpoint || !isCheckpointDue?.()) return
    await this.#queue.flush()
    this.#assembly.advance()
    const assembled = this.#assembly.peek()
    await this.#trees.flush()
    await checkpoint(this.#result(assembled, undefined))
  }
}

function ignore(): void {}

const UNCHANGED = { sample: undefined, sameAttributes: true } as const

export const STATUS_OF_TYPE = { symlink: 's', fifo: 'f', chardev: 'c', blockdev: 'b', dir: 'd' } as const
