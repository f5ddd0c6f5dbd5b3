/**
 * snapshot: what a snapshot is made of. A *node* describes one file system entry; a *tree* is one directory's nodes sorted by
 * raw name; a *snapshot record* names a root tree and says where it came from. Nodes and trees say what there is and nothing of
 * how it was found, so equal folders have equal tree ids on every machine; what change detection needs besides lies in the
 * snapshot's *stamps*.
 *
 * Trees are chunks like any content: this folder turns them into bytes and back, and leaves storing to its callers.
 */
import { ByteReader, type ByteWriter } from '../base/binary.ts'
import { CHUNK_ID_BYTES, type ChunkId, asChunkId } from '../base/ids.ts'
import { fromRawName, toRawName } from '../base/raw-name.ts'

/** Numbers of the types; part of the format. */
export const NODE_TYPES = { file: 1, dir: 2, symlink: 3, fifo: 4, chardev: 5, blockdev: 6 } as const

export type NodeType = keyof typeof NODE_TYPES

export interface TreeNode {
  /** Raw-name text (base/raw-name.ts), without `/`. */
  readonly name: string
  readonly type: NodeType
  /** Permission bits 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Names of owner and group where the source had them, else empty. */
  readonly user: string
  readonly group: string
  /** Content length of a file; 0 for anything else. */
  readonly sizeBytes: number
  /** ns since 1970. */
  readonly mtimeNs: bigint
  /** Of a symlink: where it points, raw-name text. */
  readonly linkTarget?: string
  /** Of a file: encoded content (content.ts). */
  readonly content?: Uint8Array
  /** Of a directory: id of its tree. */
  readonly tree?: ChunkId
  /** Of a directory: how many nodes other than directories lie below it; tells where its stamps are. */
  readonly leaves?: number
  /** A directory that is only there because something below it was backed up: nothing is known of it but its name. */
  readonly ancestor?: boolean
  /**
   * Another name of a file that came before in the walk: the path, inside the snapshot, of the first of its names. The node
   * says everything else for itself, so that it can be restored without the other.
   */
  readonly hardLink?: string
  /** Of a device. */
  readonly device?: DeviceNumbers
  /** Extended attributes, ACLs among them: an attachment (attachment.ts) of `encodeXattrs`. */
  readonly xattrs?: Uint8Array
  /** Of a sparse file: an attachment of `encodeHoles`. The content is what lies between the holes. */
  readonly holes?: Uint8Array
  /** `FILE_FLAGS` of platform/file-flags.ts. */
  readonly flags?: number
  /** ns since 1970; only where it was asked for. */
  readonly atimeNs?: bigint
  /** The file changed while it was read: its content may be of different moments. */
  readonly changed?: boolean
}

export interface DeviceNumbers {
  readonly major: number
  readonly minor: number
}

/*
 * Fields after the fixed part are (tag, bytes) in ascending order of tags; readers skip tags they do not know.
 */
const TAG_USER = 1
const TAG_GROUP = 2
const TAG_LINK_TARGET = 3
const TAG_CONTENT = 4
const TAG_TREE = 5
const TAG_LEAVES = 6
const TAG_ANCESTOR = 7
const TAG_HARD_LINK = 8
const TAG_DEVICE = 9
const TAG_XATTRS = 10
const TAG_HOLES = 11
const TAG_FLAGS = 12
const TAG_ATIME = 13
const TAG_CHANGED = 14

const TYPE_OF_NUMBER = new Map<number, NodeType>(
  Object.entries(NODE_TYPES).map(([name, number]) => [number, name as NodeType]),
)

/** Whether two nodes are the same in everything that a tree says of them. */
export function sameNode(a: TreeNode, b: TreeNode): boolean {
  if (a === b) return true
  return (
    sameMetadata(a, b) &&
    a.sizeBytes === b.sizeBytes &&
    a.linkTarget === b.linkTarget &&
    (a.leaves ?? 0) === (b.leaves ?? 0) &&
    Boolean(a.changed) === Boolean(b.changed) &&
    sameBytes(a.content, b.content) &&
    sameBytes(a.holes, b.holes) &&
    sameBytes(a.tree, b.tree)
  )
}

/** Whether two nodes agree in all but what they contain. */
export function sameMetadata(a: TreeNode, b: TreeNode): boolean {
  return (
    a.name === b.name &&
    a.type === b.type &&
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.user === b.user &&
    a.group === b.group &&
    a.mtimeNs === b.mtimeNs &&
    Boolean(a.ancestor) === Boolean(b.ancestor) &&
    a.hardLink === b.hardLink &&
    a.device?.major === b.device?.major &&
    a.device?.minor === b.device?.minor &&
    (a.flags ?? 0) === (b.flags ?? 0) &&
    a.atimeNs === b.atimeNs &&
    sameBytes(a.xattrs, b.xattrs)
  )
}

export function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === b) return true
  return a !== undefined && b !== undefined && Buffer.compare(a, b) === 0
}

/** Appends one node to `writer`; `scratch` is memory the caller lends. */
export function encodeNode(node: TreeNode, writer: ByteWriter, scratch: ByteWriter): void {
  scratch.reset()
  scratch.bytes(toRawName(node.name))
  scratch.u8(NODE_TYPES[node.type])
  scratch.varint(node.mode)
  scratch.varint(node.uid)
  scratch.varint(node.gid)
  writeTime(scratch, node.mtimeNs)
  scratch.varint(node.sizeBytes)
  if (node.user) {
    scratch.u8(TAG_USER)
    scratch.text(node.user)
  }
  if (node.group) {
    scratch.u8(TAG_GROUP)
    scratch.text(node.group)
  }
  if (node.linkTarget !== undefined) {
    scratch.u8(TAG_LINK_TARGET)
    scratch.bytes(toRawName(node.linkTarget))
  }
  if (node.content) {
    scratch.u8(TAG_CONTENT)
    scratch.bytes(node.content)
  }
  if (node.tree) {
    scratch.u8(TAG_TREE)
    scratch.bytes(node.tree)
  }
  if (node.leaves) {
    scratch.u8(TAG_LEAVES)
    scratch.varint(varintBytes(node.leaves))
    scratch.varint(node.leaves)
  }
  if (node.ancestor) {
    scratch.u8(TAG_ANCESTOR)
    scratch.varint(0)
  }
  if (node.hardLink !== undefined) {
    scratch.u8(TAG_HARD_LINK)
    scratch.bytes(toRawName(node.hardLink))
  }
  if (node.device) {
    const { major, minor } = node.device
    scratch.u8(TAG_DEVICE)
    scratch.varint(varintBytes(major) + varintBytes(minor))
    scratch.varint(major)
    scratch.varint(minor)
  }
  if (node.xattrs) {
    scratch.u8(TAG_XATTRS)
    scratch.bytes(node.xattrs)
  }
  if (node.holes) {
    scratch.u8(TAG_HOLES)
    scratch.bytes(node.holes)
  }
  if (node.flags) {
    scratch.u8(TAG_FLAGS)
    scratch.varint(varintBytes(node.flags))
    scratch.varint(node.flags)
  }
  if (node.atimeNs !== undefined) {
    scratch.u8(TAG_ATIME)
    scratch.varint(TIME_BYTES)
    writeTime(scratch, node.atimeNs)
  }
  if (node.changed) {
    scratch.u8(TAG_CHANGED)
    scratch.varint(0)
  }
  writer.bytes(scratch.view())
}

/**
 * Reads one node; its byte fields are views of the reader's buffer.
 *
 * @throws {CairnError} `DATA_CORRUPT` when the bytes make no sense or the name could leave its directory
 */
export function decodeNode(reader: ByteReader, what: string): TreeNode {
  const outer = reader.enter()
  const name = fromRawName(reader.bytes())
  // A hostile tree must not be able to name anything outside the directory it describes.
  if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0')) {
    throw reader.corrupt(`it holds the name ${JSON.stringify(name)}`)
  }
  const type = TYPE_OF_NUMBER.get(reader.u8())
  if (!type) throw reader.corrupt(`the type of ${JSON.stringify(name)} is unknown`)
  const node: Mutable<TreeNode> = {
    name,
    type,
    mode: reader.varint(),
    uid: reader.varint(),
    gid: reader.varint(),
    mtimeNs: readTime(reader),
    sizeBytes: reader.varint(),
    user: '',
    group: '',
  }
  while (!reader.done) {
    const tag = reader.u8()
    if (tag === TAG_USER) node.user = reader.text()
    else if (tag === TAG_GROUP) node.group = reader.text()
    else if (tag === TAG_LINK_TARGET) node.linkTarget = fromRawName(reader.bytes())
    else if (tag === TAG_CONTENT) node.content = reader.bytes()
    else if (tag === TAG_TREE) node.tree = readId(reader)
    else if (tag === TAG_LEAVES) node.leaves = new ByteReader(reader.bytes(), what).varint()
    else if (tag === TAG_ANCESTOR) node.ancestor = reader.bytes().length === 0
    else if (tag === TAG_HARD_LINK) node.hardLink = fromRawName(reader.bytes())
    else if (tag === TAG_DEVICE) node.device = readDevice(new ByteReader(reader.bytes(), what))
    else if (tag === TAG_XATTRS) node.xattrs = reader.bytes()
    else if (tag === TAG_HOLES) node.holes = reader.bytes()
    else if (tag === TAG_FLAGS) node.flags = new ByteReader(reader.bytes(), what).varint()
    else if (tag === TAG_ATIME) node.atimeNs = readTime(new ByteReader(reader.bytes(), what))
    else if (tag === TAG_CHANGED) node.changed = reader.bytes().length === 0
    else reader.bytes()
  }
  reader.leave(outer)
  if (type === 'dir' && !node.tree) throw reader.corrupt(`the directory ${JSON.stringify(name)} has no tree`)
  // A symlink that has a tree would be restored as a symlink, and what the tree holds through it.
  if (type !== 'dir' && node.tree) throw reader.corrupt(`${JSON.stringify(name)} has a tree and is no directory`)
  if (type !== 'file' && (node.content ?? node.holes))
    throw reader.corrupt(`${JSON.stringify(name)} has content and is no file`)
  if (type === 'dir' && node.hardLink !== undefined)
    throw reader.corrupt(`${JSON.stringify(name)} is a directory and a hard link`)
  return node
}

/** Seconds and nanoseconds: 64 bits of nanoseconds end in 2262, and file systems do not. */
function writeTime(writer: ByteWriter, ns: bigint): void {
  const seconds = ns / NS_PER_S - (ns % NS_PER_S < 0n ? 1n : 0n) // rounded down, also before 1970
  writer.i64(seconds)
  writer.u32(Number(ns - seconds * NS_PER_S))
}

function readTime(reader: ByteReader): bigint {
  return reader.i64() * NS_PER_S + BigInt(reader.u32())
}

const NS_PER_S = 1_000_000_000n
/** What `writeTime` takes. */
const TIME_BYTES = 12

function readDevice(reader: ByteReader): DeviceNumbers {
  return { major: reader.varint(), minor: reader.varint() }
}

function readId(reader: ByteReader): ChunkId {
  const bytes = reader.bytes()
  if (bytes.length !== CHUNK_ID_BYTES) throw reader.corrupt(`a chunk id has ${bytes.length} bytes`)
  return asChunkId(bytes)
}

function varintBytes(value: number): number {
  let bytes = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++
  return bytes
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
