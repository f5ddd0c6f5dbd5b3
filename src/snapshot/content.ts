import { ByteReader, ByteWriter } from '../base/binary.ts'
import { CHUNK_ID_BYTES, type ChunkId, asChunkId } from '../base/ids.ts'

/** A chunk and how many bytes of content it stands for. */
export interface ChunkRef {
  readonly id: ChunkId
  readonly bytes: number
}

/** Stores a tree chunk and returns its id; `data` may be reused afterwards. */
export type SaveChunk = (data: Uint8Array) => ChunkId
/** Loads and verifies a chunk. */
export type LoadChunk = (id: Uint8Array) => Promise<Uint8Array>

/** Kinds of chunks in tree packs, their second byte; the first is the version. Part of the format. */
export const TREE_CHUNK_VERSION = 1
export const TREE_CHUNK_KINDS = { nodes: 0, treeList: 1, contentList: 2 } as const

/*
 * Content is a list of chunk references. A long one is cut into list chunks, and the list of those again, until few enough
 * references are left to stand in the node: `height` says how often. Cuts depend on the ids alone, so a change inside a large
 * file changes one list chunk a level.
 */
const MAX_INLINE_REFS = 64
const MIN_LIST_REFS = 128
const MAX_LIST_REFS = 2048
/** A list chunk may end after an id whose last byte is 0: one in 256. */
const LAST_ID_BYTE = CHUNK_ID_BYTES - 1

/** Encodes the content of a file from its chunks, in order, storing list chunks when there are many. */
export function encodeContent(refs: readonly ChunkRef[], save: SaveChunk): Buffer {
  const writer = new ByteWriter(refs.length <= MAX_INLINE_REFS ? 2 + refs.length * 37 : 4096)
  let height = 0
  let level = refs
  for (; level.length > MAX_INLINE_REFS; height++) level = saveLists(level, writer, save)
  writer.reset()
  writer.u8(height)
  for (const ref of level) writeRef(writer, ref)
  return writer.copy()
}

/** Reads encoded content down to its chunks, in order. @throws {CairnError} `DATA_CORRUPT` */
export async function* readContent(content: Uint8Array, load: LoadChunk, what: string): AsyncGenerator<ChunkRef> {
  const { height, refs } = topOf(content, what)
  yield* readLevel(refs, height, load, what)
}

/** The chunks of content that needs no list chunks, without waiting; `undefined` when it has some. */
export function readInlineContent(content: Uint8Array, what: string): ChunkRef[] | undefined {
  const { height, refs } = topOf(content, what)
  return height === 0 ? refs : undefined
}

/**
 * Whether `test` holds for all chunk ids of content that needs no list chunks, each given as 32 bytes from `offset` on;
 * `undefined` for content that has list chunks. Hot path of backups in which nothing changed: allocates next to nothing.
 */
export function everyInlineId(
  content: Uint8Array,
  what: string,
  test: (bytes: Uint8Array, offset: number) => boolean,
): boolean | undefined {
  const reader = new ByteReader(content, what)
  return reader.u8() === 0 ? everyId(reader, content, test) : undefined
}

function everyId(reader: ByteReader, bytes: Uint8Array, test: (bytes: Uint8Array, offset: number) => boolean): boolean {
  while (!reader.done) {
    const offset = reader.offset
    reader.skip(CHUNK_ID_BYTES)
    reader.varint()
    if (!test(bytes, offset)) return false
  }
  return true
}

/**
 * Visits every id that content is made of, a list chunk before those it lists, without allocating for each. `enter` is asked
 * before a list of data chunks is opened; with `false` it is passed over.
 *
 * @throws {CairnError} `DATA_CORRUPT`, and what `load` throws for lists that were entered
 */
export async function visitContent(
  content: Uint8Array,
  load: LoadChunk,
  what: string,
  visitor: { enter(id: ChunkId): boolean; visit(bytes: Uint8Array, offset: number): void },
): Promise<void> {
  const visit = (bytes: Uint8Array, offset: number): boolean => {
    visitor.visit(bytes, offset)
    return true
  }
  if (everyInlineId(content, what, visit) !== undefined) return
  const { height, refs } = topOf(content, what)
  await visitLists(refs, height)

  async function visitLists(lists: readonly ChunkRef[], level: number): Promise<void> {
    for (const { id } of lists) {
      visit(id, 0)
      // Lists of lists are few, and asking for them would take knowing at which height they were entered.
      if (level > 1) await visitLists(await loadList(id, load, what), level - 1)
      else if (visitor.enter(id)) {
        const list = await load(id)
        everyId(listReader(list, what), list, visit)
      }
    }
  }
}

/** Chunks of content that follow each other, and which of its bytes they stand for. */
export interface ContentStretch {
  readonly refs: readonly ChunkRef[]
  readonly start: number
  readonly end: number
}

/**
 * The chunks around byte `at`: those of one list, or all where there are no lists. Opens one list a level, so that any place of the
 * largest file is found with little; `undefined` behind the end.
 *
 * @throws {CairnError} `DATA_CORRUPT`, also when a list claims other bytes than the one above says
 */
export async function findStretch(
  content: Uint8Array,
  at: number,
  load: LoadChunk,
  what: string,
): Promise<ContentStretch | undefined> {
  const { height, refs } = topOf(content, what)
  let stretch: ContentStretch = { refs, start: 0, end: totalBytes(refs) }
  for (let level = height; level > 0; level--) {
    let { start } = stretch
    const list = stretch.refs.find(({ bytes }) => at < (start += bytes))
    if (!list) return undefined
    const below = await loadList(list.id, load, what)
    if (totalBytes(below) !== list.bytes) throw new ByteReader(content, what).corrupt('a list has another length')
    stretch = { refs: below, start: start - list.bytes, end: start }
  }
  return at < stretch.end ? stretch : undefined
}

function totalBytes(refs: readonly ChunkRef[]): number {
  return refs.reduce((sum, { bytes }) => sum + bytes, 0)
}

/** Every id that content is made of, list chunks first: what must be there for it to be readable. */
export async function* contentIds(content: Uint8Array, load: LoadChunk, what: string): AsyncGenerator<ChunkId> {
  const { height, refs } = topOf(content, what)
  yield* idsBelow(refs, height, load, what)
}

function topOf(content: Uint8Array, what: string): { height: number; refs: ChunkRef[] } {
  const reader = new ByteReader(content, what)
  const height = reader.u8()
  // 64 · 128^7 chunks are more than any file has; a hostile height must not mean endless loading.
  if (height > 7) throw reader.corrupt(`content has ${height} levels`)
  return { height, refs: readRefs(reader) }
}

async function* readLevel(
  refs: readonly ChunkRef[],
  height: number,
  load: LoadChunk,
  what: string,
): AsyncGenerator<ChunkRef> {
  if (height === 0) {
    yield* refs
    return
  }
  for (const ref of refs) yield* readLevel(await loadList(ref.id, load, what), height - 1, load, what)
}

async function* idsBelow(
  refs: readonly ChunkRef[],
  height: number,
  load: LoadChunk,
  what: string,
): AsyncGenerator<ChunkId> {
  for (const ref of refs) {
    yield ref.id
    if (height > 0) yield* idsBelow(await loadList(ref.id, load, what), height - 1, load, what)
  }
}

async function loadList(id: Uint8Array, load: LoadChunk, what: string): Promise<ChunkRef[]> {
  return readRefs(listReader(await load(id), what))
}

function listReader(list: Uint8Array, what: string): ByteReader {
  const reader = new ByteReader(list, what)
  if (reader.u8() !== TREE_CHUNK_VERSION || reader.u8() !== TREE_CHUNK_KINDS.contentList)
    throw reader.corrupt('want a content list')
  return reader
}

function saveLists(refs: readonly ChunkRef[], writer: ByteWriter, save: SaveChunk): ChunkRef[] {
  const lists: ChunkRef[] = []
  let start = 0
  while (start < refs.length) {
    writer.reset()
    writer.u8(TREE_CHUNK_VERSION)
    writer.u8(TREE_CHUNK_KINDS.contentList)
    let bytes = 0
    let end = start
    while (end < refs.length) {
      const ref = refs[end++] as ChunkRef
      writeRef(writer, ref)
      bytes += ref.bytes
      const count = end - start
      if (count >= MAX_LIST_REFS || (count >= MIN_LIST_REFS && ref.id[LAST_ID_BYTE] === 0)) break
    }
    lists.push({ id: save(writer.view()), bytes })
    start = end
  }
  return lists
}

function writeRef(writer: ByteWriter, ref: ChunkRef): void {
  writer.raw(ref.id)
  writer.varint(ref.bytes)
}

function readRefs(reader: ByteReader): ChunkRef[] {
  const refs: ChunkRef[] = []
  while (!reader.done) refs.push({ id: asChunkId(reader.raw(CHUNK_ID_BYTES)), bytes: reader.varint() })
  return refs
}
