import { randomBytes } from 'node:crypto'
import type { AbortOptions } from '../base/abort.ts'
import type { Storage } from './storage.ts'

const FIRST = Uint8Array.of(1)
const SECOND = Uint8Array.of(2)

/**
 * Finds out whether a store really refuses the second of two `putIfAbsent`: some object stores accept the condition and
 * ignore it, and then no run may ever be fenced. Used at `init`; removes its object again as far as it can.
 *
 * @throws {CairnError} what the storage throws; `INVALID_ARGUMENT` from one that knows that it cannot
 */
export async function probePutIfAbsent(storage: Storage, options?: AbortOptions): Promise<boolean> {
  const key = `probe/${randomBytes(16).toString('hex')}`
  try {
    const first = await storage.putIfAbsent(key, FIRST, options)
    const second = await storage.putIfAbsent(key, SECOND, options)
    const kept = await storage.get(key, undefined, options)
    return first && !second && kept.length === 1 && kept[0] === FIRST[0]
  } finally {
    // Without the signal: an interrupted probe cleans up too.
    await storage.delete(key).catch(() => {})
  }
}
