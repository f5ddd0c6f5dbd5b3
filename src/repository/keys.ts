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
 * The secrets of one open repository: every key is derived from the master key by BLAKE3's key derivation, one context a use.
 * Can be posted to worker threads as it is.
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
  /** One key for every kind of object. */
  readonly objects: Readonly<Record<ObjectKind, Uint8Array>>
}

/**
 * Derives all keys from a master key of 32 bytes; for an unencrypted repository from 32 zero bytes, which makes them public.
 */
export function deriveRepositoryKeys(master: Uint8Array, cipher: CipherName): RepositoryKeys {
  const derive = (use: string): Buffer => deriveKey(`cairn 2026 ${use}`, master)
  const gearHasher = new ChunkHasher(derive('chunker'))
  const objects = {} as Record<ObjectKind, Uint8Array>
  for (const kind of Object.keys(OBJECT_KINDS) as ObjectKind[]) objects[kind] = derive(kind)
  return {
    cipher,
    chunkId: cipher === 'none' ? undefined : derive('chunk id'),
    config: derive('config'),
    names: derive('names'),
    gear: Buffer.concat(Array.from({ length: 32 }, (_, block) => gearHasher.hash(Uint8Array.of(block)))),
    objects,
  }
}

/** The cipher with this number in a header. */
export function cipherOfCode(code: number, what: string): CipherName {
  for (const [name, value] of Object.entries(CIPHER_CODES)) if (value === code) return name as CipherName
  throw new CairnError('FORMAT_UNSUPPORTED', `Cannot read ${what}: cipher ${code} is unknown; a newer version wrote it`)
}
