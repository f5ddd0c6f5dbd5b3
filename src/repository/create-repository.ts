import { type Clock, systemClock } from '../base/clock.ts'
import { CairnError } from '../base/errors.ts'
import { type RepositoryId, toHex } from '../base/ids.ts'
import { randomBytes } from '../codec/random.ts'
import { type ChunkerParams, DEFAULT_CHUNKER_PARAMS } from '../chunker/params.ts'
import { probePutIfAbsent } from '../storage/put-if-absent-probe.ts'
import type { Storage } from '../storage/storage.ts'
import {
  CONFIG_KEY,
  DEFAULT_SETTINGS,
  type EncryptionMode,
  type RepositoryConfig,
  type RepositorySettings,
  encodeConfig,
} from './config.ts'
import { type WrapOptions, wrapKeyRing } from './key-slot.ts'
import { MASTER_KEY_BYTES, deriveRepositoryKeys } from './keys.ts'
import { Repository } from './repository.ts'
import { type KeyFiles } from './slot-store.ts'

export interface CreateRepositoryOptions extends WrapOptions {
  readonly encryption: EncryptionMode
  /** Required for `repokey`; for `keyfile`, `undefined` makes a key file that opens the repository by itself. */
  readonly passphrase: string | undefined
  readonly keyFiles: KeyFiles
  readonly chunker?: ChunkerParams | undefined
  /** Those that are not to have their default. */
  readonly settings?: Partial<RepositorySettings> | undefined
  readonly clock?: Clock | undefined
}

/** Keys that an interrupted init may leave behind; without a config they are worth nothing, and nothing is in their way. */
const LEFTOVERS = ['probe/', 'keys/']

/**
 * Makes a new repository on an empty storage and returns it open. What an interrupted try has left there is no obstacle.
 *
 * @throws {CairnError} `REPOSITORY_EXISTS`, `INVALID_ARGUMENT` when something else is there or the store cannot refuse a second
 *   put; then nothing is left behind
 */
export async function createRepository(storage: Storage, options: CreateRepositoryOptions): Promise<Repository> {
  await requireVacant(storage)
  if (!(await probePutIfAbsent(storage))) {
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot make a repository at ${storage.location}: this store lets a second put replace the first, so runs could overwrite each other's commits`,
    )
  }
  const encrypted = options.encryption !== 'none'
  const master = encrypted ? randomBytes(MASTER_KEY_BYTES) : Buffer.alloc(MASTER_KEY_BYTES)
  const config: RepositoryConfig = {
    id: toHex(randomBytes(16)) as RepositoryId,
    encryption: options.encryption,
    cipher: encrypted ? 'aes-256-gcm' : 'none',
    chunker: options.chunker ?? DEFAULT_CHUNKER_PARAMS,
    createdAt: new Date((options.clock ?? systemClock).now()).toISOString(),
    settings: { ...DEFAULT_SETTINGS, ...options.settings },
  }
  const keys = deriveRepositoryKeys(master, config.cipher)
  const wrapOptions = { notes: { label: '', createdAt: config.createdAt, isRecovery: false }, ...options }

  const slotKey = `keys/${toHex(randomBytes(16))}`
  if (options.encryption === 'repokey') {
    if (options.passphrase === undefined)
      throw new CairnError('INVALID_ARGUMENT', 'Cannot make a repokey repository: it needs a passphrase')
    const slot = await wrapKeyRing(master, config.id, options.passphrase, wrapOptions)
    await storage.put(slotKey, Buffer.from(slot))
  } else if (options.encryption === 'keyfile') {
    await options.keyFiles.save(config.id, await wrapKeyRing(master, config.id, options.passphrase, wrapOptions))
  }
  // The config makes it a repository, so it comes last and can be won by one only.
  const object = encodeConfig(config, keys.config)
  if (!(await storage.putIfAbsent(CONFIG_KEY, object)) && !object.equals(await storage.get(CONFIG_KEY))) {
    await storage.delete(slotKey)
    throw new CairnError(
      'REPOSITORY_EXISTS',
      `Cannot make a repository at ${storage.location}: another process has just made one`,
    )
  }
  return new Repository(storage, config, keys)
}

async function requireVacant(storage: Storage): Promise<void> {
  const exists = (): CairnError =>
    new CairnError('REPOSITORY_EXISTS', `Cannot make a repository at ${storage.location}: there is one already`)
  // Listings have no order, and that of a large repository is long: its config is looked for by itself.
  for await (const { key } of storage.list(CONFIG_KEY)) if (key === CONFIG_KEY) throw exists()
  for await (const { key } of storage.list('')) {
    if (LEFTOVERS.some((prefix) => key.startsWith(prefix))) continue
    if (key === CONFIG_KEY) throw exists()
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot make a repository at ${storage.location}: something else is there (${key}); choose an empty place`,
    )
  }
}
