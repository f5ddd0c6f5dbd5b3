/**
 * codec: bytes → bytes, synchronous and without state that outlives a call, so that every worker thread can use it:
 * hashing, encryption, compression; key derivation is the one thing that leaves the calling thread.
 *
 * BLAKE3 by `@napi-rs/blake-hash`, which reads any `Uint8Array` in place: views, WebAssembly memory, shared memory.
 */
import { Blake3Hasher, blake3 as blake3Of } from '@napi-rs/blake-hash'

/** Bytes of every hash and of every hash key. */
export const HASH_BYTES = 32

/** Unkeyed BLAKE3-256, for names that anybody may check; 32 bytes that the caller owns. */
export function blake3(data: Uint8Array): Buffer {
  return blake3Of(data)
}

/**
 * Derives a 32-byte key from secret `material` for one purpose (BLAKE3's derive_key mode); the caller owns it.
 *
 * @param context hardcoded, globally unique text that names the purpose, never built from input (BLAKE3 paper, 2.3)
 */
export function deriveKey(context: string, material: Uint8Array): Buffer {
  return Blake3Hasher.deriveKey(context, material)
}

/**
 * Names chunks: BLAKE3-256, keyed when a key is given, so that without the key nobody can tell which content an id stands for.
 *
 * One per thread and key, used for every chunk: making a keyed hasher costs more than hashing 4 KiB.
 */
export class ChunkHasher {
  readonly #hasher: Blake3Hasher

  /** @throws {RangeError} when the key is not 32 bytes */
  constructor(key?: Uint8Array) {
    // The library aborts the whole process on a key of any other length.
    if (key && key.length !== HASH_BYTES) throw new RangeError(`a hash key is ${HASH_BYTES} bytes, not ${key.length}`)
    this.#hasher = key ? Blake3Hasher.newKeyed(Buffer.from(key)) : new Blake3Hasher()
  }

  /** The hash of `data` alone; 32 bytes that the caller owns. */
  hash(data: Uint8Array): Buffer {
    // By way of text: a buffer made outside V8 costs more than both conversions, and the garbage collector a visit later.
    const hash = Buffer.from(this.#hasher.update(data).digest(), 'hex')
    this.#hasher.reset()
    return hash
  }
}
