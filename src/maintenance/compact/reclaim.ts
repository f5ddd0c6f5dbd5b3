import type { AbortOptions } from '../../base/abort.ts'
import type { Clock } from '../../base/clock.ts'
import { CairnError, isCairnError } from '../../base/errors.ts'
import { CHUNK_ID_BYTES, type PackId } from '../../base/ids.ts'
import type { ChunkWriter, Compression } from '../../repository/chunk-writer.ts'
import {
  RECLAMATION_FIELD,
  type CondemnedSets,
  type IndexedPack,
  forgottenKey,
  packKindOf,
  readCondemned,
  segmentsOf,
} from '../../repository/low-level.ts'
import type { Repository } from '../../repository/repository.ts'
import { WriteSession } from '../../repository/write-session.ts'
import { loadSnapshots } from '../../snapshot/catalog.ts'
import { eachIndexObject } from './index-objects.ts'
import { type ChunkUsage, type MarkedSnapshots, markUsed } from './usage.ts'

/** What a reclamation has committed: what may be deleted from then on. Part of the format (docs/format.md). */
export interface ReclaimRecord {
  /** Reclamations whose packs nobody needs any more. */
  readonly reclaimed: readonly string[]
  /** Keys of index objects in whose place there are newer ones. */
  readonly superseded: readonly string[]
}

export interface ReclaimOptions extends AbortOptions {
  /** What was looked at before, to be used again if there is no other snapshot by now. */
  readonly marked?: MarkedSnapshots | undefined
  readonly compression: Compression
  readonly clock?: Clock | undefined
  /** So many bytes of chunks have been moved, of this run together. */
  readonly onMoved?: ((bytes: number) => void) | undefined
}

export interface Reclaimed extends ReclaimRecord {
  /** Chunks that were moved, and their bytes in plain. */
  readonly movedChunks: number
  readonly movedBytes: number
  /** Bytes stored for them, index objects included. */
  readonly storedBytes: number
}

/**
 * Steps G5 and G6, up to the commit, of docs/concurrency.md: in a run of its own, copies what snapshots refer to out of the packs
 * of all reclamations on their way, and puts index objects in the place of those that name such packs. Deletes nothing.
 *
 * @param ready all reclamations that are known, of which none has anybody to wait for any more; none, to merge index objects only
 * @returns `undefined` when that is not so any more, and to be begun again: there is another by now, which may have to wait, and
 *   an index object must not name its packs anew; or one of them is there no more
 * @throws {CairnError} `SESSION_FENCED`: nothing counts, run it again; `DATA_CORRUPT` when something that is needed cannot be read
 */
export async function reclaim(
  repository: Repository,
  ready: CondemnedSets,
  options: ReclaimOptions,
): Promise<Reclaimed | undefined> {
  const session = await WriteSession.open(repository, { signal: options.signal, clock: options.clock, reclaims: true })
  try {
    const { reclamations } = repository.index
    // One that is gone may be one that a repair has given up: its packs are relied on again.
    if (new Set(ready.keys()).symmetricDifference(reclamations).size > 0) {
      await session.abandon()
      return undefined
    }
    const snapshots = await loadSnapshots(repository, options)
    // What was not in the index then, and may be now, was not marked.
    const isMarked = options.marked?.usage.lost === 0 && snapshots.every(({ id }) => options.marked?.ids.has(id))
    const usage =
      isMarked && options.marked
        ? options.marked.usage
        : await markUsed(repository, snapshots, { signal: options.signal })
    const retired = new Set<PackId>([...ready.values()].flat())
    const { superseded, packs } = await supersede(repository, session, retired, options)
    if (ready.size === 0 && superseded.length === 0) {
      await session.abandon()
      return { reclaimed: [], superseded, movedChunks: 0, movedBytes: 0, storedBytes: 0 }
    }
    const mover = new Mover(repository, session, usage, options)
    for (const pack of packs) await mover.moveFrom(pack)
    await mover.finish()
    const record: ReclaimRecord = { reclaimed: [...ready.keys()], superseded }
    await session.commit({ [RECLAMATION_FIELD]: record })
    return { ...record, movedChunks: mover.chunks, movedBytes: mover.bytes, storedBytes: session.storedBytes }
  } catch (error) {
    await session.abandon()
    if (!isCairnError(error, 'DATA_CORRUPT') && !isCairnError(error, 'NOT_FOUND')) throw error
    // What could not be read is no loss when another has brought these reclamations to their end meanwhile.
    const left = await readCondemned(repository.storage, repository.keys, { signal: options.signal })
    if ([...ready.keys()].every((reclamation) => left.has(reclamation))) throw error
    return undefined
  }
}

/** Index objects smaller than this are merged, once there are so many of them. */
const SMALL_INDEX_BYTES = 1 << 20
const MANY_SMALL = 16

/**
 * Names again, in index objects of this run, what others name besides retired packs, and tells which of those others are of no
 * more use then; also of deleted snapshots, whose records can go when they have none, and small ones, when there are many.
 */
async function supersede(
  repository: Repository,
  session: WriteSession,
  retired: ReadonlySet<PackId>,
  options: AbortOptions,
): Promise<{ readonly superseded: string[]; readonly packs: IndexedPack[] }> {
  const forgotten = await listForgotten(repository, options)
  const small: string[] = []
  for await (const { key, sizeBytes } of repository.storage.list('index/', options))
    if (sizeBytes < SMALL_INDEX_BYTES && repository.index.indexKeys.has(key)) small.push(key)
  const merged = new Set(small.length >= MANY_SMALL ? small : [])
  const superseded: string[] = []
  const packs = new Map<PackId, IndexedPack>()
  const named = new Set<PackId>()
  for await (const object of eachIndexObject(repository, options)) {
    const isAffected = object.packs.some(({ id }) => retired.has(id))
    if (!isAffected && !merged.has(object.key) && !forgotten.has(forgottenKey(object.session))) continue
    superseded.push(object.key)
    for (const pack of object.packs) {
      if (retired.has(pack.id)) packs.set(pack.id, pack)
      else if (!named.has(pack.id)) await session.nameAgain([pack])
      named.add(pack.id)
    }
  }
  return { superseded, packs: [...packs.values()] }
}

async function listForgotten({ storage }: Repository, options: AbortOptions): Promise<Set<string>> {
  const keys = new Set<string>()
  for await (const { key } of storage.list('forgotten/', options)) keys.add(key)
  return keys
}

/** Copies chunks out of packs: those that are used and lie in no pack that stays. */
class Mover {
  readonly #repository: Repository
  readonly #usage: ChunkUsage
  readonly #options: ReclaimOptions
  readonly #writers: Readonly<Record<'dataPack' | 'treePack', ChunkWriter>>
  chunks = 0
  bytes = 0

  constructor(repository: Repository, session: WriteSession, usage: ChunkUsage, options: ReclaimOptions) {
    this.#repository = repository
    this.#usage = usage
    this.#options = options
    const { compression } = options
    this.#writers = {
      dataPack: session.openWriter('dataPack', compression),
      treePack: session.openWriter('treePack', compression),
    }
  }

  async moveFrom(pack: IndexedPack): Promise<void> {
    const { table } = this.#repository
    const writer = this.#writers[packKindOf(pack.header)]
    for (const { ids, chunks } of segmentsOf(pack)) {
      for (let i = 0; i < chunks; i++) {
        const at = i * CHUNK_ID_BYTES
        if (table.has(ids, at) || !this.#usage.has(ids, at)) continue
        const chunk = await this.#read(ids.subarray(at, at + CHUNK_ID_BYTES))
        table.reserve(1)
        writer.save(chunk)
        this.chunks++
        this.bytes += chunk.length
        this.#options.onMoved?.(this.bytes)
        await writer.ready()
      }
    }
  }

  async #read(id: Uint8Array): Promise<Uint8Array> {
    try {
      return await this.#repository.readChunk(id, this.#options)
    } catch (error) {
      if (!isCairnError(error, 'DATA_CORRUPT') && !isCairnError(error, 'NOT_FOUND')) throw error
      throw new CairnError(
        error.code,
        `Cannot move what snapshots need out of packs to be deleted: ${error.message}; nothing that is needed was deleted. ` +
          "Run 'cairn check --read-data --repair', or back up the same files again, which stores it anew",
        { cause: error, details: error.details },
      )
    }
  }

  async finish(): Promise<void> {
    await this.#writers.dataPack.flush()
    await this.#writers.treePack.flush()
  }
}

/** What a run committed when it reclaimed space; `undefined` when it committed something else. */
export function reclaimRecordOf(value: Readonly<Record<string, unknown>>): ReclaimRecord | undefined {
  const { reclaimed, superseded } = (value[RECLAMATION_FIELD] ?? {}) as Record<string, unknown>
  if (!isTexts(reclaimed) || !isTexts(superseded)) return undefined
  return { reclaimed, superseded }
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}
