import { type AbortOptions } from '../../base/abort.ts'
import { CairnError, isCairnError } from '../../base/errors.ts'
import type { ChunkId, SessionId } from '../../base/ids.ts'
import { toPrintable } from '../../base/raw-name.ts'
import type { ChunkTable } from '../../repository/chunk-table.ts'
import type { LoadedIndex, Repository } from '../../repository/repository.ts'
import { type ReferenceVisitor, visitReferences } from '../../snapshot/references.ts'
import type { Snapshot } from '../../snapshot/snapshot.ts'

/** Which chunks of an index some snapshot refers to: a bit a chunk, and another for those that were opened. */
export class ChunkUsage implements ReferenceVisitor {
  readonly #tables: readonly ChunkTable[]
  readonly #used: readonly Bits[]
  readonly #entered: readonly Bits[]
  /** References to chunks that no pack holds. */
  lost = 0

  constructor({ table, condemned }: LoadedIndex) {
    this.#tables = condemned ? [table, condemned.table] : [table]
    this.#used = this.#tables.map(({ slots }) => new Bits(slots))
    this.#entered = this.#tables.map(({ slots }) => new Bits(slots))
  }

  chunk(bytes: Uint8Array, offset: number): void {
    if (!this.#set(this.#used, bytes, offset)) this.lost++
  }

  /** A chunk that was opened as a tree is a tree for good; that a file has the same bytes as content says nothing. */
  enter(id: ChunkId): boolean {
    for (const [i, table] of this.#tables.entries()) {
      const slot = table.slotOf(id)
      if (slot >= 0) return (this.#entered[i] as Bits).add(slot)
    }
    return true // it cannot be loaded, which whoever tries will say
  }

  /** Whether a snapshot refers to a chunk; its id is the 32 bytes from `offset` on. */
  has(bytes: Uint8Array, offset: number): boolean {
    for (const [i, table] of this.#tables.entries()) {
      const slot = table.slotOf(bytes, offset)
      if (slot >= 0) return (this.#used[i] as Bits).has(slot)
    }
    return false
  }

  #set(bits: readonly Bits[], id: Uint8Array, offset: number): boolean {
    for (const [i, table] of this.#tables.entries()) {
      const slot = table.slotOf(id, offset)
      if (slot < 0) continue
      ;(bits[i] as Bits).add(slot)
      return true
    }
    return false
  }
}

/** Snapshots, and what they refer to. */
export interface MarkedSnapshots {
  readonly ids: ReadonlySet<SessionId>
  readonly usage: ChunkUsage
}

class Bits {
  readonly #bytes: Uint8Array

  constructor(count: number) {
    this.#bytes = new Uint8Array(Math.ceil(count / 8))
  }

  has(bit: number): boolean {
    return ((this.#bytes[bit >>> 3] as number) & (1 << (bit & 7))) !== 0
  }

  /** Returns whether it was not there. */
  add(bit: number): boolean {
    if (this.has(bit)) return false
    this.#bytes[bit >>> 3] = (this.#bytes[bit >>> 3] as number) | (1 << (bit & 7))
    return true
  }
}

/**
 * Marks every chunk that these snapshots refer to, in the index the repository has loaded.
 *
 * @throws {CairnError} `DATA_CORRUPT` when a tree cannot be read: what is below it would be taken for unused
 */
export async function markUsed(
  repository: Repository,
  snapshots: readonly Snapshot[],
  options: AbortOptions & { readonly onSnapshot?: ((done: number) => void) | undefined },
): Promise<ChunkUsage> {
  const usage = new ChunkUsage(repository.index)
  for (const [i, snapshot] of snapshots.entries()) {
    options.onSnapshot?.(i)
    try {
      await visitReferences(snapshot, (id) => repository.readChunk(id, options), usage, options)
    } catch (error) {
      if (!isCairnError(error, 'DATA_CORRUPT') && !isCairnError(error, 'NOT_FOUND')) throw error
      // Deleted meanwhile, so it needs nothing; another reclamation may have come to its end since. But trees are entered now that
      // were not walked to their end, which other snapshots may share: so all over again.
      if (await repository.isForgotten(snapshot.id, options)) {
        const others = snapshots.filter(({ id }) => id !== snapshot.id)
        return markUsed(repository, others, options)
      }
      throw new CairnError(
        'DATA_CORRUPT',
        `Cannot tell what snapshot '${toPrintable(snapshot.name)}' needs: ${error.message}; ` +
          `nothing was freed. 'cairn check' tells what is damaged; delete that snapshot, or repair the repository`,
        { cause: error, details: { snapshot: snapshot.id } },
      )
    }
  }
  return usage
}
