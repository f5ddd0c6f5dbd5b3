import { type Clock, systemClock } from '../base/clock.ts'
import { CairnError, toCairnError } from '../base/errors.ts'
import type { Argon2Parameters } from '../codec/key-derivation.ts'
import { randomBytes } from '../codec/random.ts'
import type { Storage } from '../storage/storage.ts'
import { type RepositoryConfig, decodeConfig } from './config.ts'
import { newestGeneration, settleGenerations } from './generations.ts'
import { type SlotNotes, wrapKeyRing } from './key-slot.ts'
import { MASTER_KEY_BYTES, deriveRepositoryKeys, generationsOf } from './keys.ts'
import { getConfig } from './repository.ts'
import { type SlotStore, type StoredSlot, slotStoreOf } from './slot-store.ts'
import { type UnlockOptions, type Unlocked, type UsableSlot, unlockKeyRing } from './unlock.ts'

export interface KeyringOptions extends UnlockOptions {
  readonly clock?: Clock | undefined
  /** How hard new slots are to open; cheaper ones are for tests. */
  readonly argon2?: Argon2Parameters | undefined
}

/** A key (a slot) as its owner sees it. */
export interface KeyInfo {
  /** 32 hex digits. */
  readonly id: string
  /** `keys/<id>`, or the path of a key file. */
  readonly where: string
  readonly label: string
  /** UTC, ISO 8601; `undefined` when the slot does not say. */
  readonly createdAt: string | undefined
  readonly kind: 'passphrase' | 'recovery' | 'file'
  /** The repository was opened with it. */
  readonly isOpened: boolean
  /**
   * `outdated`: from before the key was rotated; `damaged`: cannot be read, or is no slot of this repository. Both open nothing.
   */
  readonly state: 'usable' | 'outdated' | 'damaged'
}

/** A new slot as the user wants it. */
export interface NewKey {
  /** `undefined` for a key file that opens by itself. */
  readonly passphrase: string | undefined
  readonly label?: string | undefined
  readonly isRecovery?: boolean | undefined
}

/** The keys of a repository, for those who manage them: opened with one slot, it lists, adds, exchanges and removes others. */
export class Keyring {
  readonly #storage: Storage
  readonly #config: RepositoryConfig
  readonly #slots: SlotStore
  readonly #options: KeyringOptions
  readonly #unlocked: Unlocked & { readonly opened: UsableSlot }

  private constructor(storage: Storage, config: RepositoryConfig, unlocked: Unlocked, options: KeyringOptions) {
    this.#storage = storage
    this.#config = config
    this.#slots = slotStoreOf(storage, config, options.keyFiles)
    this.#options = options
    this.#unlocked = unlocked as Unlocked & { readonly opened: UsableSlot }
  }

  /** @throws {CairnError} as `openRepository`; `INVALID_ARGUMENT` when the repository is not encrypted */
  static async open(storage: Storage, options: KeyringOptions): Promise<Keyring> {
    const object = await getConfig(storage, options)
    const { config, authenticate } = decodeConfig(object)
    requireEncrypted(storage, config)
    const unlocked = await unlockKeyRing(storage, config, options)
    authenticate(deriveRepositoryKeys(unlocked.ring, config.cipher).config)
    return new Keyring(storage, config, unlocked, options)
  }

  /** Where the keys are. */
  get encryption(): RepositoryConfig['encryption'] {
    return this.#config.encryption
  }

  /** How often the master key was rotated. */
  get generation(): number {
    return generationsOf(this.#unlocked.ring) - 1
  }

  get opened(): KeyInfo {
    return this.#describe(this.#unlocked.opened)
  }

  /** All slots, also those that open nothing; the oldest first. */
  async list(): Promise<KeyInfo[]> {
    const infos = (await this.#slots.list(this.#options)).map((stored) => this.#describe(stored))
    return infos.sort((a, b) => compareText(a.createdAt ?? '', b.createdAt ?? '') || compareText(a.id, b.id))
  }

  /**
   * Adds a slot.
   *
   * @throws {CairnError} `FORMAT_UNSUPPORTED` when the master key was rotated meanwhile; then nothing was added
   */
  async add(key: NewKey): Promise<KeyInfo> {
    const added = await this.#slots.add(await this.#wrap(this.#unlocked.ring, key), this.#options)
    await this.#requireCurrent(added)
    return this.#describe(added)
  }

  /**
   * Exchanges the slot that was opened for one with another passphrase; its label stays. The new one is durable before the old one
   * goes.
   *
   * @throws {CairnError} `FORMAT_UNSUPPORTED` as `add`
   * @throws {CairnError} `INVALID_ARGUMENT` when it was opened with a recovery key, which is not to be lost that way
   */
  async changePassphrase(passphrase: string | undefined): Promise<KeyInfo> {
    const { label, kind } = this.opened
    if (kind === 'recovery') {
      throw new CairnError(
        'INVALID_ARGUMENT',
        "Cannot change the recovery key: it is not chosen; set a new passphrase with 'cairn key add' and remove the old one with 'cairn key remove'",
      )
    }
    const slot = await this.#wrap(this.#unlocked.ring, { passphrase, label })
    const added = await this.#slots.add(slot, this.#options)
    await this.#requireCurrent(added)
    await this.#slots.remove(this.#unlocked.opened, this.#options)
    return { ...this.#describe(await this.#slots.moveToFront(added)), isOpened: true }
  }

  /**
   * Removes the slot whose id begins like this. The slot that was opened cannot be removed: so
   * one always stays of which is known that it opens and that somebody knows its passphrase.
   *
   * @throws {CairnError} `NOT_FOUND`, `INVALID_ARGUMENT` when the id is not clear or is that of the slot that was opened
   */
  async remove(id: string): Promise<KeyInfo> {
    const { opened } = this.#unlocked
    const found = (await this.#slots.list(this.#options)).filter((stored) => stored.id.startsWith(id.toLowerCase()))
    const [stored, ...others] = found
    if (id === '' || !stored) {
      throw new CairnError('NOT_FOUND', `Cannot remove key ${id}: there is none; see 'cairn key list'`)
    }
    if (others.length > 0) {
      throw new CairnError(
        'INVALID_ARGUMENT',
        `Cannot remove key ${id}: ${found.length} ids begin like this; write more of it`,
      )
    }
    if (stored.id === opened.id) {
      throw new CairnError(
        'INVALID_ARGUMENT',
        `Cannot remove key ${id}: the repository was opened with it; open it with another one, to show that it works`,
      )
    }
    const info = this.#describe(stored)
    await this.#slots.remove(stored, this.#options)
    await this.#requireOneLeft()
    return info
  }

  /**
   * What `rotate` removes: all other slots that still open, since nobody knows their passphrases here, and whoever knew one would
   * otherwise read on.
   */
  async planRotation(): Promise<KeyInfo[]> {
    return (await this.list()).filter(({ isOpened, state }) => !isOpened && state === 'usable')
  }

  /**
   * Makes a new master key, under which everything is sealed from now on, and wraps it under the passphrase of the slot that was opened.
   * All slots of before are removed. What was stored before stays readable, and chunks are found again as ever.
   *
   * A crash leaves a repository that opens with the same passphrase: before `generations/<n>` is put by the old slot or the new
   * one, afterwards by the new one.
   *
   * @throws {CairnError} `FORMAT_UNSUPPORTED` when another rotation was faster; then this one did nothing
   */
  async rotate(): Promise<KeyInfo> {
    const { ring, passphrase } = this.#unlocked
    const { label, kind } = this.opened
    const newRing = Buffer.concat([ring, randomBytes(MASTER_KEY_BYTES)])
    const slot = await this.#wrap(newRing, { passphrase, label, isRecovery: kind === 'recovery' })
    const added = await this.#slots.add(slot, this.#options)
    let isDecided: boolean
    try {
      isDecided = await settleGenerations(this.#storage, newRing, this.#options)
    } catch (error) {
      // The generation may have been put all the same, so the slot has to stay.
      const { code, message, details } = toCairnError(error)
      const outlook = 'the next command that opens the repository with the same passphrase completes it'
      throw new CairnError(code, `Cannot complete the rotation: ${message}; ${outlook}`, { cause: error, details })
    }
    if (!isDecided) {
      await this.#slots.remove(added)
      throw rotatedMeanwhile(this.#storage)
    }
    for (const stored of await this.#slots.list(this.#options)) {
      if (stored.slot && stored.slot.generations < generationsOf(newRing))
        await this.#slots.remove(stored, this.#options)
    }
    return { ...describe(await this.#slots.moveToFront(added), newRing), isOpened: true }
  }

  /** The slot that was opened: with its passphrase it opens the repository again. */
  get exported(): UsableSlot {
    return this.#unlocked.opened
  }

  #describe(stored: StoredSlot): KeyInfo {
    return { ...describe(stored, this.#unlocked.ring), isOpened: stored.id === this.#unlocked.opened.id }
  }

  async #wrap(ring: Buffer, { passphrase, label = '', isRecovery = false }: NewKey): Promise<string> {
    if (passphrase === undefined && this.encryption !== 'keyfile')
      throw new CairnError('INVALID_ARGUMENT', 'Cannot make a key inside the repository: it needs a passphrase')
    const createdAt = new Date((this.#options.clock ?? systemClock).now()).toISOString()
    const notes: SlotNotes = { label, createdAt, isRecovery }
    return wrapKeyRing(ring, this.#config.id, passphrase, { argon2: this.#options.argon2, notes })
  }

  /** A slot that was made while the key was rotated would open nothing, and its owner would not know. */
  async #requireCurrent(added: StoredSlot): Promise<void> {
    try {
      if ((await newestGeneration(this.#storage, this.#options)) > this.generation)
        throw rotatedMeanwhile(this.#storage)
    } catch (error) {
      await this.#slots.remove(added)
      throw error
    }
  }

  /** Two runs that remove each other's slot at the same time must not leave none: each puts its own back. */
  async #requireOneLeft(): Promise<void> {
    const isThere = (await this.#slots.list()).some(({ slot }) => slot && slot.generations > this.generation)
    if (isThere) return
    const { where } = await this.#slots.putBack(this.#unlocked.opened)
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot remove the key: another run removed all others of ${this.#slots.name} at the same time, so ${where} was put back; see 'cairn key list'`,
    )
  }
}

/** @throws {CairnError} `INVALID_ARGUMENT` when nothing is encrypted */
export function requireEncrypted(storage: Storage, config: RepositoryConfig): void {
  if (config.encryption !== 'none') return
  throw new CairnError(
    'INVALID_ARGUMENT',
    `Cannot manage keys of ${storage.location}: it was made without encryption and has none; whoever can read it can read everything in it`,
  )
}

function describe(stored: StoredSlot, ring: Uint8Array): Omit<KeyInfo, 'isOpened'> {
  const { id, where, slot } = stored
  const notes = slot?.notes(ring)
  const state = !slot ? 'damaged' : slot.generations < generationsOf(ring) ? 'outdated' : 'usable'
  const kind = notes?.isRecovery ? 'recovery' : slot && !slot.needsPassphrase ? 'file' : 'passphrase'
  return { id, where, label: notes?.label ?? '', createdAt: notes?.createdAt, kind, state }
}

function rotatedMeanwhile(storage: Storage): CairnError {
  return new CairnError(
    'FORMAT_UNSUPPORTED',
    `Cannot change the keys of ${storage.location}: its master key was rotated meanwhile; nothing was changed, run it again`,
  )
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
