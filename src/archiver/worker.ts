import { createChunker } from '../chunker/chunker.ts'
import { serveJobs } from '../platform/worker-pool.ts'
import { ChunkTable } from '../repository/chunk-table.ts'
import { ChunkWriter, type SealedPack } from '../repository/chunk-writer.ts'
import { FileReader } from './file-reader.ts'
import { type ArchiveJob, type ArchiveResult, type PackToStore, RANGE_BYTES, type WorkerInit } from './protocol.ts'

// What a worker thread of the archiver runs: files in, chunk references out, packs to the main thread.
serveJobs<WorkerInit, ArchiveJob, ArchiveResult, PackToStore, ArrayBuffer>((init, host) => {
  const table = ChunkTable.attach([])
  const chunker = createChunker(init.chunker, init.keys.gear, RANGE_BYTES + maxChunkBytes(init))
  const writer = new ChunkWriter({
    kind: 'dataPack',
    keys: init.keys,
    table,
    compression: init.compression,
    maxChunkBytes: chunker.maxBytes,
    storePack({ id, bytes, table: packTable }: SealedPack) {
      const memory = bytes.buffer
      return host.request({ id, memory, length: bytes.length, table: packTable }, [memory])
    },
  })
  const reader = new FileReader(chunker, writer)

  return async (job) => {
    table.attach(job.table)
    if (job.kind === 'flush') await writer.flush()
    const read = job.kind === 'sample' ? reader.sample(job.batch) : await reader.read(job.batch)
    return { result: { ...read, stats: { ...writer.stats } } }
  }
})

function maxChunkBytes({ chunker }: WorkerInit): number {
  return chunker.algorithm === 'fixed' ? chunker.blockBytes : chunker.maxBytes
}
