import { argon2 } from 'node:crypto'
import { promisify } from 'node:util'
import { CairnError } from '../base/errors.ts'

/** What deriving a key from a passphrase costs; stored beside the salt in the key slot it made. */
export interface Argon2Parameters {
  readonly memoryKiB: number
  /** How often the memory is gone through. */
  readonly passes: number
  /** How many parts of the memory can be filled at the same time. */
  readonly parallelism: number
}

/** The second recommended option of RFC 9106, section 4: 64 MiB; about 0.2 s on a machine of 2024. */
export const DEFAULT_ARGON2: Argon2Parameters = { memoryKiB: 64 * 1024, passes: 3, parallelism: 4 }

const MAX_MEMORY_KIB = 4 * 1024 * 1024
const MAX_PASSES = 64
const MAX_PARALLELISM = 255
const MIN_SALT_BYTES = 8

const argon2Async = promisify(argon2)

/**
 * Derives a 32-byte key from a passphrase by Argon2id (RFC 9106, version 1.3), away from the calling thread.
 *
 * Salt and parameters may come from a key slot that somebody else wrote: what no honest writer chooses is refused before
 * any memory is taken (more than 4 GiB, 64 passes or 255 lanes; a salt under 8 bytes).
 *
 * @throws {CairnError} `DATA_CORRUPT` for such a salt or such parameters
 */
export async function argon2id(
  passphrase: Uint8Array,
  salt: Uint8Array,
  parameters: Argon2Parameters,
): Promise<Buffer> {
  const { memoryKiB, passes, parallelism } = parameters
  requireWithin('parallelism', parallelism, 1, MAX_PARALLELISM)
  requireWithin('passes', passes, 1, MAX_PASSES)
  requireWithin('KiB of memory', memoryKiB, 8 * parallelism, MAX_MEMORY_KIB)
  requireWithin('bytes of salt', salt.length, MIN_SALT_BYTES, 1024)
  return argon2Async('argon2id', {
    message: passphrase,
    nonce: salt,
    parallelism,
    tagLength: 32,
    memory: memoryKiB,
    passes,
  })
}

function requireWithin(what: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return
  throw new CairnError(
    'DATA_CORRUPT',
    `Cannot derive a key from the passphrase: the key slot asks for ${value} ${what}, sensible are ${min} to ${max}`,
  )
}
