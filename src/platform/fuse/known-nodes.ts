import type { FuseNode } from './file-system.ts'

/** The number of the root. */
export const ROOT = 1n

interface Known<Node> {
  /** What was found last. */
  node: Node
  /** How often the kernel was told of it, less what it has forgotten. */
  lookups: number
}

/** The nodes that the kernel has numbers of: some 200 bytes each, as long as it keeps them. */
export class KnownNodes<Node extends FuseNode> {
  readonly #nodes = new Map<bigint, Known<Node>>()

  constructor(root: Node) {
    this.#nodes.set(ROOT, { node: root, lookups: 1 })
  }

  get(id: bigint): Node | undefined {
    return this.#nodes.get(id)?.node
  }

  /** Notes that the kernel has been told of a node. */
  add(node: Node): void {
    const known = this.#nodes.get(node.id)
    if (known) {
      known.node = node
      known.lookups++
    } else this.#nodes.set(node.id, { node, lookups: 1 })
  }

  /** The body of FORGET, or a part of that of BATCH_FORGET, lies at `offset`; one that is cut off says nothing. */
  forget(id: bigint, body: Buffer, offset: number): void {
    const known = this.#nodes.get(id)
    if (!known || id === ROOT || body.length < offset + 8) return
    known.lookups -= Number(body.readBigUInt64LE(offset))
    if (known.lookups <= 0) this.#nodes.delete(id)
  }

  /** @param body of BATCH_FORGET */
  forgetMany(body: Buffer): void {
    const count = body.length >= 8 ? body.readUInt32LE(0) : 0
    for (let i = 0; i < count && 8 + (i + 1) * 16 <= body.length; i++)
      this.forget(body.readBigUInt64LE(8 + i * 16), body, 16 + i * 16)
  }
}
