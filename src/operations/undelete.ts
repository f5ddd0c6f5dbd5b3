import { CairnError, isCairnError } from '../base/errors.ts'
import type { ChunkId } from '../base/ids.ts'
import { toPrintable } from '../base/raw-name.ts'
import { parseCompression } from '../codec/compression.ts'
import { ChunkTable } from '../repository/chunk-table.ts'
import type { Repository } from '../repository/repository.ts'
import { WriteSession } from '../repository/write-session.ts'
import { findSnapshot, loadDeletedSnapshots, loadSnapshots, withoutRestored } from '../snapshot/catalog.ts'
import { type ReferenceVisitor, visitReferences } from '../snapshot/references.ts'
import { type Snapshot, encodeSnapshot } from '../snapshot/snapshot.ts'
import { carryChunks } from './carry-chunks.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import { type SnapshotInfo, toSnapshotInfo } from './snapshot-info.ts'
import { explainRefusal } from './store-refusal.ts'

/** Paths that are named of those whose chunks are gone. */
const NAMED_PATHS = 5

export interface UndeleteOptions {
  /** `latest`, a name or the beginning of an id, of a snapshot that was deleted. */
  readonly wanted: string
  /** Its name from now on; the old one when absent. */
  readonly name?: string | undefined
}

/**
 * Brings a deleted snapshot back, with its labels, under an id of its own. It must be there wholly: what has been reclaimed is
 * gone.
 *
 * @throws {CairnError} `NOT_FOUND` when there is none, or chunks of it are gone; `SNAPSHOT_EXISTS` when its name is taken by now;
 *   `INVALID_ARGUMENT` when several have the name; `STORAGE_DENIED`. Then nothing has changed
 */
export async function undeleteSnapshot(access: RepositoryAccess, options: UndeleteOptions): Promise<SnapshotInfo> {
  const action = `Cannot undelete snapshot '${toPrintable(options.wanted)}'`
  return withRepository(access, (repository) => explainRefusal(action, () => undelete(repository, access, options)))
}

async function undelete(
  repository: Repository,
  access: RepositoryAccess,
  options: UndeleteOptions,
): Promise<SnapshotInfo> {
  // The session comes first: what it finds in the index is not reclaimed before it ends (docs/concurrency.md).
  const session = await WriteSession.open(repository, access)
  try {
    const deleted = await findDeleted(repository, options.wanted, access)
    await bringBack(repository, session, deleted, access)
    await requireChunks(repository, deleted, access)
    const restored: Snapshot = { ...deleted, id: session.id, madeFrom: deleted.id, pinned: false, ...nameOf(options) }
    await claim(session, restored.name, options)
    await session.commit(encodeSnapshot(restored))
    return toSnapshotInfo(restored, repository.index)
  } catch (error) {
    await session.abandon()
    throw error
  }
}

function nameOf({ name }: UndeleteOptions): { name?: string } {
  return name === undefined ? {} : { name }
}

async function claim(session: WriteSession, name: string, options: UndeleteOptions): Promise<void> {
  try {
    await session.claimName(name)
  } catch (error) {
    if (!isCairnError(error, 'SNAPSHOT_EXISTS') || options.name !== undefined) throw error
    throw new CairnError(
      'SNAPSHOT_EXISTS',
      `Cannot undelete snapshot '${toPrintable(name)}': another one has this name by now; choose one with --name`,
      { cause: error },
    )
  }
}

async function findDeleted(repository: Repository, wanted: string, access: RepositoryAccess): Promise<Snapshot> {
  const [present, forgotten] = await Promise.all([
    loadSnapshots(repository, access),
    loadDeletedSnapshots(repository, access),
  ])
  const deleted = withoutRestored(forgotten, present)
  const namesakes = deleted.filter(({ name }) => name === wanted)
  if (namesakes.length > 1) {
    throw new CairnError(
      'INVALID_ARGUMENT',
      `Cannot tell which snapshot is meant by '${toPrintable(wanted)}': ${namesakes.length} deleted ones have this name; give one of the ids ${namesakes.map(({ id }) => id.slice(0, 8)).join(', ')}`,
    )
  }
  try {
    return findSnapshot(deleted, wanted)
  } catch (error) {
    if (!isCairnError(error, 'NOT_FOUND')) throw error
    const isThere = present.some(({ name, id }) => name === wanted || (wanted.length >= 4 && id.startsWith(wanted)))
    const found = isThere ? 'it is not deleted' : 'no deleted snapshot has this name or id'
    throw new CairnError(
      'NOT_FOUND',
      `Cannot undelete '${toPrintable(wanted)}': ${found}; 'cairn list --deleted' shows what can be brought back`,
      { cause: error },
    )
  }
}

/** Stores anew what lies only in packs that are about to be deleted. What is gone already, `requireChunks` tells. */
async function bringBack(
  repository: Repository,
  session: WriteSession,
  snapshot: Snapshot,
  access: RepositoryAccess,
): Promise<void> {
  try {
    const compression = parseCompression('zstd')
    await carryChunks(repository, session, snapshot, { signal: access.signal, compression, isNeeded: () => true })
  } catch (error) {
    if (!isCairnError(error, 'DATA_CORRUPT') && !isCairnError(error, 'NOT_FOUND')) throw error
  }
}

/** @throws {CairnError} `NOT_FOUND` saying which files a chunk is gone of */
async function requireChunks(repository: Repository, snapshot: Snapshot, access: RepositoryAccess): Promise<void> {
  const search = new MissingChunks(repository.table)
  await visitReferences(snapshot, (id) => repository.readChunk(id, access), search, access)
  if (search.missing === 0) return
  const named = [...search.paths].map((path) => toPrintable(path)).join(', ')
  throw new CairnError(
    'NOT_FOUND',
    `Cannot undelete snapshot '${toPrintable(snapshot.name)}': its space has been reclaimed in part, and ${search.missing} of its chunks are gone (of ${named}${search.paths.size === NAMED_PATHS ? ' …' : ''}); nothing was changed`,
    { details: { missingChunks: search.missing, paths: [...search.paths] } },
  )
}

class MissingChunks implements ReferenceVisitor {
  readonly #table: ChunkTable
  readonly #entered = ChunkTable.create(0)
  /** References to chunks that are not there, and what some of them belong to. */
  missing = 0
  readonly paths = new Set<string>()

  constructor(table: ChunkTable) {
    this.#table = table
  }

  enter(id: ChunkId): boolean {
    if (!this.#table.has(id)) return false // counted when it was visited
    this.#entered.reserve(1)
    return this.#entered.claim(id)
  }

  chunk(bytes: Uint8Array, offset: number, directory: string, name: string): void {
    if (this.#table.has(bytes, offset)) return
    this.missing++
    if (this.paths.size < NAMED_PATHS) this.paths.add(`${directory}/${name}`.replace(/^\//, '') || '/')
  }
}
