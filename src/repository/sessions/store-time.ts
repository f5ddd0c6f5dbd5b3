import type { AbortOptions } from '../../base/abort.ts'
import { toHex } from '../../base/ids.ts'
import { randomBytes } from '../../codec/random.ts'
import type { Storage } from '../../storage/storage.ts'
import { findObject } from './open-session.ts'

/**
 * The time by the store's clock, at a moment not before now: an object is put, looked at and deleted.
 *
 * @throws {CairnError} `STORAGE_DENIED` where objects may not be deleted
 */
export async function storeTime(storage: Storage, options: AbortOptions): Promise<number> {
  const key = `probe/${toHex(randomBytes(16))}`
  await storage.put(key, Buffer.alloc(0), options)
  const found = await findObject(storage, key, options)
  await storage.delete(key, options)
  return found?.modifiedAtMs ?? 0
}
