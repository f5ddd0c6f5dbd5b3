import { throwIfAborted } from '../base/abort.ts'
import { ChunkWriter } from '../repository/chunk-writer.ts'
import type { SaveChunk } from '../snapshot/content.ts'
import { NO_SAMPLE } from '../snapshot/samples.ts'
import type { Arrival, Arrivals } from '../sources/arrivals.ts'
import type { SourceEntry } from '../sources/source.ts'
import { type ArchiveObserver, type Archived, STATUS_OF_TYPE } from './archiver.ts'
import { ArrivedFile, ArrivedTree, type Misplaced } from './arrived-tree.ts'
import { ContentSender } from './content-sender.ts'
import type { ReadFile } from './dispatcher.ts'
import { type KeptAttributes, NodeBuilder } from './node-builder.ts'
import { CHANGED } from './protocol.ts'
import type { ArchivePool, TaskQueue } from './task-queue.ts'
import { TreeAssembly } from './tree-assembly.ts'
import { type ChunkStore, newPool, newQueue } from './workers.ts'

export interface ArchiveArrivalsOptions extends ChunkStore {
  readonly arrivals: Arrivals
  /** Of `StreamedSource`: entries are told of as `i`. */
  readonly isPipe: boolean
  readonly attributes: KeptAttributes
  readonly observer: ArchiveObserver
}

/**
 * Archives what arrives in a stream. Everything is read, and chunks that are known are not stored again; there are no stamps, for
 * nobody will find the entries again where they were. What cannot be where it says is reported as an issue, and the rest goes on.
 *
 * Bounds: `workers` + 2 pieces of memory of `RANGE_BYTES` and a largest chunk, and about 400 bytes an entry.
 *
 * @throws {CairnError} what the stream or the store throws, `CANCELLED`; then packs may have been stored, but nothing refers to them
 */
export async function archiveArrivals(options: ArchiveArrivalsOptions): Promise<Archived> {
  await using pool = newPool(options)
  pool.start()
  return await new ArrivalArchiver(options, pool).run()
}

class ArrivalArchiver {
  readonly #options: ArchiveArrivalsOptions
  readonly #trees: ChunkWriter
  readonly #queue: TaskQueue
  readonly #sender: ContentSender
  readonly #nodes: NodeBuilder
  readonly #assembly: TreeAssembly
  readonly #tree = new ArrivedTree()

  constructor(options: ArchiveArrivalsOptions, pool: ArchivePool) {
    this.#options = options
    const { keys, chunker, compression, table, storePack, attributes, observer } = options
    this.#trees = new ChunkWriter({ kind: 'treePack', keys, table, compression, maxChunkBytes: 1 << 20, storePack })
    this.#queue = newQueue(pool, options)
    this.#sender = new ContentSender(this.#queue, chunker.algorithm === 'fixed' ? chunker.blockBytes : chunker.maxBytes)
    const saveTree: SaveChunk = (data) => {
      this.#queue.makeRoom()
      return this.#trees.save(data)
    }
    this.#nodes = new NodeBuilder(attributes, saveTree, (issue) => observer.issue(issue))
    this.#assembly = new TreeAssembly(saveTree)
  }

  async run(): Promise<Archived> {
    const { arrivals, signal } = this.#options
    let arrived = 0
    for await (const arrival of arrivals) {
      const sending = this.#take(arrival)
      if (sending) await sending
      const ready = this.#trees.ready()
      if (ready) await ready
      // Lets messages and signals in, also where entries have no content to wait for.
      if ((++arrived & 511) === 0) await new Promise((resolve) => setImmediate(resolve))
      throwIfAborted(signal)
    }
    await this.#sender.finish()
    throwIfAborted(signal)
    const { root } = this.#tree
    await this.#tree.assemble(this.#assembly, () => this.#trees.ready())
    const assembled = this.#assembly.finish()
    await this.#trees.flush()
    return {
      ...assembled,
      root: root && { ...root, name: 'root', tree: assembled.tree },
      chunksTakenOver: 0,
      data: this.#queue.stats,
      trees: { ...this.#trees.stats },
    }
  }

  #take(arrival: Arrival): Promise<void> | undefined {
    const { entry, otherNameOf } = arrival
    if (entry.type === 'dir') {
      const isMisplaced = this.#isMisplaced(entry, this.#tree.placeFolder(entry.path, this.#nodes.node(entry)))
      // The top is no entry of the snapshot.
      if (!isMisplaced && entry.path !== '') this.#done(entry, 'd')
      return undefined
    }
    if (otherNameOf !== undefined) {
      const placed = this.#tree.placeName(entry.path, otherNameOf)
      if (typeof placed === 'string') this.#isMisplaced(entry, placed, otherNameOf)
      else this.#done({ ...entry, type: placed.type }, 'h')
      return undefined
    }
    const file = new ArrivedFile(entry.type)
    const isMisplaced = this.#isMisplaced(entry, this.#tree.placeFile(entry.path, file))
    if (entry.type === 'file') return this.#takeContent(arrival, file, isMisplaced)
    this.#tree.settle(file, this.#nodes.node(entry))
    if (!isMisplaced) this.#done(entry, STATUS_OF_TYPE[entry.type])
    return undefined
  }

  /** Content is read, be it for nothing, so that the stream goes on behind it. */
  #takeContent(arrival: Arrival, file: ArrivedFile, isMisplaced: boolean): Promise<void> {
    const { entry, content, contentBytes, holes = [] } = arrival
    const { observer, isPipe } = this.#options
    return this.#sender.send({
      content: content ?? EMPTY,
      sizeBytes: content ? contentBytes : 0,
      done: (refs) => {
        const read: ReadFile = { ...AS_ARRIVED, refs, holes, xattrs: entry.xattrs }
        const { node } = this.#nodes.file(entry, read, undefined)
        this.#tree.settle(file, node)
        if (!isMisplaced) this.#done({ ...entry, sizeBytes: node.sizeBytes }, isPipe ? 'i' : 'A')
      },
      onBytes: (bytes) => observer.bytes(entry, bytes),
    })
  }

  #done(entry: SourceEntry, status: Parameters<ArchiveObserver['entry']>[0]): void {
    this.#options.observer.entry(status, entry)
  }

  #isMisplaced({ path, systemPath }: SourceEntry, why: Misplaced | undefined, otherNameOf = ''): boolean {
    if (!why) return false
    const message = MISPLACED[why].replace('%', () => otherNameOf)
    this.#options.observer.issue({ path, systemPath, message, code: 'LEFT_OUT' })
    return true
  }
}

const MISPLACED: Readonly<Record<Misplaced, string>> = {
  'not-a-directory': 'it is left out: what should be a directory above it is something else',
  'not-empty': 'it is left out: a directory with entries is there',
  absent: "it is left out: no file came before under '%', of which it is another name",
}

const EMPTY = { read: async () => 0 }

const AS_ARRIVED = {
  xattrFailure: undefined,
  changed: CHANGED.no,
  mtimeNs: undefined,
  sample: NO_SAMPLE,
  failure: undefined,
}
