/**
 * Attack: somebody who can write to the repository commits a snapshot in which nothing is as it should be, and waits for it to be
 * mounted. Nobody may be led outside, nothing may hang, and what is sound must be readable beside it.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { lstatSync, readFileSync, readdirSync, readlinkSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { sortRawNames, toRawName, toSystemPath } from '../../src/base/raw-name.ts'
import type { ChunkId } from '../../src/base/ids.ts'
import { encodeAttachment, encodeHoles, encodeXattrs } from '../../src/snapshot/attachment.ts'
import { type SaveChunk, encodeContent } from '../../src/snapshot/content.ts'
import { anyNode } from '../../src/snapshot/testing.ts'
import type { TreeNode } from '../../src/snapshot/tree-node.ts'
import { TreeWriter } from '../../src/snapshot/tree-writer.ts'
import { commitSnapshot } from '../full-snapshot.ts'
import { SKIP_UNLESS_FUSE, mount, until } from '../mounting.ts'
import { TestRepository } from '../testing.ts'

const PLAIN = { mode: 0o644, uid: 0, gid: 0, user: '', group: '', sizeBytes: 0, mtimeNs: 0n } as const

function save(nodes: readonly TreeNode[], save: SaveChunk): ChunkId {
  const byName = new Map(nodes.map((node) => [node.name, node]))
  const writer = new TreeWriter(save)
  for (const name of sortRawNames([...byName.keys()])) writer.add(byName.get(name) as TreeNode)
  return writer.finish()
}

function file(name: string, changes: Partial<TreeNode>): TreeNode {
  return { ...PLAIN, name, type: 'file', ...changes }
}

function sound(saveChunk: SaveChunk): TreeNode {
  const data = Buffer.from('sound')
  const content = encodeContent([{ id: saveChunk(data), bytes: data.length }], saveChunk)
  return file('sound', { sizeBytes: data.length, content })
}

describe('a hostile snapshot', { skip: SKIP_UNLESS_FUSE }, () => {
  it('of nodes that say anything can be listed and looked at, and hangs nobody', async (t) => {
    const repository = await TestRepository.create({ encryption: 'none' })
    const nodes = fc.sample(anyNode, { numRuns: 400, seed: 7 })
    await commitSnapshot(repository, (saveChunk) => ({ tree: save([...nodes, sound(saveChunk)], saveChunk) }))
    const { directory } = await mount(t, [`${repository.location}::latest`])
    const names = readdirSync(directory, { encoding: 'buffer' })
    assert.ok(names.length > 200)
    for (const name of names) {
      const place = Buffer.concat([toRawName(`${directory}/`), name])
      const stats = lstatSync(place, { bigint: true })
      if (stats.isSymbolicLink()) readlinkSync(place)
      else if (stats.isFile() && stats.size < 1 << 20) attempt(() => readFileSync(place))
      else if (stats.isDirectory()) attempt(() => readdirSync(place))
    }
    spawnSync('getfattr', ['-R', '-P', '-d', '-m', '-', directory], { stdio: 'ignore', timeout: 30_000 })
    assert.equal(readFileSync(`${directory}/sound`, 'utf8'), 'sound')
  })

  it('of files that claim what they have not gives errors, and never other data', async (t) => {
    const repository = await TestRepository.create({ encryption: 'none' })
    await commitSnapshot(repository, (saveChunk) => {
      const id = saveChunk(Buffer.from('content'))
      const inline = (bytes: number): Buffer => encodeContent([{ id, bytes }], saveChunk)
      const holes = (offset: number, length: number): Uint8Array =>
        encodeAttachment(encodeHoles([{ offset, length }]), saveChunk)
      const lists = encodeContent(
        Array.from({ length: 100 }, () => ({ id, bytes: 7 })),
        saveChunk,
      )
      return {
        tree: save(
          [
            sound(saveChunk),
            file('short', { sizeBytes: 100, content: inline(100) }),
            file('long', { sizeBytes: 3, content: inline(7) }),
            file('none', { sizeBytes: 2 ** 53 - 1 }),
            file('high', { sizeBytes: 7, content: Buffer.concat([Buffer.of(200), lists.subarray(1)]) }),
            file('list', { sizeBytes: 700, content: Buffer.concat([Buffer.of(5), lists.subarray(1)]) }),
            file('hole', { sizeBytes: 7, holes: holes(5, 100), content: inline(7) }),
            file('only-hole', { sizeBytes: 2 ** 50, holes: holes(0, 2 ** 50) }),
            file('xattrs', { xattrs: Buffer.from([9, 9, 9]) }),
            file('acl', {
              mode: 0o660,
              xattrs: encodeAttachment(
                encodeXattrs([{ name: 'system.posix_acl_access', value: Buffer.from('no ACL') }]),
                saveChunk,
              ),
            }),
            file('linked', { hardLink: '../../../etc/passwd' }),
            file('itself', { hardLink: 'itself' }),
            file('n'.repeat(2000), {}),
          ],
          saveChunk,
        ),
      }
    })
    const { directory, stderr } = await mount(t, [`${repository.location}::latest`])
    const read = (name: string): string =>
      execFileSync('head', ['-c', '100', `${directory}/${name}`], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      })
    assert.equal(read('sound'), 'sound')
    for (const name of ['short', 'none', 'high', 'list', 'hole']) assert.throws(() => read(name), name)
    assert.equal(read('long'), 'con') // no more than it says
    assert.equal(read('only-hole'), '\0'.repeat(100))
    assert.equal(lstatSync(`${directory}/only-hole`).blocks, 0)
    for (const name of ['linked', 'itself', 'acl', 'xattrs']) assert.equal(lstatSync(`${directory}/${name}`).size, 0)
    assert.ok(!readdirSync(directory).some((name) => name.length > 1024))
    await until(() => stderr().includes('a name in it has more than 1024 bytes'))
  })

  it('leads nobody out of the mount, whatever its symlinks and devices say', async (t) => {
    const repository = await TestRepository.create({ encryption: 'none' })
    await commitSnapshot(repository, (saveChunk) => ({
      tree: save(
        [
          { ...PLAIN, name: 'null', type: 'chardev', mode: 0o666, device: { major: 1, minor: 3 } },
          file('setuid', { mode: 0o4755 }),
          { ...PLAIN, name: 'up', type: 'symlink', linkTarget: '../../../../etc' },
        ],
        saveChunk,
      ),
    }))
    const { directory } = await mount(t, [`${repository.location}::latest`])
    assert.throws(() => readFileSync(`${directory}/null`), { code: 'EACCES' })
    assert.match(
      readFileSync('/proc/self/mountinfo', 'utf8'),
      new RegExp(`${path.basename(directory)} ro,nosuid,nodev`),
    )
    assert.equal(readlinkSync(toSystemPath(`${directory}/up`)), '../../../../etc')
  })
})

function attempt(action: () => unknown): void {
  try {
    action()
  } catch {
    // an error is an answer
  }
}
