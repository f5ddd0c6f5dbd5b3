import { CairnError } from '../base/errors.ts'
import { type RepositoryId, asRepositoryId, toHex } from '../base/ids.ts'
import type { CipherName } from '../codec/aead.ts'
import { ChunkHasher } from '../codec/hash.ts'
import { constantTimeEqual } from '../codec/random.ts'
import { type ChunkerParams, validateChunkerParams } from '../chunker/params.ts'
import { FORMAT_VERSION } from './sealed-object.ts'

/** Where the master key is kept: wrapped inside the repository, wrapped in a file of the user, or nowhere. Borg's words. */
export type EncryptionMode = 'repokey' | 'keyfile' | 'none'

/** What `init` fixed for good. Stored in plain as the object `config`, authenticated under the master key. */
export interface RepositoryConfig {
  readonly id: RepositoryId
  readonly encryption: EncryptionMode
  readonly cipher: CipherName
  readonly chunker: ChunkerParams
  /** UTC, ISO 8601. */
  readonly createdAt: string
}

export const CONFIG_KEY = 'config'

const ENCRYPTION_MODES = new Set<unknown>(['repokey', 'keyfile', 'none'])
const CIPHERS = new Set<unknown>(['none', 'aes-256-gcm', 'chacha20-poly1305'])

/** The config object: one line of JSON, and one line with its keyed hash. */
export function encodeConfig(config: RepositoryConfig, key: Uint8Array): Buffer {
  const line = JSON.stringify({ cairn: FORMAT_VERSION, ...config })
  return Buffer.from(`${line}\n${toHex(new ChunkHasher(key).hash(Buffer.from(line)))}\n`)
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
  const [line = '', hash = ''] = Buffer.from(object).toString('utf8').split('\n')
  const value = parseJson(line)
  const { cairn, id, encryption, cipher, chunker, createdAt } = value
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
  return {
    config: {
      id: repositoryId,
      encryption: encryption as EncryptionMode,
      cipher: cipher as CipherName,
      chunker: validateChunkerParams(chunker),
      createdAt,
    },
    authenticate(key) {
      const want = Buffer.from(toHex(new ChunkHasher(key).hash(Buffer.from(line))))
      const found = Buffer.from(hash)
      if (want.length !== found.length || !constantTimeEqual(want, found)) throw damaged()
    },
  }
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
