import { CairnError } from '../base/errors.ts'
import { Aead, TAG_BYTES } from '../codec/aead.ts'
import { ChunkHasher } from '../codec/hash.ts'
import { randomBytes } from '../codec/random.ts'
import { CIPHER_CODES, OBJECT_KINDS, type ObjectKind, type RepositoryKeys, cipherOfCode } from './keys.ts'

/**
 * The header that begins every sealed object (docs/format.md, "Sealed objects"), packs included: magic, format version, kind,
 * cipher, key generation, salt. It is associated data of everything sealed below it, and the salt makes the object's own key.
 */
export const HEADER_BYTES = 48
export const FORMAT_VERSION = 1

const MAGIC = Buffer.from('CAIRN')
const KIND_OFFSET = 6
const GENERATION_OFFSET = 8
const SALT_OFFSET = 16

/** A fresh header of the newest key generation, with a random salt. */
export function newHeader(kind: ObjectKind, keys: RepositoryKeys): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  MAGIC.copy(header)
  header[5] = FORMAT_VERSION
  header[KIND_OFFSET] = OBJECT_KINDS[kind]
  header[7] = CIPHER_CODES[keys.cipher]
  header.writeBigUInt64LE(BigInt(keys.objects.length - 1), GENERATION_OFFSET)
  header.set(randomBytes(HEADER_BYTES - SALT_OFFSET), SALT_OFFSET)
  return header
}

/**
 * The cipher and key for what stands below this header.
 *
 * @throws {CairnError} `DATA_CORRUPT` when it is no header of this kind, `FORMAT_UNSUPPORTED` when a newer version wrote it, or a
 *   run that knew a key generation which these keys lack
 */
export function openHeader(header: Uint8Array, kind: ObjectKind, keys: RepositoryKeys, what: string): Aead {
  if (header.length < HEADER_BYTES || !MAGIC.equals(header.subarray(0, MAGIC.length))) {
    throw new CairnError('DATA_CORRUPT', `Cannot read ${what}: it does not begin like an object of a repository`)
  }
  const version = header[5] ?? 0
  if (version !== FORMAT_VERSION) {
    throw new CairnError(
      'FORMAT_UNSUPPORTED',
      `Cannot read ${what}: it has format ${version}, this version knows ${FORMAT_VERSION}`,
    )
  }
  if (header[KIND_OFFSET] !== OBJECT_KINDS[kind]) {
    throw new CairnError(
      'DATA_CORRUPT',
      `Cannot read ${what}: want kind ${OBJECT_KINDS[kind]}, its header says ${header[KIND_OFFSET]}`,
    )
  }
  const cipher = cipherOfCode(header[7] ?? 0, what)
  // An attacker may not choose that an encrypted repository's object is read as plain text.
  if (cipher !== keys.cipher) {
    throw new CairnError('DATA_CORRUPT', `Cannot read ${what}: want cipher ${keys.cipher}, its header says ${cipher}`)
  }
  const generation = Buffer.from(header.subarray(GENERATION_OFFSET, SALT_OFFSET)).readBigUInt64LE()
  const key = keys.objects[Number(generation)]?.[kind]
  if (!key) {
    throw new CairnError(
      'FORMAT_UNSUPPORTED',
      `Cannot read ${what}: it is sealed under key generation ${generation}, newer than this run knows; if the key was rotated since it began, run it again`,
    )
  }
  return new Aead(cipher, new ChunkHasher(key).hash(header.subarray(SALT_OFFSET, HEADER_BYTES)))
}

/** A whole small object: header, then `plaintext` sealed under the object's own key, bound to `context` (its storage key). */
export function sealObject(kind: ObjectKind, keys: RepositoryKeys, context: string, plaintext: Uint8Array): Buffer {
  const object = Buffer.alloc(HEADER_BYTES + plaintext.length + TAG_BYTES)
  const header = newHeader(kind, keys)
  header.copy(object)
  openHeader(header, kind, keys, context).seal(0, associatedData(header, context), [plaintext], object, HEADER_BYTES)
  return object
}

/**
 * The plaintext of an object made by `sealObject` with the same kind, keys and context.
 *
 * @throws {CairnError} `DATA_CORRUPT` | `FORMAT_UNSUPPORTED`, naming `context`
 */
export function openObject(kind: ObjectKind, keys: RepositoryKeys, context: string, object: Uint8Array): Buffer {
  const header = object.subarray(0, HEADER_BYTES)
  const aead = openHeader(header, kind, keys, context)
  return aead.open(0, associatedData(header, context), object.subarray(HEADER_BYTES), context)
}

/** The JSON object in an opened object. @throws {CairnError} `DATA_CORRUPT` naming `what` when it is nothing of the kind */
export function parseObject(plaintext: Buffer, what: string): Record<string, unknown> {
  const damaged = (cause?: unknown): CairnError =>
    new CairnError('DATA_CORRUPT', `Cannot read ${what}: it does not hold a JSON object`, { cause })
  let value: unknown
  try {
    value = JSON.parse(plaintext.toString('utf8'))
  } catch (error) {
    throw damaged(error)
  }
  if (typeof value !== 'object' || value === null) throw damaged()
  return value as Record<string, unknown>
}

function associatedData(header: Uint8Array, context: string): Buffer {
  return Buffer.concat([header, Buffer.from(context)])
}
