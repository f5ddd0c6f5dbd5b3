import { toHex } from '../base/ids.ts'
import { ChunkHasher } from '../codec/hash.ts'
import { constantTimeEqual } from '../codec/random.ts'

/**
 * Small objects that are read before or without the keys of sealed ones: one line of JSON in plain, and one line with its keyed
 * hash (docs/format.md, "Config").
 */
export function encodeSignedJson(fields: Readonly<Record<string, unknown>>, key: Uint8Array): Buffer {
  const line = JSON.stringify(fields)
  return Buffer.from(`${line}\n${hashOf(line, key)}\n`)
}

/** The line of JSON; to be relied on once `isSignedBy` says so. */
export function signedLine(object: Uint8Array): string {
  return Buffer.from(object).toString('utf8').split('\n')[0] ?? ''
}

/** Whether the hash is that of the line under `key`. */
export function isSignedBy(object: Uint8Array, key: Uint8Array): boolean {
  const [line = '', hash = ''] = Buffer.from(object).toString('utf8').split('\n')
  return constantTimeEqual(Buffer.from(hashOf(line, key)), Buffer.from(hash))
}

function hashOf(line: string, key: Uint8Array): string {
  return toHex(new ChunkHasher(key).hash(Buffer.from(line)))
}
