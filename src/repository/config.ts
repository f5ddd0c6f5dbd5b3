import { CairnError, isCairnError } from '../base/errors.ts'
import { type RepositoryId, asRepositoryId } from '../base/ids.ts'
import type { CipherName } from '../codec/aead.ts'
import { type ChunkerParams, validateChunkerParams } from '../chunker/params.ts'
import { FORMAT_VERSION } from './sealed-object.ts'
import { encodeSignedJson, isSignedBy, signedLine } from './signed-json.ts'

/** Where the master key is kept: wrapped inside the repository, wrapped in a file of the user, or nowhere. Borg's words. */
export type EncryptionMode = 'repokey' | 'keyfile' | 'none'

/** What may be changed later, for all runs that open the repository from then on. Sizes are in bytes; 0 is off. */
export interface RepositorySettings {
  /** No pack is stored that would leave less than this on the store. */
  readonly additionalFreeSpace: number
  /** No pack is stored that would make the repository larger than this. */
  readonly storageQuota: number
  /** Nothing is deleted or overwritten but by who turns this off: see `GuardOptions`. */
  readonly appendOnly: boolean
}

/** What `init` fixed for good, and the settings. Stored in plain as the object `config`, authenticated under the first master key. */
export interface RepositoryConfig {
  readonly id: RepositoryId
  readonly encryption: EncryptionMode
  readonly cipher: CipherName
  readonly chunker: ChunkerParams
  /** UTC, ISO 8601. */
  readonly createdAt: string
  readonly settings: RepositorySettings
}

export const CONFIG_KEY = 'config'

export const DEFAULT_SETTINGS: RepositorySettings = { additionalFreeSpace: 0, storageQuota: 0, appendOnly: false }

const ENCRYPTION_MODES = new Set<unknown>(['repokey', 'keyfile', 'none'])
const CIPHERS = new Set<unknown>(['none', 'aes-256-gcm', 'chacha20-poly1305'])

/** The config object: one line of JSON, and one line with its keyed hash. */
export function encodeConfig(config: RepositoryConfig, key: Uint8Array): Buffer {
  const { settings, ...rest } = config
  return encodeSignedJson({ cairn: FORMAT_VERSION, ...rest, ...fieldsOf(settings) }, key)
}

/**
 * The config object with other settings. All else stays word for word, also fields that only a newer version knows.
 *
 * @throws {CairnError} as `decodeConfig`; `DATA_CORRUPT` too when the object does not authenticate
 */
export function changeSettings(object: Uint8Array, key: Uint8Array, changes: Partial<RepositorySettings>): Buffer {
  const { config, authenticate } = decodeConfig(object)
  authenticate(key)
  const { additionalFreeSpace: _, storageQuota: __, appendOnly: ___, ...rest } = parseJson(signedLine(object))
  return encodeSignedJson({ ...rest, ...fieldsOf({ ...config.settings, ...changes }) }, key)
}

/** A setting that is off is left out, so that a config without settings is that of a version that has none. */
function fieldsOf(settings: RepositorySettings): Record<string, number | boolean> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== 0 && value !== false))
}

/**
 * Reads the config before any key is known; call `authenticate` with the config key before relying on it.
 *
 * @throws {CairnError} `FORMAT_UNSUPPORTED` for a newer format, `DATA_CORRUPT` when it makes no sense
 */
export function decodeConfig(object: Uint8Array): {
  config: RepositoryConfig
  authenticate: (key: Uint8Array) => void
} {
  const value = parseJson(signedLine(object))
  const { cairn, id, encryption, cipher, chunker, createdAt } = value
  const { additionalFreeSpace = 0, storageQuota = 0, appendOnly = false } = value
  if (typeof cairn === 'number' && cairn > FORMAT_VERSION) {
    throw new CairnError(
      'FORMAT_UNSUPPORTED',
      `Cannot open the repository: it has format ${cairn}, this version knows up to ${FORMAT_VERSION}; install a newer version of cairn`,
    )
  }
  const repositoryId = typeof id === 'string' ? asRepositoryId(id) : undefined
  if (cairn !== FORMAT_VERSION || !repositoryId || !ENCRYPTION_MODES.has(encryption) || !CIPHERS.has(cipher)) {
    throw damaged()
  }
  if ((encryption === 'none') !== (cipher === 'none') || typeof createdAt !== 'string') throw damaged()
  if (!isSize(additionalFreeSpace) || !isSize(storageQuota) || typeof appendOnly !== 'boolean') throw damaged()
  return {
    config: {
      id: repositoryId,
      encryption: encryption as EncryptionMode,
      cipher: cipher as CipherName,
      chunker: validateChunkerParams(chunker),
      createdAt,
      settings: { additionalFreeSpace, storageQuota, appendOnly },
    },
    authenticate(key) {
      if (!isSignedBy(object, key)) throw damaged()
    },
  }
}

/**
 * Whether a config object says that a repository is append-only, as far as can be told without a key: a server keeps its clients to
 * that, who could not have written it. One that makes no sense counts as saying so.
 */
export function saysAppendOnly(object: Uint8Array): boolean {
  try {
    return decodeConfig(object).config.settings.appendOnly
  } catch (error) {
    if (!isCairnError(error)) throw error
    return true
  }
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function damaged(cause?: unknown): CairnError {
  return new CairnError(
    'DATA_CORRUPT',
    "Cannot open the repository: its object 'config' is damaged or was changed; put back an intact copy of this small file",
    { cause },
  )
}

function parseJson(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch (error) {
    throw damaged(error)
  }
  throw damaged()
}
