import type { AbortOptions } from '../base/abort.ts'
import type { ChunkId } from '../base/ids.ts'
import type { ChunkWriter, Compression } from '../repository/chunk-writer.ts'
import { changePin } from '../repository/labels.ts'
import type { Repository } from '../repository/repository.ts'
import type { WriteSession } from '../repository/write-session.ts'
import type { Rewritten } from './rewrite-tree.ts'
import { type Snapshot, encodeSnapshot } from './snapshot.ts'

/** Writes the trees of a snapshot that takes the place of another one, in an open session, and commits it. */
export class SnapshotReplacement {
  readonly #repository: Repository
  readonly #session: WriteSession
  readonly #writer: ChunkWriter

  constructor(repository: Repository, session: WriteSession, compression: Compression) {
    this.#repository = repository
    this.#session = session
    this.#writer = session.openWriter('treePack', compression)
  }

  /** Stores a chunk of a tree, unless it is there already. */
  readonly save = (data: Uint8Array): ChunkId => {
    this.#repository.table.reserve(1)
    return this.#writer.save(data)
  }

  /** To be awaited now and then, so that a slow store slows the writing down. */
  readonly ready = (): Promise<void> | undefined => this.#writer.ready()

  /** Stores what is on its way, and returns the snapshot to be committed: as the one before, but for what was rewritten. */
  async finish(before: Snapshot, rewritten: Rewritten): Promise<Snapshot> {
    await this.#writer.flush()
    await this.#session.flushIndex()
    const { tree, stamps, samples, furtherNames, files, directories, otherEntries, originalBytes, chunks } = rewritten
    return {
      ...before,
      id: this.#session.id,
      madeFrom: before.id,
      tree,
      stamps,
      samples,
      furtherNames,
      root: before.root && { ...before.root, tree },
      stats: {
        filesNew: 0,
        filesChanged: 0,
        filesUnmodified: files,
        directories,
        otherEntries,
        originalBytes,
        addedBytes: 0,
        storedBytes: this.#session.storedBytes,
        chunksTotal: chunks + 1, // the root is a directory too
        chunksNew: 0,
        treeChunksNew: this.#writer.stats.newChunks,
      },
    }
  }

  /**
   * Commits a snapshot under the name of the one before, with its pin. The caller then forgets that one.
   *
   * @returns whether it was done; not when the snapshot before has been deleted meanwhile
   * @throws {CairnError} as `WriteSession.commit`
   */
  async commit(before: Snapshot, after: Snapshot, options: AbortOptions): Promise<boolean> {
    const repository = this.#repository
    // The name of a checkpoint is made from its run's, and claimed by nobody.
    if (!before.checkpoint) await this.#session.claimName(after.name, before.id)
    if (await repository.isForgotten(before.id, options)) return false
    // The pin is there before the snapshot is, so that no policy finds it without. One without a snapshot says nothing.
    if (before.pinned) await changePin(repository, after.id, true, options)
    await this.#session.commit(encodeSnapshot(after))
    return true
  }
}
