import { ByteReader, ByteWriter } from '../../base/binary.ts'
import { CHUNK_ID_BYTES, type PackId, type SessionId, asSessionId, toHex } from '../../base/ids.ts'
import { blake3 } from '../../codec/hash.ts'
import { type RepositoryKeys } from '../keys.ts'
import { MAX_PACK_BYTES } from '../pack/pack-format.ts'
import { HEADER_BYTES, openObject, sealObject } from '../sealed-object.ts'
import { CairnError } from '../../base/errors.ts'

/** What an index object says of one pack: enough to read any chunk of it without touching its table. */
export interface IndexedPack {
  readonly id: PackId
  readonly sizeBytes: number
  /** The pack's header: its kind, and the salt of its key. */
  readonly header: Uint8Array
  /** The pack's table, word for word. */
  readonly table: Uint8Array
}

/** Name of an index object, taken apart. */
export interface IndexName {
  readonly session: SessionId
  readonly number: number
}

/** Takes `index/<sid>-<n>-<hash>` apart; `undefined` for a foreign name. */
export function parseIndexKey(key: string): IndexName | undefined {
  const match = /^index\/([0-9a-f]{32})-(\d{1,9})-[0-9a-f]{64}$/.exec(key)
  const session = match ? asSessionId(match[1] as string) : undefined
  return session && { session, number: Number(match?.[2]) }
}

/** Seals the `number`-th index object of a session; its key ends with the hash of its bytes, so anybody can verify it. */
export function encodeIndex(
  keys: RepositoryKeys,
  session: SessionId,
  number: number,
  packs: readonly IndexedPack[],
): { key: string; object: Buffer } {
  const writer = new ByteWriter(64 << 10)
  for (const pack of packs) {
    writer.raw(Buffer.from(pack.id, 'hex'))
    writer.varint(pack.sizeBytes)
    writer.raw(pack.header)
    writer.bytes(pack.table)
  }
  const context = `index/${session}-${number}`
  const object = sealObject('index', keys, context, writer.view())
  return { key: `${context}-${toHex(blake3(object))}`, object }
}

/** @throws {CairnError} `DATA_CORRUPT` | `FORMAT_UNSUPPORTED`, naming the object */
export function decodeIndex(keys: RepositoryKeys, key: string, object: Uint8Array): IndexedPack[] {
  const name = parseIndexKey(key)
  if (!name) throw new CairnError('DATA_CORRUPT', `Cannot read ${key}: it is not named like an index object`)
  const reader = new ByteReader(openObject('index', keys, `index/${name.session}-${name.number}`, object), key)
  const packs: IndexedPack[] = []
  while (!reader.done) {
    const id = toHex(reader.raw(CHUNK_ID_BYTES)) as PackId
    const sizeBytes = reader.varint()
    if (sizeBytes > MAX_PACK_BYTES) throw reader.corrupt(`a pack has ${sizeBytes} bytes`)
    packs.push({ id, sizeBytes, header: reader.raw(HEADER_BYTES), table: reader.bytes() })
  }
  return packs
}
