import { CairnError } from '../base/errors.ts'
import type { CipherName } from '../codec/aead.ts'
import { ChunkHasher, deriveKey } from '../codec/hash.ts'

/**
 * What an object is; part of its header and of its key, so that one kind can never pass for another.
 * The numbers are part of the format.
 */
export const OBJECT_KINDS = {
  dataPack: 1,
  treePack: 2,
  index: 3,
  commit: 4,
  session: 5,
  label: 6,
  condemned: 7,
  waiting: 8,
} as const

export type ObjectKind = keyof typeof OBJECT_KINDS
/** The two kinds of packs: file content, and everything trees are made of. */
export type PackKind = 'dataPack' | 'treePack'

/** Numbers of the ciphers in object headers; part of the format. */
export const CIPHER_CODES: Readonly<Record<CipherName, number>> = {
  none: 0,
  'aes-256-gcm': 1,
  'chacha20-poly1305': 2,
}

export const MASTER_KEY_BYTES = 32

/**
 * The secrets of one open repository: every key is derived from a master key by BLAKE3's key derivation, one context a use. After
 * a rotation there are several master keys, the *generations*. Chunk ids, names and cut points stay those of the first, so that
 * what is equal is found again. Can be posted to worker threads as it is.
 */
export interface RepositoryKeys {
  readonly cipher: CipherName
  /** Keys chunk ids; `undefined` for an unencrypted repository, whose ids are plain BLAKE3. */
  readonly chunkId: Uint8Array | undefined
  /** Authenticates the repository's config. */
  readonly config: Uint8Array
  /** Hashes snapshot names, so that names on the store tell nothing. */
  readonly names: Uint8Array
  /** Table of the chunker: 256 values of 32 bits, little-endian. */
  readonly gear: Uint8Array
  /** One key for every kind of object, by generation. What is sealed is sealed under the last. */
  readonly objects: readonly Readonly<Record<ObjectKind, Uint8Array>>[]
}

/**
 * Derives all keys from the master keys of all generations, joined; for an unencrypted repository from 32 zero bytes, which makes
 * them public.
 */
export function deriveRepositoryKeys(ring: Uint8Array, cipher: CipherName): RepositoryKeys {
  const derive = (use: string, generation = 0): Buffer => deriveKey(`cairn 2026 ${use}`, masterKey(ring, generation))
  const gearHasher = new ChunkHasher(derive('chunker'))
  const objects = Array.from({ length: generationsOf(ring) }, (_, generation) => {
    const keys = {} as Record<ObjectKind, Uint8Array>
    for (const kind of Object.keys(OBJECT_KINDS) as ObjectKind[]) keys[kind] = derive(kind, generation)
    return keys
  })
  return {
    cipher,
    chunkId: cipher === 'none' ? undefined : derive('chunk id'),
    config: derive('config'),
    names: derive('names'),
    gear: Buffer.concat(Array.from({ length: 32 }, (_, block) => gearHasher.hash(Uint8Array.of(block)))),
    objects,
  }
}

/** How many master keys a key ring holds. */
export function generationsOf(ring: Uint8Array): number {
  return ring.length / MASTER_KEY_BYTES
}

/** One of the master keys of a ring; generations count from 0. */
export function masterKey(ring: Uint8Array, generation: number): Uint8Array {
  return ring.subarray(generation * MASTER_KEY_BYTES, (generation + 1) * MASTER_KEY_BYTES)
}

/** The cipher with this number in a header. */
export function cipherOfCode(code: number, what: string): CipherName {
  for (const [name, value] of Object.entries(CIPHER_CODES)) if (value === code) return name as CipherName
  throw new CairnError('FORMAT_UNSUPPORTED', `Cannot read ${what}: cipher ${code} is unknown; a newer version wrote it`)
}
