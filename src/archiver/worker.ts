import { createChunker } from '../chunker/chunker.ts'
import { serveJobs } from '../platform/worker-pool.ts'
import { ChunkTable } from '../repository/chunk-table.ts'
import { ChunkWriter, type SealedPack } from '../repository/chunk-writer.ts'
import { ContentSaver } from './content-saver.ts'
import { Cutter } from './cutter.ts'
import { FileReader } from './file-reader.ts'
import {
  type ArchiveJob,
  type ArchiveResult,
  type ArchiveWork,
  NOTHING,
  type PackToStore,
  RANGE_BYTES,
  type WorkerInit,
} from './protocol.ts'

// What a worker thread of the archiver runs: files or contents in, chunk references out, packs to the main thread.
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
  const cutter = new Cutter(chunker, writer)
  const reader = new FileReader(cutter)
  const saver = new ContentSaver(cutter)

  const work = async (todo: ArchiveWork): Promise<Omit<ArchiveResult, 'stats'>> => {
    if (todo.kind === 'read') return reader.read(todo.batch)
    if (todo.kind === 'sample') return reader.sample(todo.batch)
    if (todo.kind === 'save') return saver.save(todo.contents)
    await writer.flush()
    return NOTHING
  }

  return async (job) => {
    table.attach(job.table)
    const done = await work(job.work)
    return { result: { ...done, stats: { ...writer.stats } }, transfer: done.memory ? [done.memory] : [] }
  }
})

function maxChunkBytes({ chunker }: WorkerInit): number {
  return chunker.algorithm === 'fixed' ? chunker.blockBytes : chunker.maxBytes
}
