import type { AbortOptions } from '../base/abort.ts'
import { CairnError, isCairnError } from '../base/errors.ts'
import { toHex } from '../base/ids.ts'
import { deriveKey } from '../codec/hash.ts'
import type { Storage } from '../storage/storage.ts'
import { generationsOf, masterKey } from './keys.ts'
import { encodeSignedJson, isSignedBy, signedLine } from './signed-json.ts'

/**
 * Generations of the master key. A slot that holds one more master key than all before it proposes a generation; the object
 * `generations/<n>`, put once if absent, decides which key has the number n, and is put before anything is sealed under that key. So
 * of several rotations at once exactly one happens, and a crash leaves one that has happened or one that has not.
 */
function generationObjectKey(generation: number): string {
  return `generations/${generation}`
}

/** The number of the newest generation that is decided; 0 when the key was never rotated. */
export async function newestGeneration(storage: Storage, options: AbortOptions): Promise<number> {
  let newest = 0
  for await (const { key } of storage.list('generations/', options))
    newest = Math.max(newest, parseGenerationKey(key) ?? 0)
  return newest
}

/** The number in `generations/<n>`; `undefined` for a foreign name. */
function parseGenerationKey(key: string): number | undefined {
  const digits = /^generations\/([1-9]\d{0,8})$/.exec(key)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/**
 * Whether the keys of a ring are those of their generations. What is not decided yet is decided for this ring: so a rotation that was
 * interrupted is completed by the next run that opens its slot, before that run seals anything.
 *
 * @throws {CairnError} `DATA_CORRUPT` when the object of a generation was damaged or put there by somebody who has no key; what the
 *   store throws
 */
export async function settleGenerations(storage: Storage, ring: Uint8Array, options: AbortOptions): Promise<boolean> {
  for (let generation = 1; generation < generationsOf(ring); generation++) {
    const own = encodeGeneration(ring, generation)
    const found = await loadOrPut(storage, generationObjectKey(generation), own, options)
    if (!own.equals(found)) {
      verify(ring, generation, found)
      return false
    }
  }
  return true
}

/** What is stored under `key`, after `own` was put there if nothing was. */
async function loadOrPut(storage: Storage, key: string, own: Buffer, options: AbortOptions): Promise<Uint8Array> {
  try {
    return await storage.get(key, undefined, options)
  } catch (error) {
    if (!isCairnError(error, 'NOT_FOUND')) throw error
  }
  if (await storage.putIfAbsent(key, own, options)) return own
  return storage.get(key, undefined, options)
}

/**
 * Looks whether the object of a generation was put by somebody who could open the repository.
 *
 * @throws {CairnError} `DATA_CORRUPT` when not
 */
export async function verifyGeneration(
  storage: Storage,
  ring: Uint8Array,
  generation: number,
  options: AbortOptions,
): Promise<void> {
  const key = generationObjectKey(generation)
  verify(ring, generation, await storage.get(key, undefined, options))
}

function verify(ring: Uint8Array, generation: number, object: Uint8Array): void {
  if (isSignedBy(object, configKeyOf(ring))) {
    const { generation: number } = JSON.parse(signedLine(object)) as Record<string, unknown>
    if (number === generation) return
  }
  throw new CairnError(
    'DATA_CORRUPT',
    `Cannot use ${generationObjectKey(generation)}: it is damaged or was changed; put back a copy of this small file, or delete it and open the repository with a key made by the last rotation`,
  )
}

function encodeGeneration(ring: Uint8Array, generation: number): Buffer {
  const check = toHex(deriveKey('cairn 2026 generation', masterKey(ring, generation)))
  return encodeSignedJson({ generation, check }, configKeyOf(ring))
}

function configKeyOf(ring: Uint8Array): Buffer {
  return deriveKey('cairn 2026 config', masterKey(ring, 0))
}
