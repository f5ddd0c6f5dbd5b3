/**
 * How fast a large index is loaded, and what it takes: `node bench/index.ts [--chunks N] [--chunks-a-segment N] [--work DIR]`.
 *
 * Makes a repository's index objects for N chunks (10 million unless told otherwise, of a mean of 1 MiB: 4 a segment, 16 a
 * pack), on disk, since what they take is not to be counted, and measures in a process of its own: loading them, the memory a
 * chunk, then a million lookups and claims one by one. Needs 50 bytes of disk a chunk.
 */
import { spawnSync } from 'node:child_process'
import { createCipheriv } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { CHUNK_ID_BYTES, type PackId, type SessionId, toHex } from '../src/base/ids.ts'
import { ChunkTable } from '../src/repository/chunk-table.ts'
import { type IndexedPack, encodeIndex } from '../src/repository/index/index-object.ts'
import { loadIndex } from '../src/repository/index/load-index.ts'
import { deriveRepositoryKeys } from '../src/repository/keys.ts'
import { PackTableWriter } from '../src/repository/pack/pack-format.ts'
import { newHeader } from '../src/repository/sealed-object.ts'
import { openStorage } from '../src/storage/location.ts'

const SEGMENTS_A_PACK = 4
const CHUNK_BYTES = 1 << 20
/** Packs that an index object names: together about 8 MiB, as a run writes them. */
const PACKS_AN_OBJECT = 8192
/** Ids that are looked up, evenly spread over those stored. */
const LOOKUPS = 1_000_000
const KEYS = deriveRepositoryKeys(Buffer.alloc(32, 7), 'aes-256-gcm')

const { values } = parseArgs({
  options: {
    chunks: { type: 'string', default: '10000000' },
    'chunks-a-segment': { type: 'string', default: '4' },
    work: { type: 'string', default: tmpdir() },
    /** Only measures the index that is in this folder. */
    measure: { type: 'string' },
  },
})
const chunks = Number(values.chunks)

if (values.measure !== undefined) await measure(values.measure)
else {
  const work = mkdtempSync(path.join(values.work, 'cairn-index-'))
  try {
    await make(work, Number(values['chunks-a-segment']))
    // A process of its own: its memory is that of loading, and nothing is compiled or allocated yet.
    const argv = [import.meta.filename, '--chunks', `${chunks}`, '--measure', work]
    const { status } = spawnSync(process.execPath, argv, { stdio: 'inherit' })
    process.exitCode = status ?? 1
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** The ids of chunks `first` up to `first + count`, 32 bytes each: uniform, and the same whenever they are asked for. */
function idsOf(first: number, count: number, series = 1): Buffer {
  const start = Buffer.alloc(16)
  start.writeUInt32BE(series, 0)
  start.writeBigUInt64BE(BigInt(first) * 2n, 8) // two cipher blocks an id
  return createCipheriv('aes-128-ctr', Buffer.alloc(16), start).update(Buffer.alloc(count * CHUNK_ID_BYTES))
}

async function make(folder: string, chunksASegment: number): Promise<void> {
  const storage = await openStorage(folder)
  const session = '0'.repeat(32) as SessionId
  const writer = new PackTableWriter()
  const sizeBytes = 48 + SEGMENTS_A_PACK * chunksASegment * CHUNK_BYTES + 4096
  let first = 0
  for (let object = 0; first < chunks; object++) {
    const packs: IndexedPack[] = []
    while (packs.length < PACKS_AN_OBJECT && first < chunks) {
      const id = toHex(idsOf(first, 1, 2)) as PackId
      for (let segment = 0; segment < SEGMENTS_A_PACK && first < chunks; segment++) {
        const count = Math.min(chunksASegment, chunks - first)
        const ids = idsOf(first, count)
        writer.addSegment(
          count * CHUNK_BYTES,
          Array.from({ length: count }, (_, i) => ids.subarray(i * CHUNK_ID_BYTES, (i + 1) * CHUNK_ID_BYTES)),
          Array.from({ length: count }, () => CHUNK_BYTES),
        )
        first += count
      }
      packs.push({ id, sizeBytes, header: newHeader('dataPack', KEYS), table: writer.take() })
    }
    const { key, object: bytes } = encodeIndex(KEYS, session, object, packs)
    await storage.put(key, bytes)
  }
  await storage.put(`commits/${session}`, Buffer.of(1))
  await storage.close()
}

async function measure(folder: string): Promise<void> {
  const storage = await openStorage(folder)
  const before = process.memoryUsage.rss()
  const start = performance.now()
  const { table, numbers } = await loadIndex(storage, KEYS, {})
  const loadMs = performance.now() - start
  const peakBytes = process.resourceUsage().maxRSS * 1024
  await storage.close()
  globalThis.gc?.()
  report('load', `${(loadMs / 1000).toFixed(2)} s, ${perSecond(chunks, loadMs)}`)
  report('table', `${((table.memoryBytes + numbers.memoryBytes) / chunks).toFixed(1)} bytes a chunk`)
  report('resident', `${((process.memoryUsage.rss() - before) / chunks).toFixed(1)} bytes a chunk more afterwards`)
  report('peak', `${((peakBytes - before) / chunks).toFixed(1)} bytes a chunk more while loading`)

  const count = Math.min(LOOKUPS, chunks)
  const present = Buffer.concat(
    Array.from({ length: 100 }, (_, i) => idsOf(Math.floor((i * chunks) / 100), Math.floor(count / 100))),
  )
  const absent = idsOf(0, count, 3)
  const fresh = ChunkTable.create(count)
  const each = (ids: Buffer, act: (ids: Buffer, offset: number) => unknown): string => {
    const begin = performance.now()
    for (let offset = 0; offset < ids.length; offset += CHUNK_ID_BYTES) act(ids, offset)
    return perSecond(ids.length / CHUNK_ID_BYTES, performance.now() - begin)
  }
  for (let round = 0; round < 2; round++) each(present, (ids, offset) => table.has(ids, offset)) // to be compiled
  report(
    'has, present',
    each(present, (ids, offset) => table.has(ids, offset)),
  )
  report(
    'has, absent',
    each(absent, (ids, offset) => table.has(ids, offset)),
  )
  report(
    'find',
    each(present, (ids, offset) => numbers.find(table, ids, offset)),
  )
  report(
    'claim, new',
    each(absent, (ids, offset) => fresh.claim(ids.subarray(offset, offset + CHUNK_ID_BYTES))),
  )
  report(
    'claim, known',
    each(absent, (ids, offset) => fresh.claim(ids.subarray(offset, offset + CHUNK_ID_BYTES))),
  )
}

function perSecond(count: number, ms: number): string {
  return `${(count / ms / 1000).toFixed(2)} million a second`
}

function report(what: string, found: string): void {
  console.log(`${what.padEnd(14)}${found}`)
}
