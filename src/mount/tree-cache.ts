import { type ChunkId, toHex } from '../base/ids.ts'
import { compareRawNames } from '../base/raw-name.ts'
import type { LoadChunk } from '../snapshot/content.ts'
import type { TreeNode } from '../snapshot/tree-node.ts'
import { type TreePart, readTreeChunk } from '../snapshot/tree-reader.ts'

/** Chunks of trees that are kept, by their length; decoded they take several times as much. */
const MAX_BYTES = 8 << 20
/** A position counts chunks of a tree above these bits, and the nodes of one of them below. */
const PART = 2 ** 24

interface Part {
  readonly nodes: readonly TreeNode[]
  readonly parts: readonly TreePart[]
  byName?: ReadonlyMap<string, TreeNode>
}

interface Cached {
  readonly part: Promise<Part>
  /** 0 until it is read. */
  bytes: number
}

/** A node, and the position behind it. */
export interface PositionedNode {
  readonly node: TreeNode
  readonly next: number
}

/** Directories of snapshots, decoded chunk by chunk; those used last are kept. */
export class TreeCache {
  readonly #load: LoadChunk
  readonly #cached = new Map<string, Cached>()
  #bytes = 0

  constructor(load: LoadChunk) {
    this.#load = load
  }

  /** The node of this name in a directory. @throws {CairnError} `DATA_CORRUPT`, and what `load` throws */
  async find(tree: ChunkId, name: string): Promise<TreeNode | undefined> {
    const top = await this.#part(tree)
    const below = partOf(top.parts, name)
    if (top.parts.length > 0 && !below) return undefined
    const part = below ? await this.#part(below.id) : top
    part.byName ??= new Map(part.nodes.map((node) => [node.name, node]))
    return part.byName.get(name)
  }

  /**
   * Some nodes of a directory in order, from a position on, which is 0 at first, and the position behind them; `undefined` at the
   * end.
   *
   * @throws {CairnError} as `find`
   */
  async nodes(
    tree: ChunkId,
    position: number,
  ): Promise<{ readonly nodes: Iterable<PositionedNode>; readonly next: number } | undefined> {
    const top = await this.#part(tree)
    const last = Math.max(0, top.parts.length - 1)
    let index = position % PART
    for (let part = Math.floor(position / PART); part <= last; part++, index = 0) {
      const id = top.parts[part]?.id
      const { nodes } = id ? await this.#part(id) : top
      if (index < nodes.length) return { nodes: positioned(nodes, part, index), next: part * PART + nodes.length }
    }
    return undefined
  }

  #part(id: ChunkId): Promise<Part> {
    const name = toHex(id)
    const cached = this.#cached.get(name) ?? this.#read(id, name)
    this.#cached.delete(name)
    this.#cached.set(name, cached) // used last
    return cached.part
  }

  #read(id: ChunkId, name: string): Cached {
    const load: LoadChunk = async (wanted) => {
      // A copy: nodes are views of it, and a whole segment would be kept for the sake of a few.
      const chunk = Buffer.from(await this.#load(wanted))
      cached.bytes = chunk.length
      this.#bytes += chunk.length
      this.#makeRoom()
      return chunk
    }
    const cached: Cached = { part: readTreeChunk(id, load), bytes: 0 }
    cached.part.catch(() => this.#drop(name))
    return cached
  }

  #makeRoom(): void {
    for (const [name, { bytes }] of this.#cached) {
      if (this.#bytes <= MAX_BYTES) return
      if (bytes > 0) this.#drop(name)
    }
  }

  #drop(name: string): void {
    this.#bytes -= this.#cached.get(name)?.bytes ?? 0
    this.#cached.delete(name)
  }
}

/** The first part whose last name does not come before `name`, by bisection: a million names have a thousand parts. */
function partOf(parts: readonly TreePart[], name: string): TreePart | undefined {
  let low = 0
  let high = parts.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareRawNames((parts[middle] as TreePart).lastName, name) < 0) low = middle + 1
    else high = middle
  }
  return parts[low]
}

function* positioned(nodes: readonly TreeNode[], part: number, start: number): Generator<PositionedNode> {
  for (let i = start; i < nodes.length; i++) yield { node: nodes[i] as TreeNode, next: part * PART + i + 1 }
}
