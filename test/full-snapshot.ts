import { lstatSync } from 'node:fs'
import type { ChunkId } from '../src/base/ids.ts'
import { parseCompression } from '../src/codec/compression.ts'
import { withRepository } from '../src/operations/repository-access.ts'
import { ChunkWriter } from '../src/repository/chunk-writer.ts'
import { WriteSession } from '../src/repository/write-session.ts'
import { type SaveChunk, encodeContent } from '../src/snapshot/content.ts'
import { encodeSnapshot } from '../src/snapshot/snapshot.ts'
import { testSnapshot } from '../src/snapshot/testing.ts'
import type { TreeNode } from '../src/snapshot/tree-node.ts'
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

/** Backs up a folder so that its content lies at the top, with all that restoring brings back. */
export async function commitFolder(repository: TestRepository, folder: string): Promise<void> {
  const before = process.cwd()
  process.chdir(folder)
  try {
    await repository.create(['.'], { listEntries: false })
  } finally {
    process.chdir(before)
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
