import type { AbortOptions } from '../../base/abort.ts'
import type { Clock } from '../../base/clock.ts'
import { isCairnError } from '../../base/errors.ts'
import { type PackId, asPackId } from '../../base/ids.ts'
import {
  RECLAMATION_FIELD,
  type IndexedPack,
  forEachAtOnce,
  loadPackTable,
  readIndex,
} from '../../repository/low-level.ts'
import { type Repository, packKey } from '../../repository/repository.ts'
import { WriteSession } from '../../repository/write-session.ts'
import { deleteReclaimed } from '../compact/finish.ts'
import type { ReclaimRecord } from '../compact/reclaim.ts'

export interface RebuildOptions extends AbortOptions {
  readonly clock?: Clock | undefined
}

export interface RebuiltIndex {
  /** Packs that are named again. */
  readonly packs: number
  /** Damaged index objects that are gone. */
  readonly removed: readonly string[]
}

const PARALLEL_READS = 8
/** Tables held at the same time on their way into index objects; each has at most about 2.5 MiB. */
const BATCH_PACKS = 64

/**
 * Names the packs again that no index object names, by the tables at their ends, and deletes index objects that are damaged: one
 * run, by the rules of docs/concurrency.md, "Repair". Packs whose own tables are damaged, too, stay as they are. What is condemned is
 * never named again.
 *
 * @param damaged keys of index objects that count for nothing from now on
 * @throws {CairnError} `DATA_CORRUPT` when it cannot be told what is condemned; `SESSION_FENCED`: nothing was changed
 */
export async function rebuildIndex(
  repository: Repository,
  damaged: ReadonlySet<string>,
  options: RebuildOptions,
): Promise<RebuiltIndex> {
  const { signal, clock } = options
  // The run sees what is condemned before it looks which packs are there, as one that adopts does.
  const session = await WriteSession.open(repository, { signal, clock, reclaims: true, onDamaged: () => undefined })
  try {
    const unnamed = await findUnnamed(repository, damaged, options)
    let packs = 0
    for (let at = 0; at < unnamed.length; at += BATCH_PACKS) {
      const loaded = await loadTables(repository, unnamed.slice(at, at + BATCH_PACKS), options)
      // Their writer may have died after they could be seen and before they were safe.
      const keys = loaded.map(({ id }) => packKey(id))
      if (keys.length > 0) await repository.storage.persist?.(keys, options)
      await session.nameAgain(loaded)
      packs += loaded.length
    }
    if (packs === 0 && damaged.size === 0) return { packs, removed: [] }
    const record: ReclaimRecord = { reclaimed: [], superseded: [...damaged] }
    await session.commit({ [RECLAMATION_FIELD]: record })
    await deleteReclaimed(repository, record, new Map(), options)
    return { packs, removed: record.superseded }
  } finally {
    await session.abandon() // of no effect after a commit
  }
}

interface StoredPack {
  readonly id: PackId
  readonly sizeBytes: number
}

/** The packs on the store that no index object names which can be relied on, and that are not condemned. */
async function findUnnamed(
  { storage, keys, index }: Repository,
  damaged: ReadonlySet<string>,
  options: AbortOptions,
): Promise<StoredPack[]> {
  const unnamed = new Map<PackId, StoredPack>()
  for await (const { key, sizeBytes } of storage.list('packs/', options)) {
    const id = asPackId(key.slice('packs/xx/'.length))
    if (id && key === packKey(id)) unnamed.set(id, { id, sizeBytes })
  }
  const reading = await readIndex(storage, keys, options)
  for (const { key, isEffective, packs } of reading.objects())
    if (isEffective && !damaged.has(key)) for (const { id } of packs) unnamed.delete(id)
  for (const id of [...index.reclamations.values()].flat()) unnamed.delete(id)
  return [...unnamed.values()]
}

/** What packs say of themselves; those that are torn, damaged, of a newer version, or gone meanwhile are left out. */
async function loadTables(
  { storage, keys }: Repository,
  packs: readonly StoredPack[],
  options: AbortOptions,
): Promise<IndexedPack[]> {
  const loaded: IndexedPack[] = []
  await forEachAtOnce(packs, PARALLEL_READS, async ({ id, sizeBytes }) => {
    try {
      loaded.push(await loadPackTable(storage, keys, id, sizeBytes, options))
    } catch (error) {
      if (!UNREADABLE.some((code) => isCairnError(error, code))) throw error
    }
  })
  return loaded
}

const UNREADABLE = ['DATA_CORRUPT', 'FORMAT_UNSUPPORTED', 'NOT_FOUND'] as const
