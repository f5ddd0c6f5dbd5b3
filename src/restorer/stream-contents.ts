import { type AbortOptions, throwIfAborted } from '../base/abort.ts'
import { CairnError } from '../base/errors.ts'
import type { ChunkId } from '../base/ids.ts'
import { toPrintable } from '../base/raw-name.ts'
import type { Repository } from '../repository/repository.ts'
import type { Hole } from '../base/hole.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import { type Selected, walkTree } from '../snapshot/tree-walk.ts'
import { type HoleTable, toHoles } from '../snapshot/hole-table.ts'
import { type ContentSource, eachRef, holesOf } from './nodes.ts'

export interface StreamOptions extends AbortOptions {
  readonly repository: Repository
  readonly tree: ChunkId
  readonly paths: readonly string[]
  readonly select: ((path: string) => Selected) | undefined
}

/** Takes a piece, which is good until it resolves; `false` means that nobody wants more. */
export type WritePiece = (piece: Uint8Array) => Promise<boolean>

const ZEROS = new Uint8Array(1 << 20)

/**
 * Gives the contents of the selected files one after the other, in the order of the snapshot, holes as zeros.
 *
 * @throws {CairnError} `NOT_FOUND`; `DATA_CORRUPT` at the first file that is damaged, for what follows would be in the wrong place
 */
export async function streamContents(options: StreamOptions, write: WritePiece): Promise<void> {
  const { repository, tree, paths, select, signal } = options
  const source: ContentSource = { load: (id) => repository.readChunk(id, { signal }) }
  for await (const entries of walkTree(tree, paths, source.load, { select })) {
    for (const { node, path } of entries) {
      if (node.type !== 'file') continue
      for await (const piece of contentOf(source, node, path)) {
        throwIfAborted(signal)
        if (!(await write(piece))) return
      }
    }
  }
}

/**
 * The content of one file, with its holes as zeros. A piece is good until the next one is asked for.
 *
 * @throws {CairnError} `DATA_CORRUPT`
 */
export async function* contentOf(source: ContentSource, node: TreeNode, path: string): AsyncGenerator<Uint8Array> {
  const holes = await holesOf(source, node, path)
  const zeros = new HoleCursor(holes)
  let position = 0
  for await (const chunk of chunksOf(source, node, holes, path)) {
    for (let done = 0; done < chunk.length;) {
      for (const hole of zeros.at(position)) {
        yield* zeroPieces(hole.length)
        position += hole.length
      }
      const piece = chunk.subarray(done, done + Math.min(chunk.length - done, zeros.next - position))
      yield piece
      done += piece.length
      position += piece.length
    }
  }
  for (const hole of zeros.at(position)) yield* zeroPieces(hole.length)
}

/** Chunks in order, the next one fetched while one is used. */
export async function* chunksOf(
  { load }: ContentSource,
  node: TreeNode,
  holes: HoleTable | undefined,
  path: string,
): AsyncGenerator<Uint8Array> {
  const read = async (id: Uint8Array, bytes: number): Promise<Uint8Array> => {
    const chunk = await load(id)
    if (chunk.length === bytes) return chunk
    throw new CairnError(
      'DATA_CORRUPT',
      `Cannot read ${toPrintable(path)}: a chunk of it has ${chunk.length} bytes, its list says ${bytes}`,
    )
  }
  let ahead: Promise<Uint8Array> | undefined
  for await (const { id, bytes } of eachRef({ load }, node, holes, path)) {
    const next = read(id, bytes)
    next.catch(() => undefined) // awaited in the next turn
    if (ahead) yield await ahead
    ahead = next
  }
  if (ahead) yield await ahead
}

function* zeroPieces(length: number): Generator<Uint8Array> {
  for (let left = length; left > 0; left -= ZEROS.length) yield ZEROS.subarray(0, Math.min(left, ZEROS.length))
}

/** Goes through the holes of a file. */
class HoleCursor {
  readonly #holes: readonly Hole[]
  #index = 0

  constructor(holes: HoleTable | undefined) {
    this.#holes = holes ? toHoles(holes) : []
  }

  /** Where the next hole begins. */
  get next(): number {
    return this.#holes[this.#index]?.offset ?? Number.POSITIVE_INFINITY
  }

  /** The hole that begins at `position`, if one does; once. */
  *at(position: number): Generator<Hole> {
    if (this.next === position) yield this.#holes[this.#index++] as Hole
  }
}
