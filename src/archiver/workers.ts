import type { AbortOptions } from '../base/abort.ts'
import { type ChunkerParams, MAX_CHUNK_BYTES } from '../chunker/params.ts'
import type { Compression } from '../codec/compression.ts'
import { workerScript } from '../platform/installation.ts'
import { WorkerPool } from '../platform/worker-pool.ts'
import type { ChunkTable } from '../repository/chunk-table.ts'
import type { SealedPack } from '../repository/chunk-writer.ts'
import type { RepositoryKeys } from '../repository/keys.ts'
import { BATCH_BYTES, BATCH_FILES, RANGE_BYTES, type WorkerInit } from './protocol.ts'
import { type ArchivePool, TaskQueue } from './task-queue.ts'

/** Where chunks go, and how. */
export interface ChunkStore extends AbortOptions {
  readonly keys: RepositoryKeys
  readonly chunker: ChunkerParams
  readonly compression: Compression
  readonly table: ChunkTable
  /** Stores a pack durably and gives its memory back. */
  readonly storePack: (pack: SealedPack) => Promise<ArrayBuffer>
  /** Number of worker threads. */
  readonly workers: number
}

/** The threads that read, cut, compress and seal; none is started before its first task. */
export function newPool({ keys, chunker, compression, workers, storePack }: ChunkStore): ArchivePool {
  return new WorkerPool({
    script: workerScript('archiver/worker'),
    count: workers,
    init: { keys, chunker, compression } satisfies WorkerInit,
    async onRequest({ id, memory, length, table }) {
      const pack = { id: id as SealedPack['id'], bytes: Buffer.from(memory, 0, length), table: Buffer.from(table) }
      const reply = await storePack(pack)
      return { reply, transfer: [reply] }
    },
  })
}

export function newQueue(pool: ArchivePool, { chunker, table }: ChunkStore): TaskQueue {
  // Only the last chunk of a file is smaller.
  const minChunkBytes = chunker.algorithm === 'fixed' ? chunker.blockBytes : chunker.minBytes
  const chunksATask = Math.ceil((BATCH_BYTES + RANGE_BYTES + MAX_CHUNK_BYTES) / minChunkBytes) + BATCH_FILES
  return new TaskQueue(pool, table, chunksATask)
}
