import { CairnError } from '../base/errors.ts'
import { toPrintable } from '../base/raw-name.ts'
import { type ChunkRef, type ContentStretch, type LoadChunk, findStretch } from '../snapshot/content.ts'
import { type HoleTable, holeBytes } from '../snapshot/hole-table.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import { HoleMap, type Piece } from './hole-map.ts'
import { type SegmentCache, SegmentLease } from './segment-cache.ts'

/** How far behind what was read last chunks are read ahead, where a file is read from front to back. */
const AHEAD_BYTES = 16 << 20
/** A read is one of those if it begins no farther from where the last ones ended: the kernel has several under way at once. */
const NEAR_BYTES = 1 << 20

const ZEROS = Buffer.alloc(1 << 20)

export interface FileContentOptions {
  readonly node: TreeNode
  readonly holes: HoleTable | undefined
  /** For messages. */
  readonly path: string
  readonly load: LoadChunk
  readonly segments: Pick<SegmentCache, 'read' | 'readAhead'>
  /** Is told of what a read failed with, before it fails. */
  readonly onIssue: (error: unknown) => void
}

/** An open file: any of its bytes, holes as zeros. */
export class FileContent {
  readonly sizeBytes: number
  readonly #options: FileContentOptions
  readonly #content: Uint8Array | undefined
  readonly #contentBytes: number
  readonly #holes: HoleMap
  /** The chunks around the place read last. */
  #stretch: ContentStretch | undefined
  /** How far of the content has been read, and read ahead. */
  #readTo = 0
  #aheadTo = 0
  #isReadingAhead = false

  constructor(options: FileContentOptions) {
    const { node, holes } = options
    this.#options = options
    // Copied: the node is a view of a chunk that need not stay.
    this.#content = node.content && Buffer.from(node.content)
    this.sizeBytes = node.sizeBytes
    this.#contentBytes = node.sizeBytes - holeBytes(holes)
    this.#holes = new HoleMap(holes, node.sizeBytes)
  }

  /**
   * Pieces that together have `length` bytes from `offset` on, fewer where the file ends. Nobody may write to them, and whoever needs
   * them for longer than the turn of the event loop in which this resolves has to copy them.
   *
   * @throws {CairnError} `DATA_CORRUPT`, and what reading from the store throws
   */
  async read(offset: number, length: number): Promise<readonly Uint8Array[]> {
    const lease = new SegmentLease()
    try {
      const pieces = [...this.#holes.pieces(offset, length)]
      const parts = await Promise.all(pieces.map(async (piece) => this.#readPiece(piece, lease)))
      return parts.flat()
    } catch (error) {
      this.#options.onIssue(error)
      throw error
    } finally {
      setImmediate(() => lease.end())
    }
  }

  /** Where data or a hole begins at or behind `offset`; `undefined` when none does before the end of the file. */
  seek(offset: number, what: 'data' | 'hole'): number | undefined {
    return this.#holes.seek(offset, what)
  }

  async #readPiece({ contentOffset, length }: Piece, lease: SegmentLease): Promise<readonly Uint8Array[]> {
    if (contentOffset === undefined) return zeros(length)
    const end = contentOffset + length
    const wanted: { readonly ref: ChunkRef; readonly start: number }[] = []
    for await (const chunk of this.#chunks(contentOffset, end)) wanted.push(chunk)
    this.#readOn(contentOffset, end)
    return Promise.all(
      wanted.map(async ({ ref, start }) => {
        const chunk = await this.#options.segments.read(ref.id, lease)
        if (chunk.length !== ref.bytes)
          throw this.#damaged(`a chunk of it has ${chunk.length} bytes, its list says ${ref.bytes}`)
        return chunk.subarray(Math.max(0, contentOffset - start), Math.min(chunk.length, end - start))
      }),
    )
  }

  /** The chunks that hold content from `start` to `end`, and where in it they begin. */
  async *#chunks(start: number, end: number): AsyncGenerator<{ readonly ref: ChunkRef; readonly start: number }> {
    for (let at = start; at < end;) {
      const stretch = await this.#stretchAt(at)
      let chunkStart = stretch.start
      for (const ref of stretch.refs) {
        if (chunkStart >= end) return
        if (chunkStart + ref.bytes > at) yield { ref, start: chunkStart }
        chunkStart += ref.bytes
      }
      at = stretch.end
    }
  }

  async #stretchAt(at: number): Promise<ContentStretch> {
    const known = this.#stretch
    if (known && known.start <= at && at < known.end) return known
    const what = `the content of ${toPrintable(this.#options.path)}`
    const found = this.#content && (await findStretch(this.#content, at, this.#options.load, what))
    if (!found) throw this.#damaged(`its content ends before byte ${at} of ${this.#contentBytes}`)
    this.#stretch = found
    return found
  }

  /** Reads ahead, when what was just asked for follows what was asked for before. */
  #readOn(start: number, end: number): void {
    const isNext = Math.abs(start - this.#readTo) <= NEAR_BYTES
    this.#readTo = isNext ? Math.max(this.#readTo, end) : end
    if (!isNext) this.#aheadTo = end
    else if (!this.#isReadingAhead && this.#readTo + AHEAD_BYTES / 2 > this.#aheadTo) void this.#readAhead()
  }

  async #readAhead(): Promise<void> {
    this.#isReadingAhead = true
    try {
      const from = Math.max(this.#readTo, this.#aheadTo)
      const to = Math.min(this.#contentBytes, this.#readTo + AHEAD_BYTES)
      for await (const { ref, start } of this.#chunks(from, to)) {
        if (!this.#options.segments.readAhead(ref.id)) return
        this.#aheadTo = start + ref.bytes
      }
    } catch {
      // Whoever reads there is told.
    } finally {
      this.#isReadingAhead = false
    }
  }

  #damaged(found: string): CairnError {
    return new CairnError('DATA_CORRUPT', found)
  }
}

function zeros(length: number): Uint8Array[] {
  const pieces: Uint8Array[] = []
  for (let left = length; left > 0; left -= ZEROS.length) pieces.push(ZEROS.subarray(0, Math.min(left, ZEROS.length)))
  return pieces
}
