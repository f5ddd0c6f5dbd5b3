import { CairnError } from '../base/errors.ts'
import type { Storage } from '../storage/storage.ts'
import { decodeConfig } from './config.ts'
import { newestGeneration } from './generations.ts'
import { type KeySlot, formatSlot, parseKeySlot } from './key-slot.ts'
import { requireEncrypted } from './keyring.ts'
import { deriveRepositoryKeys, generationsOf } from './keys.ts'
import { getConfig } from './repository.ts'
import { type StoredSlot, slotStoreOf } from './slot-store.ts'
import { type UnlockOptions, unlockSlots } from './unlock.ts'

export interface ImportedKey {
  /** `keys/<id>`, or the path of the key file. */
  readonly where: string
  /** The same key was there already, and nothing was stored. */
  readonly wasThere: boolean
}

/**
 * Puts back a slot that was exported: into the repository, or for `keyfile` into a file. None of the repository's own slots is needed,
 * but the passphrase of this one: what does not open the repository is not imported.
 *
 * @throws {CairnError} `WRONG_PASSWORD` when it is the key of another repository, was made before the last rotation, or no passphrase
 *   given opens it; `INVALID_ARGUMENT` when it does not fit; `DATA_CORRUPT` | `FORMAT_UNSUPPORTED` when it cannot be read
 */
export async function importKey(storage: Storage, text: string, options: UnlockOptions): Promise<ImportedKey> {
  const { config, authenticate } = decodeConfig(await getConfig(storage, options))
  requireEncrypted(storage, config)
  const slot = parseKeySlot(text, 'the key to import')
  if (slot.repository !== config.id) {
    throw new CairnError(
      'WRONG_PASSWORD',
      `Cannot import the key: it is of repository ${slot.repository}, and ${storage.location} is ${config.id}; use a key of this one`,
    )
  }
  if (!slot.needsPassphrase && config.encryption === 'repokey') {
    throw new CairnError(
      'INVALID_ARGUMENT',
      'Cannot import the key: it opens without a passphrase, so whoever reads the repository could open it; use one with a passphrase',
    )
  }
  const imported: StoredSlot & { slot: KeySlot } = { id: '', where: 'the key', text, slot, problem: undefined }
  const { ring } = await unlockSlots(storage, async () => [imported], options)
  authenticate(deriveRepositoryKeys(ring, config.cipher).config)

  const slots = slotStoreOf(storage, config, options.keyFiles)
  const same = (await slots.list(options)).find((stored) => stored.slot && isSame(stored.slot, slot))
  if (same) return { where: same.where, wasThere: true }
  const added = await slots.add(formatSlot(slot.fields), options)
  if ((await newestGeneration(storage, options)) >= generationsOf(ring)) {
    await slots.remove(added)
    throw new CairnError(
      'FORMAT_UNSUPPORTED',
      'Cannot import the key: the master key was rotated meanwhile; export it again',
    )
  }
  return { where: added.where, wasThere: false }
}

function isSame(a: KeySlot, b: KeySlot): boolean {
  return Buffer.from(a.fields.sealed).equals(b.fields.sealed) && Buffer.from(a.fields.salt).equals(b.fields.salt)
}
