import type { AbortOptions } from '../base/abort.ts'
import { CairnError } from '../base/errors.ts'
import { formatBytes } from '../base/sizes.ts'
import type { Storage } from '../storage/storage.ts'
import type { RepositorySettings } from './config.ts'

/**
 * Keeps packs from taking the last of the space: a store that is filled to the brim cannot be repaired or cleaned up any more
 * (Borg's `additional_free_space`, `storage_quota`). Only packs are asked about; index objects, registers and deletions, by which
 * a run ends well, may use what is kept free.
 */
export class Room {
  readonly #storage: Storage
  readonly #settings: RepositorySettings
  readonly #options: AbortOptions
  /** Bytes of all objects, as far as this run knows; only counted where there is a quota. */
  #usedBytes = 0
  /** Of packs that were let through and may not be on the disk yet. */
  #underWayBytes = 0

  private constructor(storage: Storage, settings: RepositorySettings, options: AbortOptions) {
    this.#storage = storage
    this.#settings = settings
    this.#options = options
  }

  /** `undefined` when nothing is limited. With a quota all objects are listed; what other runs store meanwhile is not counted. */
  static async measure(
    storage: Storage,
    settings: RepositorySettings,
    options: AbortOptions,
  ): Promise<Room | undefined> {
    if (settings.additionalFreeSpace === 0 && settings.storageQuota === 0) return undefined
    const room = new Room(storage, settings, options)
    if (settings.storageQuota > 0)
      for await (const { sizeBytes } of storage.list('', options)) room.#usedBytes += sizeBytes
    return room
  }

  /** Counts an object that was stored without asking. */
  add(bytes: number): void {
    this.#usedBytes += bytes
  }

  /**
   * Calls `put` if a pack of `bytes` may be stored.
   *
   * @throws {CairnError} `STORAGE_FULL` before anything is stored, or what `put` throws
   */
  async use(bytes: number, put: () => Promise<void>): Promise<void> {
    this.#underWayBytes += bytes
    try {
      this.#checkQuota(bytes)
      await this.#checkReserve(bytes)
      await put()
      this.#usedBytes += bytes
    } finally {
      this.#underWayBytes -= bytes
    }
  }

  #checkQuota(bytes: number): void {
    const { storageQuota } = this.#settings
    if (storageQuota === 0 || this.#usedBytes + this.#underWayBytes <= storageQuota) return
    throw this.#full(
      bytes,
      `${formatBytes(this.#usedBytes)} are stored and the quota is ${formatBytes(storageQuota)}`,
      `delete snapshots, or raise the quota with 'cairn config ${this.#storage.location} storage_quota SIZE'`,
    )
  }

  async #checkReserve(bytes: number): Promise<void> {
    const { additionalFreeSpace } = this.#settings
    if (additionalFreeSpace === 0) return
    const freeBytes = await this.#storage.freeBytes?.(this.#options)
    if (freeBytes === undefined || freeBytes - this.#underWayBytes >= additionalFreeSpace) return
    throw this.#full(
      bytes,
      `${formatBytes(freeBytes)} are free and ${formatBytes(additionalFreeSpace)} are to stay free`,
      `free some space, or keep less of it free with 'cairn config ${this.#storage.location} additional_free_space SIZE'`,
    )
  }

  #full(bytes: number, found: string, advice: string): CairnError {
    return new CairnError(
      'STORAGE_FULL',
      `Cannot store a pack of ${formatBytes(bytes)} in ${this.#storage.location}: ${found}; ${advice}, then run again`,
      { details: { bytes, usedBytes: this.#usedBytes, ...this.#settings } },
    )
  }
}
