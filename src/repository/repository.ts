/**
 * repository: chunks in, chunks out. It knows keys, packs, the index and the protocol by which runs commit without locks; what
 * chunks mean is the business of the layers above.
 *
 * A repository is created once on an empty storage, then opened by every run: `open` reads the config and unlocks the keys,
 * `loadIndex` fills the chunk table with what committed runs stored, and from then on chunks can be read; a run that writes
 * opens a `WriteSession` on it.
 */
import { join } from 'node:path'
import { type AbortOptions } from '../base/abort.ts'
import { CairnError, isCairnError } from '../base/errors.ts'
import { type RepositoryId, type SessionId, toHex } from '../base/ids.ts'
import { CacheStorage } from '../storage/cache-storage.ts'
import { GuardedStorage } from '../storage/guarded-storage.ts'
import type { Storage } from '../storage/storage.ts'
import {
  CONFIG_KEY,
  type EncryptionMode,
  type RepositoryConfig,
  type RepositorySettings,
  changeSettings,
  decodeConfig,
} from './config.ts'
import { type ChunkAddress, addressIn } from './chunk-address.ts'
import { type ChunkTable } from './chunk-table.ts'
import { type Adoption, loadIndexAndAdopt } from './index/adoption.ts'
import { extendIndex } from './index/extend-index.ts'
import { findCopies } from './index/find-copies.ts'
import {
  type DamageListener,
  type IndexedChunks,
  type LoadOptions,
  type LoadedIndex,
  loadIndex,
  passOver,
} from './index/load-index.ts'
import { getOrError } from './index/read-index.ts'
import { type RepositoryKeys, deriveRepositoryKeys } from './keys.ts'
import { type Segment, SegmentReader, chunkAt } from './segment-reader.ts'
import { packKey } from './pack/pack-format.ts'
import { fetchSegment, isMissingPack } from './pack-range.ts'
import { FORMAT_VERSION, openObject, parseObject } from './sealed-object.ts'
import { commitKey, findObject, forgottenKey, listIds } from './sessions/open-session.ts'
import { type KeyFiles } from './slot-store.ts'
import { type UnlockOptions, unlockKeyRing } from './unlock.ts'

export { FORMAT_VERSION }
export { packKey, passOver }
export type {
  ChunkAddress,
  DamageListener,
  EncryptionMode,
  KeyFiles,
  LoadOptions,
  LoadedIndex,
  RepositoryConfig,
  RepositorySettings,
  UnlockOptions,
}

/** What a run committed; the layers above give it meaning. Unknown fields are of a newer version and are kept. */
export interface CommitRecord {
  readonly session: SessionId
  readonly value: Readonly<Record<string, unknown>>
}

/** First parts of all keys a repository uses: what an existing one has at its top. */
export const TOP_LEVEL_NAMES = [
  CONFIG_KEY,
  'keys',
  'generations',
  'names',
  'sessions',
  'packs',
  'index',
  'commits',
  'forgotten',
  'labels',
  'pins',
  'condemned',
  'waiting',
  'probe',
] as const

/** Decoded segments kept for the next chunk; trees are read in the order they were written, so a few are enough. */
const CACHED_SEGMENTS = 24

/**
 * Opens a repository: reads its config, finds the key, authenticates the config with it. A repository on another machine keeps
 * what it reads at every start in a folder of its own below `cacheFolder`.
 *
 * @throws {CairnError} `REPOSITORY_NOT_FOUND`, `WRONG_PASSWORD`, `FORMAT_UNSUPPORTED`, `DATA_CORRUPT`
 */
export async function openRepository(
  storage: Storage,
  options: UnlockOptions & { readonly cacheFolder?: string | undefined },
): Promise<Repository> {
  const { config, authenticate } = decodeConfig(await getConfig(storage, options))
  const { ring } = await unlockKeyRing(storage, config, options)
  const keys = deriveRepositoryKeys(ring, config.cipher)
  authenticate(keys.config)
  return new Repository(withCache(storage, config, options.cacheFolder), config, keys)
}

/** Index objects and commits are what every run reads, and never change. */
const CACHED = ['index/', 'commits/']

function withCache(storage: Storage, { id }: RepositoryConfig, folder: string | undefined): Storage {
  if (folder === undefined || !storage.isRemote) return storage
  return new CacheStorage(storage, { folder: join(folder, id), prefixes: CACHED })
}

/** The config, before anything of it can be relied on. @throws {CairnError} `REPOSITORY_NOT_FOUND` */
export async function getConfig(storage: Storage, options: AbortOptions): Promise<Uint8Array> {
  try {
    return await storage.get(CONFIG_KEY, undefined, options)
  } catch (error) {
    if (!isCairnError(error, 'NOT_FOUND')) throw error
    throw new CairnError(
      'REPOSITORY_NOT_FOUND',
      `Cannot open ${storage.location}: there is no repository; make one with 'cairn init', or check the location`,
      { cause: error },
    )
  }
}

/** An open repository. Reading needs `loadIndex` first; everything can be used from the owning thread only. */
export class Repository {
  readonly storage: Storage
  readonly config: RepositoryConfig
  readonly keys: RepositoryKeys
  /** Takes changes of settings even when the repository is append-only. */
  readonly #unguarded: Storage
  #index: LoadedIndex | undefined
  /** The index read again since, for reading only, because chunks had moved: what a run writes goes by `#index`. */
  #newerIndex: LoadedIndex | undefined
  #following: Promise<void> | undefined
  /** Further copies of chunks, looked for when one could not be read. */
  #copies: Promise<ReadonlyMap<string, readonly ChunkAddress[]>> | undefined
  readonly #segments = new Map<string, Promise<Segment>>()
  readonly #reader: SegmentReader

  /** Use `openRepository` or `createRepository`. */
  constructor(storage: Storage, config: RepositoryConfig, keys: RepositoryKeys) {
    this.storage = config.settings.appendOnly ? new GuardedStorage(storage, { appendOnly: true }) : storage
    this.#unguarded = storage
    this.config = config
    this.keys = keys
    this.#reader = new SegmentReader(keys)
  }

  get id(): RepositoryId {
    return this.config.id
  }

  /** The index as of the last `loadIndex`; calling it earlier is a programming error. */
  get index(): LoadedIndex {
    if (!this.#index) throw new Error('loadIndex() comes first')
    return this.#index
  }

  get table(): ChunkTable {
    return this.index.table
  }

  /**
   * Reads the index of all committed runs, replacing what was loaded before.
   *
   * @throws {CairnError} `DATA_CORRUPT` naming a damaged index object, unless `onDamaged` takes it; its chunks are then unknown
   */
  async loadIndex(options: LoadOptions = {}): Promise<void> {
    this.#setIndex(await loadIndex(this.storage, this.keys, options))
  }

  /**
   * Brings the index up to date, for reading only: reads what is new since it was loaded; all of it only where space was
   * reclaimed meanwhile.
   *
   * @throws {CairnError} as `loadIndex`; then it is as it was
   */
  async followIndex(options: LoadOptions = {}): Promise<void> {
    const before = this.#newerIndex ?? this.index
    const extended = await extendIndex(before, this.storage, this.keys, options)
    // Unless chunks have moved, and all of it was read, meanwhile.
    if (extended && before === (this.#newerIndex ?? this.index)) this.#setIndex(extended)
    else await this.loadIndex(options)
  }

  /** `loadIndex` for a `WriteSession` that adopts nothing. */
  async loadIndexToWrite(options: LoadOptions = {}): Promise<void> {
    this.#setIndex(await loadIndex(this.storage, this.keys, { ...options, toWrite: true }))
  }

  /** `loadIndex` for a `WriteSession`, which names what it adopts; see `loadIndexAndAdopt`. */
  async loadIndexAndAdopt(session: SessionId, options: LoadOptions = {}): Promise<Adoption> {
    const { index, adoption } = await loadIndexAndAdopt(this.storage, this.keys, session, options)
    this.#setIndex(index)
    return adoption
  }

  #setIndex(index: LoadedIndex): void {
    this.#index = index
    this.#newerIndex = undefined
    this.#copies = undefined
    this.#segments.clear()
  }

  /**
   * The records of all committed runs that `loadIndex` found and that are not forgotten, in no particular order.
   *
   * @throws {CairnError} `DATA_CORRUPT` naming a damaged record, unless `onDamaged` takes it
   */
  async loadCommits(options: LoadOptions = {}): Promise<CommitRecord[]> {
    return this.loadCommitsOf(await this.listCommits(options), options)
  }

  /** The runs that `loadCommits` gives the records of, and those whose records are damaged. */
  async listCommits(options: AbortOptions = {}): Promise<SessionId[]> {
    const forgotten = await this.#listForgotten(options)
    return this.index.commits.filter((session) => !forgotten.has(session))
  }

  /** As `loadCommits`, of the runs that are forgotten. */
  async loadForgottenCommits(options: LoadOptions = {}): Promise<CommitRecord[]> {
    const forgotten = await this.#listForgotten(options)
    return this.loadCommitsOf(
      this.index.commits.filter((session) => forgotten.has(session)),
      options,
    )
  }

  async #listForgotten(options: AbortOptions): Promise<Set<SessionId>> {
    return listIds(this.storage, 'forgotten/', options)
  }

  /** The records of these runs, but for those that have been reclaimed meanwhile. @throws {CairnError} as `loadCommits` */
  async loadCommitsOf(sessions: readonly SessionId[], options: LoadOptions): Promise<CommitRecord[]> {
    const records = await Promise.all(
      sessions.map(async (session) => {
        const key = commitKey(session)
        const object = await getOrError(this.storage, key, options)
        // Forgotten and reclaimed since the index was read.
        if (isCairnError(object, 'NOT_FOUND')) return undefined
        if (isCairnError(object)) throw object
        return passOver(options.onDamaged, key, () => this.#openCommit(session, object))
      }),
    )
    return records.filter((record) => record !== undefined)
  }

  /** @throws {CairnError} `DATA_CORRUPT` naming the object when it is not what its run committed */
  async loadCommit(session: SessionId, options: AbortOptions = {}): Promise<CommitRecord> {
    return this.#openCommit(session, await this.storage.get(commitKey(session), undefined, options))
  }

  #openCommit(session: SessionId, object: Uint8Array): CommitRecord {
    const key = commitKey(session)
    return { session, value: parseObject(openObject('commit', this.keys, key, object), key) }
  }

  /**
   * Hides a committed run's snapshot, and gives back its name. Its chunks stay until space is reclaimed, and its index
   * objects count as before: later runs may rely on them.
   */
  async forget(session: SessionId, options: AbortOptions = {}): Promise<void> {
    await this.storage.put(forgottenKey(session), new Uint8Array(), options)
  }

  /** Whether a run that had committed was forgotten since; nothing may be left of it by now. */
  async isForgotten(session: SessionId, options: AbortOptions = {}): Promise<boolean> {
    // The register goes before the marker.
    const { storage } = this
    return (
      !(await findObject(storage, commitKey(session), options)) ||
      !!(await findObject(storage, forgottenKey(session), options))
    )
  }

  /**
   * Changes settings for all runs that open the repository from now on, and returns what they are then.
   *
   * The object is read again just before it is replaced, and once more after: when another process changed it meanwhile, its
   * changes are kept and this one is made again. Only two that replace it within the same moment can lose one of two changes.
   */
  async changeSettings(changes: Partial<RepositorySettings>, options: AbortOptions = {}): Promise<RepositorySettings> {
    const storage = this.#unguarded
    const { keys } = this
    for (;;) {
      const found = Buffer.from(await storage.get(CONFIG_KEY, undefined, options))
      const changed = changeSettings(found, keys.config, changes)
      if (changed.equals(found)) return decodeConfig(found).config.settings
      if (found.equals(await storage.get(CONFIG_KEY, undefined, options)))
        await storage.put(CONFIG_KEY, changed, options)
    }
  }

  /** Where a chunk lies; `undefined` when no committed run stored it. */
  addressOf(id: Uint8Array): ChunkAddress | undefined {
    const index = this.#newerIndex ?? this.index
    return findIn(index, id) ?? (index.condemned && findIn(index.condemned, id))
  }

  /**
   * Whether a chunk that could not be read from this pack, since it is missing, is to be looked for elsewhere: reclaiming space
   * moves chunks, and only then deletes the packs where they were. Reads the index again when it must; `addressOf` then knows.
   */
  async hasMoved(id: Uint8Array, pack: string, options: AbortOptions = {}): Promise<boolean> {
    const isElsewhere = (): boolean => (this.addressOf(id)?.pack ?? pack) !== pack
    // One that others have begun may have looked before this pack was gone.
    await this.#following
    if (isElsewhere()) return true
    this.#following ??= this.#followMoves(options).finally(() => (this.#following = undefined))
    await this.#following
    return isElsewhere()
  }

  async #followMoves(options: AbortOptions): Promise<void> {
    const gone = new Set((this.#newerIndex ?? this.index).indexKeys)
    for await (const { key } of this.storage.list('index/', options)) gone.delete(key)
    // Index objects that name a pack go before it does. While all are there, what is missing is lost.
    if (gone.size === 0) return
    const before = this.#index
    const newer = await loadIndex(this.storage, this.keys, { ...options, onDamaged: () => undefined })
    // What `loadIndex` has read meanwhile is newer still.
    if (this.#index !== before) return
    this.#newerIndex = newer
    this.#copies = undefined
  }

  /**
   * The verified plaintext of a chunk; a view of shared memory, so never write to it.
   *
   * @throws {CairnError} `NOT_FOUND` when the index lacks the chunk, `DATA_CORRUPT` when its bytes are not what was saved
   */
  async readChunk(id: Uint8Array, options: AbortOptions = {}): Promise<Uint8Array> {
    const address = this.addressOf(id)
    if (!address) {
      throw new CairnError('NOT_FOUND', `Cannot read chunk ${toHex(id)}: no index of ${this.storage.location} lists it`)
    }
    try {
      return await this.#readAt(address, id, options)
    } catch (error) {
      if (!isCairnError(error, 'DATA_CORRUPT')) throw error
      if (isMissingPack(error) && (await this.hasMoved(id, address.pack, options))) return this.readChunk(id, options)
      for (const copy of await this.otherAddressesOf(id, options)) {
        const chunk = await this.#readAt(copy, id, options).catch((failure: unknown) => {
          if (!isCairnError(failure, 'DATA_CORRUPT')) throw failure
          return undefined
        })
        if (chunk) return chunk
      }
      throw error
    }
  }

  /**
   * Further places where a chunk lies, besides `addressOf`: runs at the same time store the same chunks. Few chunks have any. The
   * index in memory knows one place a chunk, so the first call reads the index again.
   */
  async otherAddressesOf(id: Uint8Array, options: AbortOptions = {}): Promise<readonly ChunkAddress[]> {
    this.#copies ??= findCopies(this.storage, this.keys, (chunk) => this.addressOf(chunk), options)
    const found = this.#copies
    found.catch(() => {
      if (this.#copies === found) this.#copies = undefined // the next one tries again
    })
    return (await found).get(toHex(id)) ?? []
  }

  async #readAt(address: ChunkAddress, id: Uint8Array, options: AbortOptions): Promise<Uint8Array> {
    return this.#reader.verify(chunkAt(await this.#segment(address, options), address.position), id, address.pack)
  }

  /** Fetches and decodes a segment, or takes it from the few used last. */
  #segment(address: ChunkAddress, options: AbortOptions): Promise<Segment> {
    const name = `${address.pack}:${address.segmentOffset}`
    const cached = this.#segments.get(name)
    this.#segments.delete(name)
    const segment = cached ?? this.#fetch(address, options)
    this.#segments.set(name, segment) // most recently used last
    if (this.#segments.size > CACHED_SEGMENTS) this.#segments.delete(this.#segments.keys().next().value as string)
    if (!cached) segment.catch(() => this.#segments.delete(name))
    return segment
  }

  async #fetch(address: ChunkAddress, options: AbortOptions): Promise<Segment> {
    return this.#reader.read(await fetchSegment(this.storage, address, options))
  }
}

function findIn({ table, numbers, packs }: IndexedChunks, id: Uint8Array): ChunkAddress | undefined {
  const found = numbers.find(table, id)
  const pack = found && packs[found.pack]
  return pack && addressIn(pack, found)
}
