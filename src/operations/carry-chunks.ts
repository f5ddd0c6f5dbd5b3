import type { AbortOptions } from '../base/abort.ts'
import { CHUNK_ID_BYTES, type ChunkId, asChunkId, toHex } from '../base/ids.ts'
import type { Compression } from '../codec/compression.ts'
import type { Repository } from '../repository/repository.ts'
import type { WriteSession } from '../repository/write-session.ts'
import { type ReferenceVisitor, visitReferences } from '../snapshot/references.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'

export interface CarryOptions extends AbortOptions {
  readonly compression: Compression
  /** Whether what a path refers to is needed. */
  readonly isNeeded: (path: string) => boolean
}

/**
 * Stores anew what a run takes over from a snapshot and what lies only in packs that are about to be deleted: the reclamation does
 * not wait for this run, and copies only what some snapshot refers to at the moment when it looks (docs/concurrency.md).
 *
 * @throws {CairnError} `DATA_CORRUPT` | `NOT_FOUND` when it is gone already; what the store throws
 */
export async function carryChunks(
  repository: Repository,
  session: WriteSession,
  snapshot: Snapshot,
  options: CarryOptions,
): Promise<void> {
  if (!repository.index.condemned) return
  const carried = new CarriedChunks(repository, options.isNeeded)
  await visitReferences(snapshot, (id) => repository.readChunk(id, options), carried, options)
  const { table } = repository
  for (const [kind, ids] of [
    ['dataPack', carried.data],
    ['treePack', carried.trees],
  ] as const) {
    const writer = session.openWriter(kind, options.compression)
    for (const id of ids.values()) {
      const chunk = await repository.readChunk(id, options)
      table.reserve(1)
      writer.save(chunk)
      await writer.ready()
    }
    await writer.flush()
  }
}

/** Chunks that only condemned packs hold, by hex id: content, and what has to be opened to get at it. */
class CarriedChunks implements ReferenceVisitor {
  readonly data = new Map<string, ChunkId>()
  readonly trees = new Map<string, ChunkId>()
  readonly #repository: Repository
  readonly #isNeeded: (path: string) => boolean

  constructor(repository: Repository, isNeeded: (path: string) => boolean) {
    this.#repository = repository
    this.#isNeeded = isNeeded
  }

  /** Trees are entered wherever they are found: what is needed of one depends on where it lies. */
  enter(id: ChunkId, path: string): boolean {
    if (!this.#isNeeded(path)) return false
    const name = toHex(id)
    const found = this.data.get(name)
    if (found) this.trees.set(name, found)
    this.data.delete(name)
    return true
  }

  chunk(bytes: Uint8Array, offset: number, directory: string, name: string): void {
    const { table, condemned } = this.#repository.index
    if (table.has(bytes, offset) || !condemned?.table.has(bytes, offset)) return
    if (!this.#isNeeded(directory === '' || name === '' ? directory || name : `${directory}/${name}`)) return
    const id = asChunkId(Buffer.from(bytes.subarray(offset, offset + CHUNK_ID_BYTES)))
    if (!this.trees.has(toHex(id))) this.data.set(toHex(id), id)
  }
}
