import { CairnError } from '../base/errors.ts'
import type { ByteRange } from './storage.ts'

/** Longest key in characters: one part of this length fits the 255 bytes that file systems give a name. */
export const MAX_KEY_LENGTH = 200

const KEY = /^[a-z0-9_-][a-z0-9_.-]*(?:\/[a-z0-9_-][a-z0-9_.-]*)*$/

/** Whether `text` is a key, so that nothing else found in a store is taken for an object. */
export function isKey(text: string): boolean {
  return text.length <= MAX_KEY_LENGTH && KEY.test(text)
}

/**
 * Keeps every operation inside the store: keys come from users and from objects read back, and `../../etc` must not be one.
 *
 * @throws {CairnError} `INVALID_ARGUMENT`
 */
export function checkKey(key: string): void {
  if (isKey(key)) return
  const shown = key.length > MAX_KEY_LENGTH ? `${key.slice(0, 40)}… (${key.length} characters)` : JSON.stringify(key)
  throw new CairnError(
    'INVALID_ARGUMENT',
    `Cannot use the storage key ${shown}: want 1 to ${MAX_KEY_LENGTH} of a-z 0-9 - _ . in parts joined by /, ` +
      'no part empty or beginning with a dot',
  )
}

/**
 * Refuses what is no range of any object. What ends past a certain object is for the implementation to find, see `rangeError`.
 *
 * @throws {CairnError} `INVALID_ARGUMENT`
 */
export function checkRange(key: string, range: ByteRange | undefined): void {
  if (!range) return
  const { offset, length } = range
  if (Number.isSafeInteger(offset) && offset >= 0 && Number.isSafeInteger(length) && length >= 1) return
  throw new CairnError(
    'INVALID_ARGUMENT',
    `Cannot read ${key}: want an offset of at least 0 and a length of at least 1, not ${offset} and ${length}`,
  )
}

/** The error of an object that ends before the wanted range does. */
export function rangeError(key: string, wantedBytes: number, gotBytes: number, offset = 0): CairnError {
  return new CairnError(
    'DATA_CORRUPT',
    `Cannot read ${key}: want ${wantedBytes} bytes from byte ${offset}, found ${gotBytes}`,
    { details: { key, offset, wantedBytes, gotBytes } },
  )
}
