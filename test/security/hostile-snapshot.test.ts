/**
 * Attack: someone who can write to the repository (it is unencrypted, or they have the key) commits a snapshot whose names
 * lead out of the target, or replace what the same restore has just made.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { ByteWriter } from '../../src/base/binary.ts'
import type { ChunkId } from '../../src/base/ids.ts'
import { toRawName } from '../../src/base/raw-name.ts'
import { parseCompression } from '../../src/codec/compression.ts'
import { withRepository } from '../../src/operations/repository-access.ts'
import { ChunkWriter } from '../../src/repository/chunk-writer.ts'
import { WriteSession } from '../../src/repository/write-session.ts'
import { encodeContent } from '../../src/snapshot/content.ts'
import { encodeSnapshot } from '../../src/snapshot/snapshot.ts'
import { testSnapshot } from '../../src/snapshot/testing.ts'
import { NODE_TYPES, type NodeType } from '../../src/snapshot/tree-node.ts'
import { TestRepository, issuesOf, newFolder } from '../testing.ts'
import { digestTree } from '../tree-digest.ts'

/** A node as an attacker writes it: nothing is checked. */
interface HostileNode {
  readonly name: string
  readonly type: NodeType
  readonly linkTarget?: string
  readonly content?: string
  readonly tree?: readonly HostileNode[]
  readonly mode?: number
  readonly uid?: number
}

/** Saves chunks without looking at what they are. */
type Save = (data: Uint8Array) => ChunkId

function encode(nodes: readonly HostileNode[], save: Save): ChunkId {
  const chunk = new ByteWriter()
  chunk.u8(1)
  chunk.u8(0)
  for (const { name, type, linkTarget, content, tree, mode = 0o644, uid = 0 } of nodes) {
    const node = new ByteWriter()
    node.bytes(toRawName(name))
    node.u8(NODE_TYPES[type])
    for (const number of [mode, uid, 0]) node.varint(number)
    node.i64(0n)
    node.u32(0)
    node.varint(content?.length ?? 0)
    const field = (tag: number, bytes: Uint8Array): void => {
      node.u8(tag)
      node.bytes(bytes)
    }
    if (linkTarget !== undefined) field(3, toRawName(linkTarget))
    if (content !== undefined) {
      const data = Buffer.from(content)
      field(4, encodeContent([{ id: save(data), bytes: data.length }], save))
    }
    if (tree) field(5, encode(tree, save))
    chunk.bytes(node.view())
  }
  return save(chunk.copy())
}

/** A repository whose latest snapshot has this root. */
async function hostileRepository(nodes: readonly HostileNode[]): Promise<TestRepository> {
  const repository = await TestRepository.create({ encryption: 'none' })
  await withRepository(repository.access, async (opened) => {
    const session = await WriteSession.open(opened)
    const chunks = new ChunkWriter({
      kind: 'treePack',
      keys: opened.keys,
      table: opened.table,
      compression: parseCompression('none'),
      maxChunkBytes: 1 << 20,
      storePack: (pack) => session.storePack(pack),
    })
    const tree = encode(nodes, (data) => chunks.save(data))
    await chunks.flush()
    await session.commit(encodeSnapshot(testSnapshot({ id: session.id, tree })))
  })
  return repository
}

/** Restores into a folder two levels below one that nothing else may appear in. */
async function restoreWatched(nodes: readonly HostileNode[]): Promise<{ outcome: unknown; made: string[] }> {
  const repository = await hostileRepository(nodes)
  const around = newFolder()
  const target = path.join(around, 'inner/target')
  mkdirSync(target, { recursive: true })
  writeFileSync(`${around}/inner/victim`, 'victim')
  const before = digestTree(`${around}/inner/victim`)
  const outcome = await repository.extract({ target }).catch((error: unknown) => error)
  assert.deepEqual(readdirSync(around), ['inner'])
  assert.deepEqual(readdirSync(`${around}/inner`), ['target', 'victim'])
  assert.deepEqual(digestTree(`${around}/inner/victim`), before)
  return { outcome, made: pathsBelow(target) }
}

/** Paths below a folder; nothing that a symlink points to. */
function pathsBelow(folder: string): string[] {
  return digestTree(folder)
    .map((line) => JSON.parse(line.slice(0, line.lastIndexOf('" ') + 1)) as string)
    .filter(Boolean)
}

const file = (name: string): HostileNode => ({ name, type: 'file', content: 'evil' })

describe('a hostile snapshot', () => {
  it('cannot name anything outside the directory it describes', async () => {
    for (const name of ['..', '.', '', '../victim', '/tmp/cairn-evil', 'a/b', 'a\0b', '../../evil']) {
      for (const node of [file(name), { name, type: 'dir', tree: [file('victim')] } as const]) {
        const { outcome, made } = await restoreWatched([node])
        assert.ok(outcome instanceof Error && 'code' in outcome)
        assert.equal(outcome.code, 'DATA_CORRUPT')
        assert.deepEqual(made, [])
      }
    }
    assert.equal(existsSync('/tmp/cairn-evil'), false)
  })

  it('cannot put a symlink in place of a directory and then write through it', async () => {
    const link: HostileNode = { name: 'x', type: 'symlink', linkTarget: '..' }
    const directory: HostileNode = { name: 'x', type: 'dir', tree: [file('victim')] }
    for (const nodes of [
      [link, directory],
      [directory, link],
      [link, file('x')],
      [link, link],
    ]) {
      const { outcome } = await restoreWatched(nodes)
      assert.equal((outcome as { code?: string }).code, 'DATA_CORRUPT')
    }
  })

  it('cannot write through a symlink that has a tree of its own', async () => {
    for (const node of [
      { name: 'x', type: 'symlink', linkTarget: '..', tree: [file('evil')] },
      { name: 'x', type: 'symlink', linkTarget: '../victim', content: 'evil' },
      { name: 'x', type: 'file', content: 'evil', tree: [file('evil')] },
    ] as const) {
      const { outcome, made } = await restoreWatched([node])
      assert.equal((outcome as { code?: string }).code, 'DATA_CORRUPT')
      assert.deepEqual(made, [])
    }
  })

  it('cannot make a run fail as a whole by owners and modes that do not exist', async () => {
    const nodes: HostileNode[] = [
      { name: 'a', type: 'file', content: 'x', uid: 2 ** 40 },
      { name: 'b', type: 'file', content: 'x', mode: 2 ** 50 },
      { name: 'c', type: 'dir', tree: [], uid: 2 ** 33, mode: 2 ** 33 + 0o700 },
      { name: 'd', type: 'symlink', linkTarget: 'x', uid: 2 ** 53 - 1 },
      { name: 'e', type: 'file', content: 'fine' },
    ]
    const { outcome, made } = await restoreWatched(nodes)
    assert.ok(!(outcome instanceof Error), String(outcome))
    assert.ok(made.includes('e'))
    const { events } = outcome as Awaited<ReturnType<TestRepository['extract']>>
    assert.ok(issuesOf(events).every((issue) => !issue.includes('INTERNAL')))
  })

  it('is an issue where a symlink has no target, and the rest is restored', async () => {
    const { outcome, made } = await restoreWatched([{ name: 'a', type: 'symlink' }, file('b')])
    assert.ok(!(outcome instanceof Error), String(outcome))
    assert.deepEqual(made, ['b'])
  })
})
