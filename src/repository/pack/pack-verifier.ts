import { CairnError, isCairnError } from '../../base/errors.ts'
import { CHUNK_ID_BYTES, toHex } from '../../base/ids.ts'
import { blake3 } from '../../codec/hash.ts'
import { release } from '../../codec/release.ts'
import type { RepositoryKeys } from '../keys.ts'
import { HEADER_BYTES, openHeader } from '../sealed-object.ts'
import { SegmentReader, chunkAt, packKindOf } from '../segment-reader.ts'
import type { IndexedPack } from '../index/index-object.ts'
import { type SegmentRecord, TABLE_LENGTH_BYTES, packData, readPackTable } from './pack-format.ts'

/** What an index object says of a pack, in short. */
export interface PackClaim {
  readonly id: string
  readonly sizeBytes: number
  readonly header: Uint8Array
  /** Hash of header and table (`digestOf`), so that tables need not be kept to be compared. */
  readonly digest: Uint8Array
}

/** Where the index says that chunks are, and they are not: a segment, or the one chunk at `position` of it. */
export interface LostPart {
  readonly segmentOffset: number
  readonly position: number | undefined
}

export interface PackVerdict {
  /** What is wrong first of all, to stand behind the name of what is to blame; `undefined` when every byte is as it should be. */
  readonly problem: string | undefined
  /** The pack is what was written, and the index says other things of it. */
  readonly isIndexToBlame: boolean
  /** What cannot be read; `undefined` when only the index's own table could tell: verify again with it. */
  readonly lost: readonly LostPart[] | undefined
}

/** The digest of a claim. */
export function digestOf(pack: Pick<IndexedPack, 'header' | 'table'>): Buffer {
  return blake3(Buffer.concat([pack.header, pack.table]))
}

/** Verifies whole packs: their bytes, what they say of themselves, and what the index says of them. One per thread. */
export class PackVerifier {
  readonly #keys: RepositoryKeys
  readonly #reader: SegmentReader

  constructor(keys: RepositoryKeys) {
    this.#keys = keys
    this.#reader = new SegmentReader(keys)
  }

  /**
   * Looks at every byte of a pack. A pack that is damaged is looked at to its end, for what of it can still be read: with the
   * table that the index has, as a restore reads it.
   *
   * @param table what the index says of a pack that cannot be asked itself, because its own table is damaged
   */
  verify(claim: PackClaim, bytes: Uint8Array, table?: Uint8Array): PackVerdict {
    const own = this.#ownTable(bytes, claim.id)
    const agrees =
      !isCairnError(own) && digestOf({ header: bytes.subarray(0, HEADER_BYTES), table: own.table }).equals(claim.digest)
    const isWritten = toHex(blake3(bytes)) === claim.id
    const problem = describe(claim, bytes.length, isWritten, isCairnError(own) ? own.message : undefined, agrees)
    const isIndexToBlame = isWritten && !isCairnError(own) && problem !== undefined
    const trusted = agrees ? own.table : table
    if (!trusted) return { problem, isIndexToBlame, lost: undefined }
    const found = this.#readSegments(claim, bytes, trusted)
    const hasGap = agrees && found.lost.length === 0 && found.end !== own.offset
    const gap = hasGap ? 'there are bytes that belong to no segment' : undefined
    return { problem: problem ?? found.problem ?? gap, isIndexToBlame, lost: found.lost }
  }

  #ownTable(bytes: Uint8Array, pack: string): { table: Uint8Array; offset: number } | CairnError {
    const what = `the table of pack ${pack}`
    try {
      const end = bytes.length - TABLE_LENGTH_BYTES
      if (end < HEADER_BYTES) throw new CairnError('DATA_CORRUPT', `Cannot read ${what}: there are too few bytes`)
      const offset = end - Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).readUInt32LE(end)
      if (offset < HEADER_BYTES) throw new CairnError('DATA_CORRUPT', `Cannot read ${what}: its length makes no sense`)
      const header = bytes.subarray(0, HEADER_BYTES)
      const aead = openHeader(header, packKindOf(header), this.#keys, what)
      return { table: aead.open(offset, packData(header, 'table'), bytes.subarray(offset, end), what), offset }
    } catch (error) {
      if (!isCairnError(error)) throw error
      return error
    }
  }

  #readSegments(
    { id, sizeBytes, header }: PackClaim,
    bytes: Uint8Array,
    table: Uint8Array,
  ): { lost: LostPart[]; problem: string | undefined; end: number } {
    const lost: LostPart[] = []
    let problem: string | undefined
    let end = HEADER_BYTES
    for (const record of readPackTable(table, sizeBytes, `the index of pack ${id}`)) {
      end = record.offset + record.sealedBytes
      const found = this.#readSegment(id, header, bytes, record)
      problem ??= found.problem
      for (const position of found.lost) lost.push({ segmentOffset: record.offset, position })
    }
    return { lost, problem, end }
  }

  /** Reads one segment; gives the positions of chunks that are lost, or `undefined` for all of it. */
  #readSegment(
    pack: string,
    header: Uint8Array,
    bytes: Uint8Array,
    record: SegmentRecord,
  ): { lost: (number | undefined)[]; problem: string | undefined } {
    const lost: number[] = []
    let problem: string | undefined
    try {
      const { offset, sealedBytes, chunks, ids, rawBytes } = record
      const sealed = bytes.subarray(offset, offset + sealedBytes)
      if (sealed.length < sealedBytes)
        return { lost: [undefined], problem: `it ends before byte ${offset + sealedBytes}` }
      const segment = this.#reader.read({ pack, header, offset, bytes: sealed })
      for (let i = 0; i < chunks; i++) {
        try {
          this.#reader.verify(chunkAt(segment, i), ids.subarray(i * CHUNK_ID_BYTES, (i + 1) * CHUNK_ID_BYTES), pack)
        } catch (error) {
          if (!isCairnError(error)) throw error
          problem ??= error.message
          lost.push(i)
        }
      }
      if (segment.ends.length !== chunks || segment.bytes.length !== rawBytes) {
        problem ??= `the segment at byte ${offset} has other chunks than its table says`
      }
      release(segment.bytes)
    } catch (error) {
      if (!isCairnError(error)) throw error
      return { lost: [undefined], problem: error.message }
    }
    return { lost, problem }
  }
}

function describe(
  claim: PackClaim,
  bytes: number,
  isWritten: boolean,
  tableProblem: string | undefined,
  agrees: boolean,
): string | undefined {
  if (bytes !== claim.sizeBytes) return `it has ${bytes} bytes, the index says ${claim.sizeBytes}`
  if (!isWritten) return 'its bytes are not those that were written'
  return tableProblem ?? (agrees ? undefined : 'the index says other things of it than its own table')
}
