import { lstatSync, readFileSync } from 'node:fs'
import type { ChunkId } from '../src/base/ids.ts'
import { toSystemPath } from '../src/base/raw-name.ts'
import { parseCompression } from '../src/codec/compression.ts'
import { withRepository } from '../src/operations/repository-access.ts'
import { readFileFlags } from '../src/platform/file-flags.ts'
import { closeFile, listDirectory, openForReading, readLink, statFile } from '../src/platform/files.ts'
import { findHoles } from '../src/platform/sparse.ts'
import { deviceNumbers } from '../src/platform/special-files.ts'
import { readXattrs } from '../src/platform/xattrs.ts'
import { ChunkWriter } from '../src/repository/chunk-writer.ts'
import { WriteSession } from '../src/repository/write-session.ts'
import { encodeAttachment, encodeHoles, encodeXattrs } from '../src/snapshot/attachment.ts'
import { type SaveChunk, encodeContent } from '../src/snapshot/content.ts'
import { encodeSnapshot } from '../src/snapshot/snapshot.ts'
import { testSnapshot } from '../src/snapshot/testing.ts'
import type { NodeType, TreeNode } from '../src/snapshot/tree-node.ts'
import { TreeWriter } from '../src/snapshot/tree-writer.ts'
import type { TestRepository } from './testing.ts'

/** For tests of restoring: snapshots with everything that nodes can hold, made straight from folders or from literals. */

const CHUNK_BYTES = 10_000

/** Commits a snapshot whose tree and root `make` gives, with a function that saves chunks. */
export async function commitSnapshot(
  repository: TestRepository,
  make: (save: SaveChunk) => { readonly tree: ChunkId; readonly root?: TreeNode | undefined },
): Promise<void> {
  await withRepository(repository.access, async (opened) => {
    await opened.loadIndex()
    const session = await WriteSession.open(opened)
    const chunks = new ChunkWriter({
      kind: 'treePack',
      keys: opened.keys,
      table: opened.table,
      compression: parseCompression('none'),
      maxChunkBytes: 4 << 20,
      storePack: (pack) => session.storePack(pack),
    })
    const { tree, root } = make((data) => chunks.save(data))
    await chunks.flush()
    // `latest` goes by time.
    const startedAt = new Date(Date.now() + ++commits).toISOString()
    await session.commit(
      encodeSnapshot(testSnapshot({ id: session.id, name: `full-${commits}`, startedAt, tree, root })),
    )
  })
}

let commits = 0

/** Commits what is in a folder, and what the folder is, with all that restoring brings back. */
export async function commitFolder(repository: TestRepository, folder: string): Promise<void> {
  await commitSnapshot(repository, (save) => {
    const reader = new FolderReader(folder, save)
    return { tree: reader.tree(''), root: { ...reader.node('', 'root'), tree: reader.tree('') } }
  })
}

class FolderReader {
  readonly #root: string
  readonly #save: SaveChunk
  /** First names by inode. */
  readonly #names = new Map<string, string>()

  constructor(root: string, save: SaveChunk) {
    this.#root = root
    this.#save = save
  }

  tree(path: string): ChunkId {
    const writer = new TreeWriter(this.#save)
    for (const name of listDirectory(`${this.#root}/${path}`)) {
      const below = path === '' ? name : `${path}/${name}`
      const node = this.node(below, name)
      writer.add(node.type === 'dir' ? { ...node, tree: this.tree(below) } : node)
    }
    return writer.finish()
  }

  node(path: string, name: string): TreeNode {
    const at = `${this.#root}/${path}`
    const stat = statFile(path === '' ? this.#root : at)
    const xattrs = readXattrs(path === '' ? this.#root : at)
    const flags = readFileFlags(path === '' ? this.#root : at)
    const { mode, uid, gid, mtimeNs } = stat
    const isFile = stat.type === 'file'
    const isDevice = stat.type === 'chardev' || stat.type === 'blockdev'
    const inode = `${stat.device}:${stat.inode}`
    const hardLink = stat.type !== 'dir' && stat.linkCount > 1 ? this.#names.get(inode) : undefined
    if (!this.#names.has(inode)) this.#names.set(inode, path)
    return {
      name,
      type: stat.type as NodeType,
      mode: stat.type === 'symlink' ? 0o777 : mode,
      uid,
      gid,
      user: '',
      group: '',
      mtimeNs,
      sizeBytes: isFile ? stat.sizeBytes : 0,
      ...(stat.type === 'symlink' && { linkTarget: readLink(at) }),
      ...(isDevice && { device: deviceNumbers(stat.rdev) }),
      ...(hardLink !== undefined && { hardLink }),
      ...(xattrs.length > 0 && { xattrs: encodeAttachment(encodeXattrs(xattrs), this.#save) }),
      ...(flags !== 0 && { flags }),
      ...(isFile && this.#contentOf(at, stat.sizeBytes)),
    }
  }

  #contentOf(path: string, sizeBytes: number): Pick<TreeNode, 'content' | 'holes'> {
    const fd = openForReading(path)
    const holes = findHoles(fd, sizeBytes)
    closeFile(fd)
    const bytes = readFileSync(toSystemPath(path))
    const pieces: Buffer[] = []
    let end = 0
    for (const hole of [...holes, { offset: sizeBytes, length: 0 }]) {
      pieces.push(bytes.subarray(end, hole.offset))
      end = hole.offset + hole.length
    }
    const content = saveContent(Buffer.concat(pieces), this.#save)
    return {
      ...(content && { content }),
      ...(holes.length > 0 && { holes: encodeAttachment(encodeHoles(holes), this.#save) }),
    }
  }
}

/** Content of many small chunks. */
export function saveContent(bytes: Uint8Array, save: SaveChunk): Uint8Array | undefined {
  const refs = []
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    const chunk = bytes.subarray(start, start + CHUNK_BYTES)
    refs.push({ id: save(chunk), bytes: chunk.length })
  }
  return refs.length === 0 ? undefined : encodeContent(refs, save)
}

/** How many names a file has. */
export function linkCount(path: string): number {
  return lstatSync(path).nlink
}
