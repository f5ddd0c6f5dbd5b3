import { fixedClock } from '../base/clock.ts'
import type { ChunkId } from '../base/ids.ts'
import type { Compression } from '../codec/compression.ts'
import type { Argon2Parameters } from '../codec/key-derivation.ts'
import { MAX_CHUNK_BYTES } from '../chunker/params.ts'
import { MemoryStorage } from '../storage/memory/memory-storage.ts'
import type { Storage } from '../storage/storage.ts'
import { ChunkWriter } from './chunk-writer.ts'
import type { PackKind } from './keys.ts'
import { type EncryptionMode, type KeyFiles, type Repository, openRepository } from './repository.ts'
import { type CreateRepositoryOptions, createRepository } from './create-repository.ts'
import type { KeyFile } from './slot-store.ts'
import { WriteSession } from './write-session.ts'

/** For tests: repositories in memory, with a key derivation that costs next to nothing. */

/** The cheapest parameters that Argon2 has. */
export const CHEAP_ARGON2: Argon2Parameters = { memoryKiB: 8, passes: 1, parallelism: 1 }
export const TEST_PASSPHRASE = 'correct horse battery staple'
export const ALL_MODES: readonly EncryptionMode[] = ['repokey', 'keyfile', 'none']

/** Key files in memory; tests read and change `files`, which maps names (repository ids, with `-2` and so on) to slots. */
export class MemoryKeyFiles implements KeyFiles {
  readonly files = new Map<string, string>()

  pathOf(repositoryId: string): string {
    return `memory/${repositoryId}.key`
  }

  async list(repositoryId: string): Promise<KeyFile[]> {
    const names = [...this.files.keys()].filter((name) => name.startsWith(repositoryId))
    return names.map((name) => ({ path: this.pathOf(name), text: this.files.get(name) ?? '' }))
  }

  async save(repositoryId: string, slot: string): Promise<string> {
    let name = repositoryId
    for (let number = 2; this.files.has(name); number++) name = `${repositoryId}-${number}`
    this.files.set(name, slot)
    return this.pathOf(name)
  }

  async remove({ path, text }: KeyFile): Promise<void> {
    if (this.files.get(nameOf(path)) === text) this.files.delete(nameOf(path))
  }

  async moveToFront(repositoryId: string, path: string): Promise<string> {
    const slot = this.files.get(nameOf(path))
    if (slot === undefined || this.files.has(repositoryId)) return path
    this.files.delete(nameOf(path))
    this.files.set(repositoryId, slot)
    return this.pathOf(repositoryId)
  }
}

function nameOf(path: string): string {
  return path.replace('memory/', '').replace('.key', '')
}

/** A repository, and everything needed to open it again. */
export interface TestRepository {
  readonly storage: Storage
  readonly keyFiles: MemoryKeyFiles
  readonly repository: Repository
}

/** Makes a repository; in memory and `repokey` with `TEST_PASSPHRASE` unless told otherwise. */
export async function newTestRepository(
  options: Partial<CreateRepositoryOptions> & { readonly storage?: Storage } = {},
): Promise<TestRepository> {
  const { storage = new MemoryStorage(), encryption = 'repokey', ...rest } = options
  const keyFiles = new MemoryKeyFiles()
  const repository = await createRepository(storage, {
    encryption,
    passphrase: encryption === 'none' ? undefined : TEST_PASSPHRASE,
    keyFiles,
    argon2: CHEAP_ARGON2,
    clock: fixedClock(Date.UTC(2026, 10, 1)),
    ...rest,
  })
  return { storage, keyFiles, repository }
}

/** Opens the repository anew, as another process would, from its own storage or a copy of it; the index is not loaded. */
export async function reopen(
  made: Pick<TestRepository, 'storage' | 'keyFiles'>,
  storage: Storage = made.storage,
): Promise<Repository> {
  return openRepository(storage, { keyFiles: made.keyFiles, askPassphrase: answerOnce(TEST_PASSPHRASE) })
}

/** Answers the first question for a passphrase, and gives up at the second. */
export function answerOnce(passphrase: string): (question: { attempt: number }) => Promise<string | undefined> {
  return async ({ attempt }) => (attempt === 1 ? passphrase : undefined)
}

export const ZSTD: Compression = { name: 'zstd', level: 1 }

/** A writer that stores its packs through `session`. Whoever saves more than a few thousand chunks reserves room in the table. */
export function newWriter(
  repository: Repository,
  session: WriteSession,
  options: { readonly kind?: PackKind; readonly compression?: Compression } = {},
): ChunkWriter {
  return new ChunkWriter({
    kind: options.kind ?? 'dataPack',
    keys: repository.keys,
    table: repository.table,
    compression: options.compression ?? ZSTD,
    maxChunkBytes: MAX_CHUNK_BYTES,
    storePack: (pack) => session.storePack(pack),
  })
}

/** Saves chunks into packs of `session`, which stays open. Chunks that are there already are not stored again. */
export async function saveChunks(
  repository: Repository,
  session: WriteSession,
  chunks: readonly Uint8Array[],
  options: { readonly kind?: PackKind; readonly compression?: Compression } = {},
): Promise<ChunkId[]> {
  const writer = newWriter(repository, session, options)
  const ids: ChunkId[] = []
  for (const chunk of chunks) {
    ids.push(writer.save(chunk))
    await writer.ready()
  }
  await writer.flush()
  return ids
}

/** A whole run: opens a session, saves chunks, commits `{ run }`. */
export async function commitChunks(
  repository: Repository,
  chunks: readonly Uint8Array[],
  run = 'a run',
): Promise<{ readonly session: WriteSession; readonly ids: ChunkId[] }> {
  const session = await WriteSession.open(repository)
  const ids = await saveChunks(repository, session, chunks)
  await session.commit({ run })
  return { session, ids }
}

/** Keys of the objects below `prefix`, sorted. */
export async function keysOf(storage: Storage, prefix = ''): Promise<string[]> {
  return (await Array.fromAsync(storage.list(prefix))).map(({ key }) => key).sort()
}

/** A copy of a store's objects in memory. */
export async function copyToMemory(storage: Storage): Promise<MemoryStorage> {
  const copy = new MemoryStorage()
  for (const key of await keysOf(storage)) await copy.put(key, await storage.get(key))
  return copy
}
