import type { AbortOptions } from '../base/abort.ts'
import { CairnError, isCairnError } from '../base/errors.ts'
import { MASTER_KEY_BYTES } from './keys.ts'
import type { RepositoryConfig } from './config.ts'
import { type KeySlot, parseKeySlot } from './key-slot.ts'
import type { Storage } from '../storage/storage.ts'

/** Keeps the key slots of `keyfile` repositories, one a repository; outside the repository, on the user's machine. */
export interface KeyFiles {
  /** The slot of this repository; `undefined` when there is none. */
  load(repositoryId: string): Promise<string | undefined>
  /** Stores a slot durably, readable by the user alone, and returns where. Never replaces one. */
  save(repositoryId: string, slot: string): Promise<string>
  /** Where the slot of this repository is or would be; for messages. */
  pathOf(repositoryId: string): string
}

export interface PassphraseQuestion {
  /** The repository as the user wrote it. */
  readonly location: string
  /** 1 for the first question, 2 after one wrong answer, and so on. */
  readonly attempt: number
}

export interface UnlockOptions extends AbortOptions {
  readonly keyFiles: KeyFiles
  /** Asked only when a passphrase is needed, again after each wrong one; `undefined` gives up. */
  readonly askPassphrase: (question: PassphraseQuestion) => Promise<string | undefined>
}

/**
 * The master key of a repository, by way of its key slots.
 *
 * @throws {CairnError} `WRONG_PASSWORD` when no passphrase given opens a slot, or the key file is missing; `DATA_CORRUPT` when
 *   there are only slots that no passphrase can open; `FORMAT_UNSUPPORTED` when a newer version wrote all of them
 */
export async function unlockMasterKey(
  storage: Storage,
  config: RepositoryConfig,
  options: UnlockOptions,
): Promise<Buffer> {
  if (config.encryption === 'none') return Buffer.alloc(MASTER_KEY_BYTES)
  const slots =
    config.encryption === 'keyfile'
      ? [await loadKeyFile(config, options.keyFiles)]
      : await loadSlots(storage, config, options)
  const needsPassphrase = slots.some((slot) => slot.needsPassphrase)
  for (let attempt = 1; ; attempt++) {
    const passphrase = needsPassphrase
      ? await options.askPassphrase({ location: storage.location, attempt })
      : undefined
    if (needsPassphrase && passphrase === undefined) {
      const found = attempt === 1 ? 'no passphrase was given' : 'the passphrase is wrong; give the one set at init'
      throw new CairnError('WRONG_PASSWORD', `Cannot open ${storage.location}: ${found}`)
    }
    const master = await unwrapAny(slots, passphrase)
    if (master) return master
  }
}

/** The master key by the first slot that opens. A slot that cannot be read must not lock out the owner of another. */
async function unwrapAny(slots: readonly KeySlot[], passphrase: string | undefined): Promise<Buffer | undefined> {
  const failures: unknown[] = []
  for (const slot of slots) {
    try {
      const master = await slot.unwrap(passphrase)
      if (master) return master
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length === slots.length) throw failures[0]
  return undefined
}

async function loadKeyFile(config: RepositoryConfig, keyFiles: KeyFiles): Promise<KeySlot> {
  const path = keyFiles.pathOf(config.id)
  const text = await keyFiles.load(config.id)
  if (text === undefined) {
    throw new CairnError(
      'WRONG_PASSWORD',
      `Cannot open the repository: its key file ${path} is missing; put a copy of it there`,
    )
  }
  const slot = parseKeySlot(text, `key file ${path}`)
  if (slot.repository !== config.id) {
    throw new CairnError(
      'WRONG_PASSWORD',
      `Cannot open the repository: key file ${path} belongs to repository ${slot.repository}`,
    )
  }
  return slot
}

/** Slots inside the repository that can be this repository's and need a passphrase. */
async function loadSlots(storage: Storage, config: RepositoryConfig, options: AbortOptions): Promise<KeySlot[]> {
  const slots: KeySlot[] = []
  const unreadable: unknown[] = []
  for await (const { key } of storage.list('keys/', options)) {
    try {
      const slot = parseKeySlot(Buffer.from(await storage.get(key, undefined, options)).toString('utf8'), key)
      // One without passphrase was never written by us: whoever can write to the store would have put there, with a config
      // to match, a key of his own, and the next backup would be readable to him.
      if (slot.repository === config.id && slot.needsPassphrase) slots.push(slot)
    } catch (error) {
      if (isCairnError(error, 'FORMAT_UNSUPPORTED')) unreadable.push(error)
      else if (!isCairnError(error, 'DATA_CORRUPT') && !isCairnError(error, 'NOT_FOUND')) throw error
    }
  }
  if (slots.length > 0) return slots
  if (unreadable.length > 0) throw unreadable[0]
  throw new CairnError(
    'WRONG_PASSWORD',
    `Cannot open ${storage.location}: it has no readable key under keys/; put back a copy of one`,
  )
}
