import type { AbortOptions } from '../base/abort.ts'
import { CairnError, isCairnError } from '../base/errors.ts'
import { MASTER_KEY_BYTES } from './keys.ts'
import type { RepositoryConfig } from './config.ts'
import { newestGeneration, settleGenerations, verifyGeneration } from './generations.ts'
import type { KeySlot } from './key-slot.ts'
import { mistypedGroups } from './recovery-key.ts'
import { type KeyFiles, type StoredSlot, slotStoreOf } from './slot-store.ts'
import type { Storage } from '../storage/storage.ts'

export interface PassphraseQuestion {
  /** The repository as the user wrote it. */
  readonly location: string
  /** 1 for the first question, 2 after one wrong answer, and so on. */
  readonly attempt: number
  /** What is known of the answer before, for the user: which group of a recovery key was mistyped. */
  readonly problem?: string | undefined
}

export interface UnlockOptions extends AbortOptions {
  readonly keyFiles: KeyFiles
  /** Asked only when a passphrase is needed, again after each wrong one; `undefined` gives up. */
  readonly askPassphrase: (question: PassphraseQuestion) => Promise<string | undefined>
}

/** A slot that can be tried. */
export type UsableSlot = StoredSlot & { readonly slot: KeySlot }

/** How a repository was opened. */
export interface Unlocked {
  /** The master keys of all generations, joined. */
  readonly ring: Buffer
  /** The slot that opened; `undefined` when nothing is encrypted. */
  readonly opened: UsableSlot | undefined
  /** What it opened with; `undefined` when it needs none. */
  readonly passphrase: string | undefined
}

/**
 * The master keys of a repository, by way of its key slots.
 *
 * @throws {CairnError} `WRONG_PASSWORD` when no passphrase given opens a slot, the slots that open are from before the key was
 *   rotated, or the key file is missing; `DATA_CORRUPT` when there are only slots that no passphrase can open, or the object of a
 *   generation is damaged; `FORMAT_UNSUPPORTED` when a newer version wrote all of them
 */
export async function unlockKeyRing(
  storage: Storage,
  config: RepositoryConfig,
  options: UnlockOptions,
): Promise<Unlocked> {
  if (config.encryption === 'none') {
    return { ring: Buffer.alloc(MASTER_KEY_BYTES), opened: undefined, passphrase: undefined }
  }
  return unlockSlots(storage, () => loadSlots(storage, config, options), options)
}

/** As `unlockKeyRing`, with these slots. */
export async function unlockSlots(
  storage: Storage,
  load: () => Promise<UsableSlot[]>,
  options: UnlockOptions,
): Promise<Unlocked> {
  let slots = await load()
  // A key file that opens by itself opens without a question, also beside others that do not.
  if (slots.some(({ slot }) => !slot.needsPassphrase)) {
    const unlocked = await unlockWith(storage, slots, undefined, options)
    if (unlocked && unlocked !== 'outdated') return unlocked
    if (slots.every(({ slot }) => !slot.needsPassphrase)) throw outdated(storage)
  }
  let problem: string | undefined
  for (let attempt = 1; ; attempt++) {
    const passphrase = await options.askPassphrase({ location: storage.location, attempt, problem })
    if (passphrase === undefined) {
      const wrong = problem ?? 'the passphrase is wrong; give the one set at init, or another of its keys'
      const found = attempt === 1 ? 'no passphrase was given' : wrong
      throw new CairnError('WRONG_PASSWORD', `Cannot open ${storage.location}: ${found}`)
    }
    let unlocked = await unlockWith(storage, slots, passphrase, options)
    if (unlocked === 'outdated') {
      // The key may have been rotated, and its slots replaced, since they were listed.
      slots = await load()
      unlocked = await unlockWith(storage, slots, passphrase, options)
    }
    if (unlocked === 'outdated') throw outdated(storage)
    if (unlocked) return unlocked
    problem = describeTypingError(passphrase)
  }
}

function describeTypingError(passphrase: string | undefined): string | undefined {
  const groups = passphrase === undefined ? [] : mistypedGroups(passphrase)
  if (groups.length === 0) return undefined
  return `the recovery key is mistyped in group ${groups.join(' and ')} of 8; look at it again`
}

/**
 * The longest ring that the passphrase opens. While a rotation is under way, and when it was interrupted, the same passphrase opens
 * a slot of before and one of after. A slot that cannot be read must not lock out the owner of another. `outdated`: all that opened are
 * from before a rotation.
 */
async function unlockWith(
  storage: Storage,
  slots: readonly UsableSlot[],
  passphrase: string | undefined,
  options: AbortOptions,
): Promise<Unlocked | 'outdated' | undefined> {
  const failures: unknown[] = []
  let wasOpened = false
  for (const opened of slots) {
    try {
      const ring = await opened.slot.unwrap(passphrase)
      if (!ring) continue
      wasOpened = true
      // Looked at last: a slot and its generation may have come since the slots were listed.
      const isCurrent = await settleGenerations(storage, ring, options).catch((error: unknown) => {
        // Who may only read can read; nothing can be sealed here either.
        if (isCairnError(error, 'STORAGE_DENIED')) return true
        throw error
      })
      const newest = await newestGeneration(storage, options)
      if (isCurrent && opened.slot.generations > newest)
        return { ring, opened, passphrase: opened.slot.needsPassphrase ? passphrase : undefined }
      await verifyGeneration(storage, ring, newest, options) // who has no key must not lock out those who have
    } catch (error) {
      if (!isCairnError(error, 'DATA_CORRUPT') || wasOpened) throw error
      failures.push(error)
    }
  }
  if (wasOpened) return 'outdated'
  if (failures.length === slots.length) throw failures[0]
  return undefined
}

function outdated(storage: Storage): CairnError {
  return new CairnError(
    'WRONG_PASSWORD',
    `Cannot open ${storage.location}: its master key was rotated, and this key is from before that; use one that was made by the rotation or after it`,
  )
}

/** Slots that can be this repository's, those with most master keys first. */
async function loadSlots(storage: Storage, config: RepositoryConfig, options: UnlockOptions): Promise<UsableSlot[]> {
  const { keyFiles } = options
  const found = await slotStoreOf(storage, config, keyFiles).list(options)
  const slots = found.filter((stored): stored is UsableSlot => stored.slot !== undefined)
  if (slots.length > 0) return slots.sort((a, b) => b.slot.generations - a.slot.generations)
  const isKeyFile = config.encryption === 'keyfile'
  const problem = found.find(({ problem: { code } = {} }) => isKeyFile || code === 'FORMAT_UNSUPPORTED')?.problem
  if (problem) throw problem
  throw new CairnError(
    'WRONG_PASSWORD',
    isKeyFile
      ? `Cannot open the repository: its key file ${keyFiles.pathOf(config.id)} is missing; put a copy of it there, or use 'cairn key import'`
      : `Cannot open ${storage.location}: it has no readable key under keys/; put back a copy of one, or use 'cairn key import'`,
  )
}
