import { CairnError, isCairnError } from '../base/errors.ts'
import type { RepositoryId } from '../base/ids.ts'
import { Aead, TAG_BYTES } from '../codec/aead.ts'
import { ChunkHasher, deriveKey } from '../codec/hash.ts'
import { type Argon2Parameters, DEFAULT_ARGON2, argon2id } from '../codec/key-derivation.ts'
import { randomBytes } from '../codec/random.ts'
import { MASTER_KEY_BYTES, generationsOf, masterKey } from './keys.ts'
import { canonicalRecoveryKey } from './recovery-key.ts'

/**
 * A key slot holds the key ring (the master keys of all generations) wrapped under a passphrase; any one slot opens the
 * repository. Slots lie at `keys/<id>` for `repokey` and in files of the user for `keyfile`. JSON, since people copy them.
 */

const SALT_BYTES = 32

/** What a slot says of itself. Sealed under the newest master key: only who can open the repository can read or change it. */
export interface SlotNotes {
  readonly label: string
  /** UTC, ISO 8601. */
  readonly createdAt: string
  /** Its passphrase is a recovery key. */
  readonly isRecovery: boolean
}

/** How hard a passphrase is to guess (cheaper ones are for tests), and what the slot says of itself. */
export interface WrapOptions {
  readonly argon2?: Argon2Parameters | undefined
  readonly notes?: SlotNotes | undefined
}

/** What is in a slot, and needed to open it again. */
export interface SlotFields {
  readonly repository: string
  /** `undefined`: it opens without a passphrase. */
  readonly argon2: Argon2Parameters | undefined
  readonly salt: Uint8Array
  readonly sealed: Uint8Array
  readonly notes?: Uint8Array | undefined
}

/**
 * The text of a new slot. Without a passphrase the slot itself opens the repository: right for a key file that is kept secret,
 * never for a slot inside the repository.
 */
export async function wrapKeyRing(
  ring: Uint8Array,
  repository: RepositoryId,
  passphrase: string | undefined,
  options: WrapOptions = {},
): Promise<string> {
  const salt = randomBytes(SALT_BYTES)
  const argon2 = passphrase === undefined ? undefined : (options.argon2 ?? DEFAULT_ARGON2)
  const wrapping = await wrappingKey(passphrase, salt, argon2)
  const sealed = Buffer.alloc(ring.length + TAG_BYTES)
  new Aead('aes-256-gcm', wrapping).seal(0, slotData(repository), [ring], sealed, 0)
  const notes = options.notes && sealNotes(options.notes, ring, repository, salt)
  return formatSlot({ repository, argon2, salt, sealed, notes })
}

/** The text of a slot with these fields. */
export function formatSlot({ repository, argon2, salt, sealed, notes }: SlotFields): string {
  return `${JSON.stringify({
    cairn_key: 1,
    repository,
    kdf: argon2 ? { name: 'argon2id', ...argon2 } : { name: 'none' },
    salt: toBase64(salt),
    sealed: toBase64(sealed),
    ...(notes ? { notes: toBase64(notes) } : {}),
  })}\n`
}

/** A slot as read from the store or a file. */
export interface KeySlot {
  readonly repository: string
  readonly needsPassphrase: boolean
  /** How many master keys it holds. */
  readonly generations: number
  readonly fields: SlotFields
  /**
   * The key ring, or `undefined` when the passphrase is not this slot's.
   *
   * @throws {CairnError} `DATA_CORRUPT` when no passphrase can open it
   */
  unwrap(passphrase: string | undefined): Promise<Buffer | undefined>
  /** What it says of itself, given a ring of at least as many generations; `undefined` when it says nothing, or was changed. */
  notes(ring: Uint8Array): SlotNotes | undefined
}

/**
 * @param what names the slot in messages
 * @throws {CairnError} `DATA_CORRUPT` | `FORMAT_UNSUPPORTED`
 */
export function parseKeySlot(text: string, what: string): KeySlot {
  const { cairn_key: version, repository, kdf, salt, sealed, notes } = parseJson(text, what)
  if (typeof version === 'number' && version > 1) {
    throw new CairnError('FORMAT_UNSUPPORTED', `Cannot read ${what}: a newer version of cairn wrote it`)
  }
  if (version !== 1 || typeof repository !== 'string' || typeof salt !== 'string' || typeof sealed !== 'string')
    throw damaged(what)
  const { name, memoryKiB, passes, parallelism } = (kdf ?? {}) as Record<string, unknown>
  if (name !== 'none' && name !== 'argon2id') {
    throw new CairnError('FORMAT_UNSUPPORTED', `Cannot read ${what}: it uses the key derivation '${String(name)}'`)
  }
  const fields: SlotFields = {
    repository,
    argon2: name === 'none' ? undefined : ({ memoryKiB, passes, parallelism } as Argon2Parameters),
    salt: Buffer.from(salt, 'base64'),
    sealed: Buffer.from(sealed, 'base64'),
    notes: typeof notes === 'string' ? Buffer.from(notes, 'base64') : undefined,
  }
  const ringBytes = fields.sealed.length - TAG_BYTES
  if (ringBytes < MASTER_KEY_BYTES || ringBytes % MASTER_KEY_BYTES !== 0) throw damaged(what)

  return {
    repository,
    needsPassphrase: fields.argon2 !== undefined,
    generations: ringBytes / MASTER_KEY_BYTES,
    fields,
    async unwrap(passphrase) {
      if (fields.argon2 && passphrase === undefined) return undefined
      const wrapping = await wrappingKey(passphrase, fields.salt, fields.argon2).catch((error: unknown) => {
        throw isCairnError(error, 'DATA_CORRUPT') ? damaged(what, error) : error
      })
      try {
        return new Aead('aes-256-gcm', wrapping).open(0, slotData(repository), fields.sealed, what)
      } catch (error) {
        if (!fields.argon2) throw damaged(what, error)
        return undefined // the passphrase is not this slot's, or the slot is damaged: nobody can tell
      }
    },
    notes: (ring) => openNotes(fields, ring, what),
  }
}

function wrappingKey(
  passphrase: string | undefined,
  salt: Uint8Array,
  argon2: Argon2Parameters | undefined,
): Promise<Buffer> {
  if (!argon2) return Promise.resolve(deriveKey('cairn 2026 key slot without passphrase', salt))
  return argon2id(passphraseBytes(passphrase ?? ''), salt, argon2)
}

/** Unicode has several spellings of one text, and keyboards differ in which they send; recovery keys may be typed in many ways. */
function passphraseBytes(passphrase: string): Buffer {
  return Buffer.from(canonicalRecoveryKey(passphrase) ?? passphrase.normalize('NFC'))
}

function slotData(repository: string): Buffer {
  return Buffer.from(`cairn key slot 1 ${repository}`)
}

function notesData(repository: string): Buffer {
  return Buffer.from(`cairn key slot notes 1 ${repository}`)
}

/** Notes have a key of their own, by the slot's salt, so those of one slot cannot be put into another. */
function notesCipher(ring: Uint8Array, generations: number, salt: Uint8Array): Aead {
  const key = deriveKey('cairn 2026 key slot notes', masterKey(ring, generations - 1))
  return new Aead('aes-256-gcm', new ChunkHasher(key).hash(salt))
}

function sealNotes(notes: SlotNotes, ring: Uint8Array, repository: string, salt: Uint8Array): Buffer {
  const plaintext = Buffer.from(JSON.stringify(notes))
  const sealed = Buffer.alloc(plaintext.length + TAG_BYTES)
  notesCipher(ring, generationsOf(ring), salt).seal(0, notesData(repository), [plaintext], sealed, 0)
  return sealed
}

function openNotes(fields: SlotFields, ring: Uint8Array, what: string): SlotNotes | undefined {
  const generations = (fields.sealed.length - TAG_BYTES) / MASTER_KEY_BYTES
  if (!fields.notes || generations > generationsOf(ring)) return undefined
  try {
    const cipher = notesCipher(ring, generations, fields.salt)
    const text = cipher.open(0, notesData(fields.repository), fields.notes, what).toString('utf8')
    return JSON.parse(text) as SlotNotes // authenticated, so it is what was written
  } catch (error) {
    if (!isCairnError(error, 'DATA_CORRUPT')) throw error
    return undefined
  }
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

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}
