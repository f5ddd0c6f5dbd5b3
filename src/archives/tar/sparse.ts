import type { Hole } from '../../base/hole.ts'
import { CairnError } from '../../base/errors.ts'
import { damagedArchive } from '../archive-error.ts'
import { BLOCK_BYTES, decodeNumber } from './header.ts'
import { type PaxRecords, decodeCount } from './pax.ts'

/** A stretch of a sparse file that has data. */
export interface Extent {
  readonly offset: number
  readonly length: number
}

/** More than a file needs; a map that claims more would only use memory. */
const MAX_EXTENTS = 1 << 18

/**
 * The holes between stretches of data.
 *
 * @throws {CairnError} `ARCHIVE_CORRUPT` when stretches overlap, lie outside the file, or are not as long as the data that is there
 */
export function holesBetween(extents: readonly Extent[], sizeBytes: number, dataBytes: number, path: string): Hole[] {
  const holes: Hole[] = []
  let end = 0
  let data = 0
  for (const { offset, length } of extents) {
    if (offset < end || offset + length > sizeBytes)
      throw damagedArchive(`the map of the sparse file ${path} makes no sense at byte ${offset}`)
    // Stretches of no length stand at the end, or where there is no hole.
    if (offset > end && length > 0) holes.push({ offset: end, length: offset - end })
    if (length > 0) end = offset + length
    data += length
  }
  if (end < sizeBytes) holes.push({ offset: end, length: sizeBytes - end })
  if (data !== dataBytes)
    throw damagedArchive(`the sparse file ${path} has ${dataBytes} bytes of data, its map says ${data}`)
  return holes
}

/** The stretches of data between holes; where the file ends in a hole, one of no length comes last. */
export function extentsBetween(holes: readonly Hole[], sizeBytes: number): Extent[] {
  const extents: Extent[] = []
  let end = 0
  for (const { offset, length } of holes) {
    if (offset > end) extents.push({ offset: end, length: offset - end })
    end = offset + length
  }
  extents.push({ offset: end, length: sizeBytes - end })
  return extents
}

/** GNU's map 1.0, as it stands before the data: how many stretches, then two numbers of each, one a line. */
export function encodeMap(extents: readonly Extent[]): Buffer {
  return Buffer.from(
    `${extents.length}\n${extents.map(({ offset, length }) => `${offset}\n${length}\n`).join('')}`,
    'latin1',
  )
}

/** A map as it was read. */
export interface SparseMap {
  readonly extents: readonly Extent[]
  /** Length of the file, holes included. */
  readonly sizeBytes: number
}

const OLD_ENTRY_BYTES = 24

/**
 * GNU's own format: four stretches in the header, and blocks of 21 behind it as long as there are more. `header` is used before
 * the first wait.
 */
export async function readOldMap(header: Buffer, takeBlock: () => Promise<Buffer>, path: string): Promise<SparseMap> {
  const where = `the map of the sparse file ${path}`
  const extents: Extent[] = []
  const take = (block: Buffer, at: number, count: number): void => {
    for (let i = at; i < at + count * OLD_ENTRY_BYTES; i += OLD_ENTRY_BYTES) {
      if (block[i] === 0) return // fewer than there is room for
      extents.push({ offset: decodeNumber(block, i, 12, where), length: decodeNumber(block, i + 12, 12, where) })
    }
  }
  const sizeBytes = decodeNumber(header, 483, 12, where)
  let isContinued = header[482] !== 0
  take(header, 386, 4)
  while (isContinued) {
    const block = await takeBlock()
    take(block, 0, 21)
    isContinued = block[504] !== 0
    if (extents.length > MAX_EXTENTS) throw tooMany(path)
  }
  return { extents, sizeBytes }
}

/** GNU's formats 0.0 and 0.1: all numbers stand in records. @param parts of 0.0, offsets and lengths in turn */
export function mapOfRecords(records: PaxRecords, parts: readonly Buffer[], path: string): SparseMap {
  const text = records.get('GNU.sparse.map')
  const numbers = (text ? (text.length === 0 ? [] : text.toString('latin1').split(',')) : parts).map(decodeCount)
  const sizeBytes = decodeCount(records.get('GNU.sparse.size') ?? '')
  const count = decodeCount(records.get('GNU.sparse.numblocks') ?? '')
  if (sizeBytes === undefined || count === undefined || numbers.length !== count * 2 || numbers.includes(undefined))
    throw damagedArchive(`the map of the sparse file ${path} is not complete`)
  if (count > MAX_EXTENTS) throw tooMany(path)
  return { extents: toExtents(numbers as number[]), sizeBytes }
}

/** GNU's format 1.0: the map stands before the data, as lines of numbers in whole blocks. */
export async function readMap(records: PaxRecords, takeBlock: () => Promise<Buffer>, path: string): Promise<SparseMap> {
  const broken = (): Error => damagedArchive(`the map of the sparse file ${path} is not complete`)
  const sizeBytes = decodeCount(records.get('GNU.sparse.realsize') ?? '')
  const version = `${records.get('GNU.sparse.major')?.toString('latin1')}.${records.get('GNU.sparse.minor')?.toString('latin1')}`
  if (version !== '1.0') throw damagedArchive(`the sparse file ${path} is of format ${version}, which is not known`)
  if (sizeBytes === undefined) throw broken()
  const numbers: number[] = []
  const wanted = (): number => 1 + 2 * (numbers[0] ?? 0)
  let line = ''
  do {
    const block = await takeBlock()
    if (block.length < BLOCK_BYTES) throw broken()
    const lines = (line + block.toString('latin1')).split('\n')
    line = lines.pop() as string
    for (const text of lines) {
      const number = decodeCount(text)
      if (number === undefined) throw broken()
      numbers.push(number)
      if ((numbers[0] as number) > MAX_EXTENTS) throw tooMany(path)
      if (numbers.length === wanted()) break // padding follows
    }
  } while ((numbers.length === 0 || numbers.length < wanted()) && line.length <= MAX_DIGITS)
  if (numbers.length === 0 || numbers.length < wanted()) throw broken()
  return { extents: toExtents(numbers.slice(1)), sizeBytes }
}

const MAX_DIGITS = 16

function toExtents(numbers: readonly number[]): Extent[] {
  const extents: Extent[] = []
  for (let i = 0; i + 1 < numbers.length; i += 2)
    extents.push({ offset: numbers[i] as number, length: numbers[i + 1] as number })
  return extents
}

function tooMany(path: string): Error {
  return new CairnError(
    'FORMAT_UNSUPPORTED',
    `Cannot read the archive: the sparse file ${path} has more than ${MAX_EXTENTS} stretches of data; extract it, and back up the folder`,
  )
}
