/**
 * How fast files are cut into chunks: `node bench/chunker.ts [FILE]`, on random bytes and, when named, on the bytes of FILE.
 *
 * Counts the time in `cut()` alone, in MB (10^6 bytes) of file per second on one core, skipped minimum included: the
 * median of five passes over random bytes, one pass over FILE. Chunks are cut with the default parameters.
 */
import { createHash, randomFillSync } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { formatBytes } from '../src/base/sizes.ts'
import { createChunker, GEAR_TABLE_BYTES } from '../src/chunker/chunker.ts'
import { DEFAULT_CHUNKER_PARAMS, formatChunkerParams } from '../src/chunker/params.ts'

const BUFFER_BYTES = 16 * 1024 * 1024

const gearTable = createHash('shake256', { outputLength: GEAR_TABLE_BYTES }).update('any table').digest()
const chunker = createChunker(DEFAULT_CHUNKER_PARAMS, gearTable, BUFFER_BYTES)
console.log(`chunker ${formatChunkerParams(DEFAULT_CHUNKER_PARAMS)}`)

randomFillSync(chunker.buffer)
cutBuffer(BUFFER_BYTES) // for the compiler to see what is hot
const passes = Array.from({ length: 5 }, () => cutBuffer(BUFFER_BYTES)).sort((a, b) => a.ms - b.ms)
report('random', BUFFER_BYTES, passes[2] ?? { ms: Number.NaN, chunks: 0 })

for (const file of process.argv.slice(2)) {
  const fd = openSync(file, 'r')
  const total = { ms: 0, chunks: 0 }
  let bytes = 0
  for (let length; (length = readSync(fd, chunker.buffer)) > 0; bytes += length) {
    // Each piece is cut as a file of its own: the cut points differ a little, the work does not.
    const { ms, chunks } = cutBuffer(length)
    total.ms += ms
    total.chunks += chunks
  }
  closeSync(fd)
  report(file, bytes, total)
}

function cutBuffer(length: number): { ms: number; chunks: number } {
  const begin = performance.now()
  let chunks = 0
  for (let start = 0; start < length; chunks++) start = chunker.cut(start, length, true)
  return { ms: performance.now() - begin, chunks }
}

function report(name: string, bytes: number, { ms, chunks }: { ms: number; chunks: number }): void {
  const mean = formatBytes(Math.round(bytes / chunks))
  console.log(`${name}: ${(bytes / ms / 1000).toFixed(0)} MB/s, ${chunks} chunks, mean ${mean}`)
}
