import { throwIfAborted } from '../base/abort.ts'
import { CairnError, isCairnError } from '../base/errors.ts'
import { type ChunkId, type SessionId, asChunkId } from '../base/ids.ts'
import { toPrintable } from '../base/raw-name.ts'
import { parseCompression } from '../codec/compression.ts'
import type { Repository } from '../repository/repository.ts'
import { WriteSession } from '../repository/write-session.ts'
import { findReplaced, loadSnapshots } from '../snapshot/catalog.ts'
import { SnapshotReplacement } from '../snapshot/replacement.ts'
import { type Rewritten, rewriteTree } from '../snapshot/rewrite-tree.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import type { PathPatterns } from '../sources/patterns.ts'
import { carryChunks } from './carry-chunks.ts'
import { type PatternOption, selectPaths } from './path-selection.ts'
import { reclaimableBytes } from './reclaimable.ts'
import { type RepositoryAccess, withRepository } from './repository-access.ts'
import { type SnapshotInfo, toSnapshotInfo } from './snapshot-info.ts'
import { type SnapshotSelection, selectSnapshots } from './snapshot-selection.ts'
import { explainRefusal } from './store-refusal.ts'

export interface RewriteOptions {
  readonly selection: SnapshotSelection
  /** What is left out. */
  readonly patterns: readonly PatternOption[]
  /** Change nothing; say what would be left out. */
  readonly dryRun?: boolean | undefined
  /** Is told of each path that is left out of a snapshot, but not of what lies below one that is not looked into. */
  readonly onLeftOut?: ((snapshot: SnapshotInfo, path: string) => void) | undefined
  readonly onRewritten?: ((result: RewriteResult) => void) | undefined
}

export interface RewriteResult {
  readonly before: SnapshotInfo
  /** The snapshot that took its place; absent when nothing was to be left out, and in a dry run. */
  readonly after: SnapshotInfo | undefined
  /** Entries left out; what lies below a directory that is left out does not count. */
  readonly leftOut: number
}

export interface RewriteResults {
  readonly results: readonly RewriteResult[]
  /** About how much a compaction would give back after it, of what was deleted before too; `undefined` when it cannot be told, and in a dry run. */
  readonly reclaimableBytes: number | undefined
}

const COMPRESSION = parseCompression('zstd')

/**
 * Leaves paths out of snapshots that are there: each gets a new one in its place, with its name, labels, times and pin and an id of
 * its own, and is deleted then. What only it held is freed when its space is reclaimed; until then `undelete` brings it back.
 * Snapshots in which nothing matches stay as they are.
 *
 * Snapshots are rewritten one after the other, and each of them wholly or not at all. A run that is killed between committing the
 * new one and deleting the old one leaves both, under one name, by which the new one is found; the next run deletes the old one.
 *
 * @throws {CairnError} `NOT_FOUND` | `INVALID_ARGUMENT` for an unknown snapshot, a checkpoint, or patterns that leave nothing
 */
export async function rewriteSnapshots(access: RepositoryAccess, options: RewriteOptions): Promise<RewriteResults> {
  const { patterns } = selectPaths([], options.patterns)
  if (!patterns)
    throw new CairnError('INVALID_ARGUMENT', 'Cannot rewrite: nothing to leave out was given; use --exclude')
  return withRepository(access, async (repository) => {
    await repository.loadIndex(access)
    const snapshots = await loadSnapshots(repository, access)
    const replaced = findReplaced(snapshots)
    const chosen = selectSnapshots(snapshots, options.selection)
    if (!options.dryRun) for (const { id } of replaced) await repository.forget(id, access)
    const selected = chosen.filter((snapshot) => !replaced.includes(snapshot))
    const checkpoint = selected.find((snapshot) => snapshot.checkpoint)
    if (checkpoint) {
      throw new CairnError(
        'INVALID_ARGUMENT',
        `Cannot rewrite '${toPrintable(checkpoint.name)}': it is a checkpoint, which the next backup replaces; delete it instead`,
      )
    }
    const results: RewriteResult[] = []
    for (const { id } of selected) {
      throwIfAborted(access.signal)
      const result = await new SnapshotRewriting(access, repository, patterns, options).run(id)
      results.push(result)
      options.onRewritten?.(result)
    }
    return { results, reclaimableBytes: await freedBy(results, repository, access) }
  })
}

async function freedBy(
  results: readonly RewriteResult[],
  repository: Repository,
  access: RepositoryAccess,
): Promise<number | undefined> {
  if (!results.some(({ after }) => after)) return undefined
  await repository.loadIndex(access) // with what has been stored
  return reclaimableBytes(repository, [], access)
}

class SnapshotRewriting {
  readonly #access: RepositoryAccess
  readonly #repository: Repository
  readonly #patterns: PathPatterns
  readonly #options: RewriteOptions

  constructor(access: RepositoryAccess, repository: Repository, patterns: PathPatterns, options: RewriteOptions) {
    this.#access = access
    this.#repository = repository
    this.#patterns = patterns
    this.#options = options
  }

  async run(id: SessionId): Promise<RewriteResult> {
    const snapshot = await this.#find(id)
    if (this.#options.dryRun) {
      const { leftOut } = await this.#rewrite(snapshot, saveNothing)
      return { before: this.#info(snapshot), after: undefined, leftOut }
    }
    const what = `Cannot rewrite snapshot '${toPrintable(snapshot.name)}'`
    const result = await explainRefusal(what, () => this.#replace(id))
    if (result.after) await this.#forget(id, result.after.id)
    return result
  }

  /** Commits what is left of a snapshot in its place. */
  async #replace(id: SessionId): Promise<RewriteResult> {
    // The session comes first: what it finds in the index is not reclaimed before it ends (docs/concurrency.md).
    const session = await WriteSession.open(this.#repository, this.#access)
    try {
      return await this.#commitRest(await this.#find(id), session)
    } finally {
      await session.abandon() // of no effect after a commit
    }
  }

  /** The snapshot as it is now. */
  async #find(id: SessionId): Promise<Snapshot> {
    const found = (await loadSnapshots(this.#repository, this.#access)).find((snapshot) => snapshot.id === id)
    if (!found) throw justDeleted(id)
    return found
  }

  async #commitRest(snapshot: Snapshot, session: WriteSession): Promise<RewriteResult> {
    const replacement = new SnapshotReplacement(this.#repository, session, COMPRESSION)
    const rewritten = await this.#rewrite(snapshot, replacement.save, replacement.ready)
    const before = this.#info(snapshot)
    const { leftOut } = rewritten
    if (leftOut === 0) return { before, after: undefined, leftOut }
    await this.#carry(snapshot, session)
    const after = await replacement.finish(snapshot, rewritten)
    if (!(await replacement.commit(snapshot, after, this.#access))) throw justDeleted(snapshot.id)
    const index = { packs: [...this.#repository.index.packs, ...session.packs] }
    return { before, after: toSnapshotInfo(after, index), leftOut }
  }

  /** Takes along what is left of the snapshot, where a reclamation would not. */
  async #carry(snapshot: Snapshot, session: WriteSession): Promise<void> {
    const isNeeded = (path: string): boolean => {
      const { included, recurse } = this.#patterns.decide(path)
      return path === '' || included || recurse
    }
    try {
      await carryChunks(this.#repository, session, snapshot, { ...this.#access, compression: COMPRESSION, isNeeded })
    } catch (error) {
      if (await this.#repository.isForgotten(snapshot.id, this.#access)) throw justDeleted(snapshot.id)
      throw error
    }
  }

  async #rewrite(
    snapshot: Snapshot,
    save: (data: Uint8Array) => ChunkId,
    ready?: () => Promise<void> | undefined,
  ): Promise<Rewritten> {
    const info = this.#info(snapshot)
    const rewritten = await rewriteTree(snapshot, {
      select: (path) => this.#patterns.decide(path),
      load: (chunk) => this.#repository.readChunk(chunk, this.#access),
      save,
      ready,
      onLeftOut: (path) => this.#options.onLeftOut?.(info, path),
      signal: this.#access.signal,
    })
    if (rewritten.leftOut > 0 && rewritten.files + rewritten.directories + rewritten.otherEntries === 0) {
      throw new CairnError(
        'INVALID_ARGUMENT',
        `Cannot rewrite snapshot '${toPrintable(snapshot.name)}': nothing would be left of it; use 'cairn delete' if that is meant`,
      )
    }
    return rewritten
  }

  async #forget(before: SessionId, after: string): Promise<void> {
    try {
      await this.#repository.forget(before)
    } catch (error) {
      if (!isCairnError(error)) throw error
      throw new CairnError(
        error.code,
        `Cannot delete the snapshot ${before} that was rewritten: ${error.message}; the new one, ${after}, has its name too, so delete the old one by its id`,
        { cause: error },
      )
    }
  }

  #info(snapshot: Snapshot): SnapshotInfo {
    return toSnapshotInfo(snapshot, this.#repository.index)
  }
}

function justDeleted(id: SessionId): CairnError {
  return new CairnError('NOT_FOUND', `Cannot rewrite snapshot ${id}: it has just been deleted`)
}

/** Stands for the id of any chunk in a dry run. */
const NO_ID = asChunkId(Buffer.alloc(32))

function saveNothing(): ChunkId {
  return NO_ID
}
