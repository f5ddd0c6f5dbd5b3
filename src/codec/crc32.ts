import { crc32 as zlibCrc32 } from 'node:zlib'

/**
 * CRC-32 as zlib has it. Against typing errors, not against attackers: any error within 32 bits is noticed, and of others all but one
 * in four thousand million.
 *
 * @param before that of the bytes that came before
 */
export function crc32(data: Uint8Array, before = 0): number {
  return zlibCrc32(data, before)
}
