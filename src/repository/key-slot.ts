import { CairnError, isCairnError } from '../base/errors.ts'
import type { RepositoryId } from '../base/ids.ts'
import { Aead, TAG_BYTES } from '../codec/aead.ts'
import { deriveKey } from '../codec/hash.ts'
import { type Argon2Parameters, DEFAULT_ARGON2, argon2id } from '../codec/key-derivation.ts'
import { randomBytes } from '../codec/random.ts'
import { MASTER_KEY_BYTES } from './keys.ts'

/**
 * A key slot holds the master key wrapped under a passphrase; any one slot opens the repository. Slots lie at `keys/<id>` for
 * `repokey` and in a file of the user for `keyfile`. JSON, since people export, print and type it.
 */

const SALT_BYTES = 32

/** How hard a passphrase is to guess; cheaper ones are for tests. */
export interface WrapOptions {
  readonly argon2?: Argon2Parameters | undefined
}

/**
 * The text of a new slot. Without a passphrase the slot itself opens the repository: right for a key file that is kept secret,
 * never for a slot inside the repository.
 */
export async function wrapMasterKey(
  master: Uint8Array,
  repository: RepositoryId,
  passphrase: string | undefined,
  options: WrapOptions = {},
): Promise<string> {
  const salt = randomBytes(SALT_BYTES)
  const argon2 = options.argon2 ?? DEFAULT_ARGON2
  const wrapping =
    passphrase === undefined ? unprotectedKey(salt) : await argon2id(passphraseBytes(passphrase), salt, argon2)
  const sealed = Buffer.alloc(MASTER_KEY_BYTES + TAG_BYTES)
  new Aead('aes-256-gcm', wrapping).seal(0, slotData(repository), [master], sealed, 0)
  const kdf = passphrase === undefined ? { name: 'none' } : { name: 'argon2id', ...argon2 }
  return `${JSON.stringify({
    cairn_key: 1,
    repository,
    kdf,
    salt: salt.toString('base64'),
    sealed: sealed.toString('base64'),
  })}\n`
}

/** A slot as read from the store or a file. */
export interface KeySlot {
  readonly repository: string
  readonly needsPassphrase: boolean
  /**
   * The master key, or `undefined` when the passphrase is not this slot's.
   *
   * @throws {CairnError} `DATA_CORRUPT` when no passphrase can open it
   */
  unwrap(passphrase: string | undefined): Promise<Buffer | undefined>
}

/**
 * @param what names the slot in messages
 * @throws {CairnError} `DATA_CORRUPT` | `FORMAT_UNSUPPORTED`
 */
export function parseKeySlot(text: string, what: string): KeySlot {
  const { cairn_key: version, repository, kdf, salt, sealed } = parseJson(text, what)
  if (typeof version === 'number' && version > 1) {
    throw new CairnError('FORMAT_UNSUPPORTED', `Cannot read ${what}: a newer version of cairn wrote it`)
  }
  if (version !== 1 || typeof repository !== 'string' || typeof salt !== 'string' || typeof sealed !== 'string')
    throw damaged(what)
  const { name, memoryKiB, passes, parallelism } = (kdf ?? {}) as Record<string, unknown>
  const saltBytes = Buffer.from(salt, 'base64')
  const sealedBytes = Buffer.from(sealed, 'base64')
  if (name !== 'none' && name !== 'argon2id') {
    throw new CairnError('FORMAT_UNSUPPORTED', `Cannot read ${what}: it uses the key derivation '${String(name)}'`)
  }

  return {
    repository,
    needsPassphrase: name === 'argon2id',
    async unwrap(passphrase) {
      if (name === 'argon2id' && passphrase === undefined) return undefined
      const parameters = { memoryKiB, passes, parallelism } as Argon2Parameters
      const wrapping =
        name === 'none'
          ? unprotectedKey(saltBytes)
          : await argon2id(passphraseBytes(passphrase ?? ''), saltBytes, parameters).catch((error: unknown) => {
              throw isCairnError(error, 'DATA_CORRUPT') ? damaged(what, error) : error
            })
      try {
        return new Aead('aes-256-gcm', wrapping).open(0, slotData(repository), sealedBytes, what)
      } catch (error) {
        if (name === 'none') throw damaged(what, error)
        return undefined // the passphrase is not this slot's, or the slot is damaged: nobody can tell
      }
    },
  }
}

/** Unicode has several spellings of one text; keyboards differ in which they send. */
function passphraseBytes(passphrase: string): Buffer {
  return Buffer.from(passphrase.normalize('NFC'))
}

function unprotectedKey(salt: Uint8Array): Buffer {
  return deriveKey('cairn 2026 key slot without passphrase', salt)
}

function slotData(repository: string): Buffer {
  return Buffer.from(`cairn key slot 1 ${repository}`)
}

function damaged(what: string, cause?: unknown): CairnError {
  return new CairnError('DATA_CORRUPT', `Cannot read ${what}: it is damaged; use another copy of the key`, { cause })
}

function parseJson(text: string, what: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch (error) {
    throw damaged(what, error)
  }
  throw damaged(what)
}
