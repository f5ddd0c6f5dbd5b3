import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { CairnError } from '../base/errors.ts'
import { type ChunkId, type SessionId, asChunkId, toHex } from '../base/ids.ts'
import { fromRawName, sortRawNames, toRawName } from '../base/raw-name.ts'
import { type ChunkRef, type LoadChunk, type SaveChunk, encodeContent } from './content.ts'
import type { Snapshot } from './snapshot.ts'
import { NODE_TYPES, type NodeType, type TreeNode } from './tree-node.ts'
import { readTree } from './tree-reader.ts'
import { TreeWriter } from './tree-writer.ts'

/** For tests of everything that deals with trees: chunks in memory, trees from literals, arbitrary nodes. */

/** Keeps chunks in memory under their SHA-256, and counts what is asked of it. */
export class MemoryChunks {
  readonly #chunks = new Map<string, Buffer>()
  /** Chunks loaded, in order; hex. */
  loaded: string[] = []

  /** Distinct chunks saved so far. */
  get count(): number {
    return this.#chunks.size
  }

  get ids(): string[] {
    return [...this.#chunks.keys()]
  }

  readonly save: SaveChunk = (data) => {
    const id = createHash('sha256').update(data).digest()
    this.#chunks.set(toHex(id), Buffer.from(data)) // a copy: the caller goes on writing to its memory
    return asChunkId(id)
  }

  readonly load: LoadChunk = async (id) => {
    const name = toHex(id)
    this.loaded.push(name)
    const chunk = this.#chunks.get(name)
    if (!chunk) throw new CairnError('NOT_FOUND', `Cannot read chunk ${name}: the test has not saved it`)
    return chunk
  }

  /** The bytes of a chunk. */
  get(id: Uint8Array): Buffer {
    return this.#chunks.get(toHex(id)) ?? Buffer.alloc(0)
  }

  /** Loses a chunk. */
  lose(id: Uint8Array): void {
    this.#chunks.delete(toHex(id))
  }
}

/** A directory as tests write it down: text is a file with this content, an object a directory, or a node without its name. */
export interface TreeLiteral {
  readonly [name: string]: string | TreeLiteral | Partial<TreeNode>
}

const PLAIN = { mode: 0o644, uid: 0, gid: 0, user: '', group: '', sizeBytes: 0, mtimeNs: 0n } as const

/** A file of one chunk, without a name. */
export function fileNode(chunks: MemoryChunks, text: string): Partial<TreeNode> {
  const data = Buffer.from(text)
  const content =
    data.length > 0 ? encodeContent([{ id: chunks.save(data), bytes: data.length }], chunks.save) : undefined
  return { type: 'file', sizeBytes: data.length, ...(content && { content }) }
}

/** Stores a tree and returns its id. */
export function saveTree(chunks: MemoryChunks, literal: TreeLiteral): ChunkId {
  return saveNodes(
    chunks,
    sortRawNames(Object.keys(literal)).map((name) => toNode(chunks, name, literal[name] as TreeLiteral[string])),
  )
}

function toNode(chunks: MemoryChunks, name: string, value: TreeLiteral[string]): TreeNode {
  if (typeof value === 'string') return toNode(chunks, name, fileNode(chunks, value))
  if (isNode(value)) return { ...PLAIN, type: 'file', ...value, name }
  return { ...PLAIN, name, type: 'dir', mode: 0o755, tree: saveTree(chunks, value) }
}

function isNode(value: TreeLiteral | Partial<TreeNode>): value is Partial<TreeNode> {
  return typeof value['type'] === 'string' && value['type'] in NODE_TYPES
}

/** Stores nodes, in the order given, as one directory. */
export function saveNodes(chunks: MemoryChunks, nodes: Iterable<TreeNode>): ChunkId {
  const writer = new TreeWriter(chunks.save)
  for (const node of nodes) writer.add(node)
  return writer.finish()
}

/** All nodes of one directory. */
export async function loadNodes(chunks: MemoryChunks, tree: ChunkId): Promise<TreeNode[]> {
  const nodes: TreeNode[] = []
  for await (const some of readTree(tree, chunks.load)) nodes.push(...some)
  return nodes
}

/** Everything a generator yields. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** The `n`-th of endlessly many chunk references; the same `n` gives the same. */
export function testRef(n: number): ChunkRef {
  return { id: asChunkId(createHash('sha256').update(`ref ${n}`).digest()), bytes: 1 + (n % 1_000_000) }
}

/** One of every kind of character. (fast-check's own Unicode strings take 0.7 s to set up.) */
const anyCharacter = fc.constantFrom(
  'a',
  'Z',
  '0',
  ' ',
  '\t',
  '\\',
  '\u007f',
  '\u00e9',
  'e\u0301',
  '\u4e2d',
  '\ue000',
  '\uffff',
  '\u{1f600}',
)

/** Names a file system may have: any bytes but `/` and NUL. */
export const anyName: fc.Arbitrary<string> = fc
  .oneof(
    fc.uint8Array({ minLength: 1, maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
    fc.array(anyCharacter, { minLength: 1, maxLength: 8 }).map((characters) => Buffer.from(characters.join(''))),
    fc.constantFrom('a', 'a.b', 'a b', '\n', '...', '\ufffd', 'x'.repeat(255)).map((text) => Buffer.from(text)),
  )
  .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0 || byte === 0x2f ? 0x5f : byte))))
  .map(fromRawName)
  .filter((name) => name !== '.' && name !== '..')

const anyId = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => asChunkId(Buffer.from(bytes)))

/** Seconds of 64 bits, which is what file systems may have at most. */
const anyTime = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n) * 1_000_000_000n, max: 2n ** 63n * 1_000_000_000n - 1n }),
  fc.constantFrom(0n, -1n, -1_000_000_000n, -1_000_000_001n, 1_000_000_000n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n),
)

/** Any node but its name. */
export const anyNode: fc.Arbitrary<TreeNode> = fc
  .record({
    name: anyName,
    type: fc.constantFrom(...(Object.keys(NODE_TYPES) as NodeType[])),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.integer({ min: 0, max: 0xffff_fffe }),
    gid: fc.integer({ min: 0, max: 0xffff_fffe }),
    user: fc.string({ maxLength: 8 }),
    group: fc.array(anyCharacter, { maxLength: 4 }).map((characters) => characters.join('')),
    mtimeNs: anyTime,
    sizeBytes: fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1)),
    target: fc.oneof(anyName, fc.constantFrom('/', '../..', '.', '/a//b/')),
    content: fc.option(fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes))),
    tree: anyId,
    leaves: fc.option(fc.oneof(fc.integer({ min: 1, max: 200 }), fc.constantFrom(0x7f, 0x80, 2 ** 32, 2 ** 53 - 1))),
    ancestor: fc.boolean(),
    hardLink: fc.option(fc.array(anyName, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'))),
    device: fc.record({ major: fc.nat(), minor: fc.nat() }, { noNullPrototype: true }),
    xattrs: fc.option(fc.uint8Array({ minLength: 1, maxLength: 80 }).map((bytes) => Buffer.from(bytes))),
    holes: fc.option(fc.uint8Array({ minLength: 1, maxLength: 80 }).map((bytes) => Buffer.from(bytes))),
    flags: fc.option(fc.integer({ min: 1, max: 1000 })),
    atimeNs: fc.option(anyTime),
    changed: fc.boolean(),
  })
  .map(
    ({
      target,
      content,
      tree,
      leaves,
      ancestor,
      hardLink,
      device,
      xattrs,
      holes,
      flags,
      atimeNs,
      changed,
      ...node
    }) => ({
      ...node,
      ...(xattrs && { xattrs }),
      ...(flags && { flags }),
      ...(atimeNs !== null && { atimeNs }),
      ...(node.type !== 'dir' && hardLink !== null && { hardLink: sameText(hardLink) }),
      ...((node.type === 'chardev' || node.type === 'blockdev') && { device }),
      ...(node.type === 'file' && { ...(holes && { holes }), ...(changed && { changed }) }),
      ...(node.type === 'symlink' && { linkTarget: target }),
      ...(node.type === 'file' && content && { content }),
      ...(node.type === 'dir' && { tree, ...(leaves && { leaves }), ...(ancestor && { ancestor }) }),
    }),
  )

/** A path decoded as a whole, as nodes hold it: its text may differ from one joined from decoded parts. */
function sameText(path: string): string {
  return fromRawName(toRawName(path))
}

/** A snapshot of nothing, but for the fields given. */
export function testSnapshot(fields: Partial<Snapshot> = {}): Snapshot {
  return {
    id: '0'.repeat(32) as SessionId,
    name: 'test',
    startedAt: '2026-01-01T00:00:00.000Z',
    endedAt: '2026-01-01T00:00:01.000Z',
    hostname: 'host',
    username: 'user',
    paths: ['/'],
    comment: '',
    tags: [],
    issues: 0,
    programVersion: '0.0.0',
    commandLine: [],
    tree: asChunkId(Buffer.alloc(32, 1)),
    stamps: undefined,
    samples: undefined,
    furtherNames: undefined,
    root: undefined,
    checkpoint: false,
    leftOut: [],
    parent: undefined,
    madeFrom: undefined,
    pinned: false,
    stats: {
      filesNew: 1,
      filesChanged: 2,
      filesUnmodified: 3,
      directories: 4,
      otherEntries: 5,
      originalBytes: 6,
      addedBytes: 7,
      storedBytes: 8,
      chunksTotal: 9,
      chunksNew: 10,
      treeChunksNew: 11,
    },
    ...fields,
  }
}
