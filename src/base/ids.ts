/**
 * Ids: one branded type per kind, so that a pack id is never passed where a session id is wanted.
 * Chunk ids live as 32 raw bytes in buffers; hex text is for names and messages.
 */

declare const brand: unique symbol
type Branded<T, Name extends string> = T & { readonly [brand]: Name }

/** Name of a pack: 64 hex digits, the unkeyed BLAKE3-256 of all bytes of the pack object. */
export type PackId = Branded<string, 'PackId'>
/** Name of one writing run and of the snapshot it commits: 32 hex digits, random. */
export type SessionId = Branded<string, 'SessionId'>
/** Name of a repository: 32 hex digits, random. */
export type RepositoryId = Branded<string, 'RepositoryId'>
/** Id of a chunk: 32 bytes, the keyed BLAKE3-256 of its plaintext. Never modify the bytes in place. */
export type ChunkId = Branded<Uint8Array, 'ChunkId'>

/** Bytes of a chunk id. */
export const CHUNK_ID_BYTES = 32

export function asPackId(text: string): PackId | undefined {
  return /^[0-9a-f]{64}$/.test(text) ? (text as PackId) : undefined
}

export function asSessionId(text: string): SessionId | undefined {
  return /^[0-9a-f]{32}$/.test(text) ? (text as SessionId) : undefined
}

export function asRepositoryId(text: string): RepositoryId | undefined {
  return /^[0-9a-f]{32}$/.test(text) ? (text as RepositoryId) : undefined
}

/** Takes over 32 bytes as a chunk id; a programming error otherwise. */
export function asChunkId(bytes: Uint8Array): ChunkId {
  if (bytes.length !== CHUNK_ID_BYTES) throw new RangeError(`A chunk id has 32 bytes, not ${bytes.length}`)
  return bytes as ChunkId
}

/** Hex text of raw bytes, for messages and object names. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
}
