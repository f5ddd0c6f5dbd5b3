import { randomBytes as systemRandomBytes, timingSafeEqual } from 'node:crypto'

/** `length` unpredictable bytes for keys, salts and ids, that the caller owns. */
export function randomBytes(length: number): Buffer {
  return systemRandomBytes(length)
}

/** Whether two secrets are equal, in a time that tells nothing about where they differ (their lengths are not secret). */
export function constantTimeEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}
