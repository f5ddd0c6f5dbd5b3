/**
 * repository: chunks in, chunks out. It knows keys, packs, the index and the protocol by which runs commit without locks; what
 * chunks mean is the business of the layers above.
 *
 * A repository is created once on an empty storage, then opened by every run: `open` reads the config and unlocks the keys,
 * `loadIndex` fills the chunk table with what committed runs stored, and from then on chunks can be read; a run that writes
 * opens a `WriteSession` on it.
 */
import { type AbortOptions } from '../base/abort.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { CairnError, isCairnError } from '../base/errors.ts'
import { type RepositoryId, type SessionId, toHex } from '../base/ids.ts'
import { randomBytes } from '../codec/random.ts'
import { type ChunkerParams, DEFAULT_CHUNKER_PARAMS } from '../chunker/params.ts'
import { probePutIfAbsent } from '../storage/put-if-absent-probe.ts'
import type { Storage } from '../storage/storage.ts'
import { CONFIG_KEY, type EncryptionMode, type RepositoryConfig, decodeConfig, encodeConfig } from './config.ts'
import { type ChunkTable } from './chunk-table.ts'
import { type LoadedIndex, loadIndex } from './index/load-index.ts'
import { type WrapOptions, wrapMasterKey } from './key-slot.ts'
import { MASTER_KEY_BYTES, type RepositoryKeys, deriveRepositoryKeys } from './keys.ts'
import { type SealedSegment, type Segment, SegmentReader, chunkAt } from './segment-reader.ts'
import { FORMAT_VERSION, openObject } from './sealed-object.ts'
import { type KeyFiles, type UnlockOptions, unlockMasterKey } from './unlock.ts'

export { FORMAT_VERSION }
export type { EncryptionMode, KeyFiles, LoadedIndex, RepositoryConfig, UnlockOptions }

export interface CreateRepositoryOptions extends WrapOptions {
  readonly encryption: EncryptionMode
  /** Required for `repokey`; for `keyfile`, `undefined` makes a key file that opens the repository by itself. */
  readonly passphrase: string | undefined
  readonly keyFiles: KeyFiles
  readonly chunker?: ChunkerParams | undefined
  readonly clock?: Clock | undefined
}

/** What a run committed; the layers above give it meaning. Unknown fields are of a newer version and are kept. */
export interface CommitRecord {
  readonly session: SessionId
  readonly value: Readonly<Record<string, unknown>>
}

/** Where the sealed segment of a chunk lies, and the chunk in it. */
export interface ChunkAddress {
  /** Storage key of the pack, and its name for messages. */
  readonly packKey: string
  readonly pack: string
  readonly header: Uint8Array
  readonly segmentOffset: number
  readonly segmentBytes: number
  readonly position: number
}

/** First parts of all keys a repository uses: what an existing one has at its top. */
export const TOP_LEVEL_NAMES = [
  CONFIG_KEY,
  'keys',
  'names',
  'sessions',
  'packs',
  'index',
  'commits',
  'condemned',
  'probe',
] as const

/** Decoded segments kept for the next chunk; trees are read in the order they were written, so a few are enough. */
const CACHED_SEGMENTS = 24

/** Storage key of a pack: fanned out by the first two digits, as file systems like it. */
export function packKey(pack: string): string {
  return `packs/${pack.slice(0, 2)}/${pack}`
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
  }
  const keys = deriveRepositoryKeys(master, config.cipher)

  const slotKey = `keys/${toHex(randomBytes(16))}`
  if (options.encryption === 'repokey') {
    if (options.passphrase === undefined)
      throw new CairnError('INVALID_ARGUMENT', 'Cannot make a repokey repository: it needs a passphrase')
    const slot = await wrapMasterKey(master, config.id, options.passphrase, options)
    await storage.put(slotKey, Buffer.from(slot))
  } else if (options.encryption === 'keyfile') {
    await options.keyFiles.save(config.id, await wrapMasterKey(master, config.id, options.passphrase, options))
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

/**
 * Opens a repository: reads its config, finds the key, authenticates the config with it.
 *
 * @throws {CairnError} `REPOSITORY_NOT_FOUND`, `WRONG_PASSWORD`, `FORMAT_UNSUPPORTED`, `DATA_CORRUPT`
 */
export async function openRepository(storage: Storage, options: UnlockOptions): Promise<Repository> {
  const { config, authenticate } = decodeConfig(await getConfig(storage, options))
  const keys = deriveRepositoryKeys(await unlockMasterKey(storage, config, options), config.cipher)
  authenticate(keys.config)
  return new Repository(storage, config, keys)
}

async function getConfig(storage: Storage, options: AbortOptions): Promise<Uint8Array> {
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
  #index: LoadedIndex | undefined
  readonly #segments = new Map<string, Promise<Segment>>()
  readonly #reader: SegmentReader

  /** Use `openRepository` or `createRepository`. */
  constructor(storage: Storage, config: RepositoryConfig, keys: RepositoryKeys) {
    this.storage = storage
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

  /** Reads the index of all committed runs, replacing what was loaded before. */
  async loadIndex(options: AbortOptions = {}): Promise<void> {
    this.#index = await loadIndex(this.storage, this.keys, options)
    this.#segments.clear()
  }

  /** The records of all committed runs that `loadIndex` found, in no particular order. */
  async loadCommits(options: AbortOptions = {}): Promise<CommitRecord[]> {
    return Promise.all(this.index.commits.map((session) => this.loadCommit(session, options)))
  }

  /** @throws {CairnError} `DATA_CORRUPT` naming the object when it is not what its run committed */
  async loadCommit(session: SessionId, options: AbortOptions = {}): Promise<CommitRecord> {
    const key = `commits/${session}`
    const plain = openObject('commit', this.keys, key, await this.storage.get(key, undefined, options))
    const value: unknown = JSON.parse(plain.toString('utf8'))
    if (typeof value === 'object' && value !== null) return { session, value: value as Record<string, unknown> }
    throw new CairnError('DATA_CORRUPT', `Cannot read ${key}: it does not hold a commit record`)
  }

  /** Where a chunk lies; `undefined` when no committed run stored it. */
  addressOf(id: Uint8Array): ChunkAddress | undefined {
    const found = this.table.find(id)
    const pack = found && this.index.packs[found.pack]
    if (!pack) return undefined
    const { segmentOffset, segmentBytes, position } = found
    return { packKey: packKey(pack.id), pack: pack.id, header: pack.header, segmentOffset, segmentBytes, position }
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
    const segment = await this.#segment(address, options)
    return this.#reader.verify(chunkAt(segment, address.position), id, address.pack)
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

/** The sealed bytes of one segment. @throws {CairnError} `DATA_CORRUPT` when the pack is missing or too short */
async function fetchSegment(storage: Storage, address: ChunkAddress, options: AbortOptions): Promise<SealedSegment> {
  const range = { offset: address.segmentOffset, length: address.segmentBytes }
  const bytes = await getPackRange(storage, address, range, options)
  return { pack: address.pack, header: address.header, offset: address.segmentOffset, bytes }
}

/** Bytes of a pack that an index promises. @throws {CairnError} `DATA_CORRUPT` when they are not there */
export async function getPackRange(
  storage: Storage,
  pack: Pick<ChunkAddress, 'pack' | 'packKey'>,
  range: { offset: number; length: number },
  options: AbortOptions = {},
): Promise<Uint8Array> {
  try {
    return await storage.get(pack.packKey, range, options)
  } catch (error) {
    if (!isCairnError(error, 'NOT_FOUND')) throw error
    throw new CairnError('DATA_CORRUPT', `Cannot read pack ${pack.pack}: it is missing from ${storage.location}`, {
      cause: error,
    })
  }
}
