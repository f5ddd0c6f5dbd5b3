import type { AbortOptions } from '../../base/abort.ts'
import { CairnError } from '../../base/errors.ts'
import type { PackId } from '../../base/ids.ts'
import { TAG_BYTES } from '../../codec/aead.ts'
import type { Storage } from '../../storage/storage.ts'
import type { IndexedPack } from '../index/index-object.ts'
import type { RepositoryKeys } from '../keys.ts'
import { HEADER_BYTES, openHeader } from '../sealed-object.ts'
import { packKindOf } from '../segment-reader.ts'
import { MAX_PACK_BYTES, TABLE_LENGTH_BYTES, packData, packKey, readPackTable } from './pack-format.ts'

/** Read from the end of a pack at once; the tables of most packs fit, and few need a second read. */
const TAIL_BYTES = 64 << 10
const MIN_PACK_BYTES = HEADER_BYTES + TAG_BYTES + TABLE_LENGTH_BYTES

/**
 * What an index would say of a pack, from the pack's own header and the sealed table at its end. Segments are not read, but the
 * table accounts for every byte of the object.
 *
 * @throws {CairnError} `DATA_CORRUPT` naming the pack unless its table authenticates and agrees with `sizeBytes`;
 *   `FORMAT_UNSUPPORTED` when a newer version wrote it; `NOT_FOUND`
 */
export async function loadPackTable(
  storage: Storage,
  keys: RepositoryKeys,
  id: PackId,
  sizeBytes: number,
  options: AbortOptions = {},
): Promise<IndexedPack> {
  const what = `pack ${id}`
  const wrongSize = (found: string): CairnError =>
    new CairnError('DATA_CORRUPT', `Cannot read the table of ${what}: of its ${sizeBytes} bytes ${found}`)
  if (sizeBytes < MIN_PACK_BYTES || sizeBytes > MAX_PACK_BYTES) throw wrongSize('no pack is made')
  const get = (offset: number, length: number): Promise<Uint8Array> =>
    storage.get(packKey(id), { offset, length }, options)

  const header = await get(0, HEADER_BYTES)
  const aead = openHeader(header, packKindOf(header), keys, what)
  const tailBytes = Math.min(TAIL_BYTES, sizeBytes - HEADER_BYTES)
  const tail = Buffer.from(await get(sizeBytes - tailBytes, tailBytes))
  const sealedBytes = tail.readUInt32LE(tailBytes - TABLE_LENGTH_BYTES)
  const offset = sizeBytes - TABLE_LENGTH_BYTES - sealedBytes
  if (offset < HEADER_BYTES) throw wrongSize(`${sealedBytes} would be its table`)
  const sealed =
    sealedBytes + TABLE_LENGTH_BYTES <= tailBytes
      ? tail.subarray(tailBytes - TABLE_LENGTH_BYTES - sealedBytes, tailBytes - TABLE_LENGTH_BYTES)
      : await get(offset, sealedBytes)
  const table = aead.open(offset, packData(header, 'table'), sealed, `the table of ${what}`)
  let end = HEADER_BYTES
  for (const segment of readPackTable(table, offset, `the table of ${what}`)) end += segment.sealedBytes
  if (end !== offset) throw wrongSize(`its table accounts for ${end + sizeBytes - offset}`)
  return { id, sizeBytes, header, table }
}
