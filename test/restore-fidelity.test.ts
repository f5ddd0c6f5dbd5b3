/** What a restore brings back besides names and contents, and what it leaves alone when it is told to. */
import assert from 'node:assert/strict'
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { userInfo } from 'node:os'
import path from 'node:path'
import { describe, it } from 'node:test'
import type { ExtractEvent } from '../src/operations/extract.ts'
import { FILE_FLAGS, readFileFlags, setFileFlags } from '../src/platform/file-flags.ts'
import { skip } from '../src/platform/testing.ts'
import { readXattrs, setXattr } from '../src/platform/xattrs.ts'
import { type MemoryChunks, saveTree } from '../src/snapshot/testing.ts'
import { commitFolder, commitSnapshot } from './full-snapshot.ts'
import { IS_ROOT, TestRepository, issuesOf, needs, newFolder } from './testing.ts'
import { makeRareEntries, makeTortureTree } from './torture-tree.ts'
import { digestTree } from './tree-digest.ts'

const skipUnlessRoot = needs(IS_ROOT && process.platform === 'linux', 'needs root on Linux')

describe('a tree of everything that is hard to bring back', () => {
  it('comes back exactly, into an empty folder and over itself', { skip: skipUnlessRoot }, async () => {
    const source = newFolder()
    makeTortureTree(source)
    makeRareEntries(source)
    const repository = await TestRepository.create()
    await commitFolder(repository, source)
    const want = digestTree(source)
    for (const workers of [1, 3]) {
      const { target, events } = await repository.extract({ workers })
      assert.deepEqual(issuesOf(events), [])
      assert.deepEqual(digestTree(target), want)
      const again = await repository.extract({ workers, target, conflict: 'mirror', verify: true })
      assert.deepEqual(issuesOf(again.events), [])
      assert.deepEqual(digestTree(target), want)
    }
  })
})

describe('flags', () => {
  it(
    'come back last of all, with links to what is immutable and files in folders that are',
    { skip: skipUnlessRoot },
    async (t) => {
      const source = newFolder()
      mkdirSync(`${source}/closed`)
      for (const name of ['immutable', 'closed/append', 'closed/plain']) writeFileSync(`${source}/${name}`, name)
      linkSync(`${source}/immutable`, `${source}/second`)
      linkSync(`${source}/immutable`, `${source}/closed/third`)
      const locked = [
        ['immutable', FILE_FLAGS.IMMUTABLE | FILE_FLAGS.NODUMP],
        ['closed/append', FILE_FLAGS.APPEND],
        ['closed', FILE_FLAGS.IMMUTABLE],
      ] as const
      const set = (folder: string, on: boolean): void => {
        for (const [name, flags] of on ? locked : [...locked].reverse())
          setFileFlags(`${folder}/${name}`, on ? flags : 0)
      }
      try {
        set(source, true)
      } catch {
        return skip(t, 'flags cannot be set here')
      }
      const targets: string[] = []
      try {
        const repository = await TestRepository.create()
        await commitFolder(repository, source)
        for (const conflict of ['fail', 'mirror'] as const) {
          const target = newFolder()
          targets.push(target)
          const { events } = await repository.extract({ target, conflict })
          assert.deepEqual(issuesOf(events), [])
          assert.deepEqual(digestTree(target), digestTree(source))
        }
        const { target, events } = await repository.extract({ noFlags: true })
        assert.deepEqual(issuesOf(events), [])
        assert.equal(readFileFlags(`${target}/immutable`), 0)
      } finally {
        for (const folder of [source, ...targets]) set(folder, false)
      }
    },
  )
})

describe('attributes and ACLs', () => {
  it('are left alone, each on demand', { skip: skipUnlessRoot }, async () => {
    const source = newFolder()
    writeFileSync(`${source}/f`, 'x')
    const acl = Buffer.from(
      '0200000001000600ffffffff020004000700000004000400ffffffff10000400ffffffff20000000ffffffff',
      'hex',
    )
    setXattr(`${source}/f`, 'user.a', Buffer.from('a'))
    setXattr(`${source}/f`, 'system.posix_acl_access', acl)
    const repository = await TestRepository.create()
    await commitFolder(repository, source)
    const namesWith = async (options: object): Promise<string[]> => {
      const { target, events } = await repository.extract(options)
      assert.deepEqual(issuesOf(events), [])
      return readXattrs(`${target}/f`).map(({ name }) => name)
    }
    assert.deepEqual(await namesWith({}), ['system.posix_acl_access', 'user.a'])
    assert.deepEqual(await namesWith({ noXattrs: true }), ['system.posix_acl_access'])
    assert.deepEqual(await namesWith({ noAcls: true }), ['user.a'])

    // What is in place keeps its own then.
    const target = newFolder()
    writeFileSync(`${target}/f`, 'x')
    setXattr(`${target}/f`, 'user.mine', Buffer.from('mine'))
    await repository.extract({ target, conflict: 'overwrite', noXattrs: true })
    assert.ok(readXattrs(`${target}/f`).some(({ name }) => name === 'user.mine'))
    await repository.extract({ target, conflict: 'overwrite' })
    assert.deepEqual(digestTree(target), digestTree(source))
  })

  it('are not taken over from a default ACL of the target', { skip: skipUnlessRoot }, async () => {
    const source = newFolder()
    mkdirSync(`${source}/d/e`, { recursive: true })
    for (const name of ['f', 'd/f', 'd/e/f']) writeFileSync(`${source}/${name}`, 'x')
    chmodSync(`${source}/f`, 0o664)
    const repository = await TestRepository.create()
    await commitFolder(repository, source)
    const target = newFolder()
    const acl = Buffer.from(
      '0200000001000700ffffffff020007000700000004000500ffffffff10000700ffffffff20000000ffffffff',
      'hex',
    )
    setXattr(target, 'system.posix_acl_default', acl)
    const { events } = await repository.extract({ target })
    assert.deepEqual(issuesOf(events), [])
    assert.deepEqual(digestTree(target), digestTree(source))
  })
})

function uids({ target }: { readonly target: string }): number[] {
  return ['known', 'unknown'].map((name) => statSync(`${target}/${name}`).uid)
}

describe('owners', () => {
  it(
    'are those of that name here, or of that number when told so, or when there is no such name',
    { skip: skipUnlessRoot },
    async () => {
      const { username, uid } = userInfo()
      const repository = await TestRepository.create()
      await commitSnapshot(repository, (save) => ({
        tree: saveTree({ save } as MemoryChunks, {
          known: { type: 'file', uid: 4321, gid: 4321, user: username },
          unknown: { type: 'file', uid: 4321, gid: 4321, user: 'nobody-has-this-name', group: 'nor-this' },
        }),
      }))
      const named = await repository.extract()
      const numbered = await repository.extract({ numericIds: true })
      assert.deepEqual(
        [uids(named), uids(numbered)],
        [
          [uid, 4321],
          [4321, 4321],
        ],
      )
    },
  )
})

describe('times', () => {
  it('of access are those of the snapshot, or else of the restore', async () => {
    const repository = await TestRepository.create()
    await commitSnapshot(repository, (save) => ({
      tree: saveTree({ save } as MemoryChunks, {
        kept: { type: 'file', mtimeNs: 5_000_000_001n, atimeNs: 7_000_000_002n },
        other: { type: 'file', mtimeNs: 5_000_000_001n },
      }),
    }))
    const { target } = await repository.extract()
    const kept = statSync(`${target}/kept`, { bigint: true })
    assert.deepEqual([kept.mtimeNs, kept.atimeNs], [5_000_000_001n, 7_000_000_002n])
    const { mtimeNs, atime } = statSync(`${target}/other`, { bigint: true })
    assert.equal(mtimeNs, 5_000_000_001n)
    assert.ok(Math.abs(atime.getTime() - statSync(target).ctime.getTime()) < 3_600_000)
  })
})

describe('sparse files', () => {
  it('take as little room as they did, whatever is overwritten', async (t) => {
    const source = newFolder()
    const fd = openSync(`${source}/sparse`, 'w')
    for (let at = 0; at < 40; at += 2) writeSync(fd, `block ${at}`, at << 20)
    ftruncateSync(fd, 64 << 20)
    closeSync(fd)
    if (statSync(`${source}/sparse`).blocks * 512 > 8 << 20) return skip(t, 'this file system has no holes')
    const repository = await TestRepository.create()
    await commitFolder(repository, source)
    for (const workers of [1, 3]) {
      const target = newFolder()
      writeFileSync(`${target}/sparse`, Buffer.alloc(64 << 20))
      await repository.extract({ target, conflict: 'overwrite', verify: true, workers })
      assert.deepEqual(digestTree(target), digestTree(source))
      assert.ok(statSync(`${target}/sparse`).blocks * 512 < 8 << 20)
    }
  })
})

function bytesOf(text: string): Buffer {
  return Buffer.alloc(60_000, text)
}

describe('--verify', () => {
  it('ends in TARGET_FAILED naming the file that reads back differently', async () => {
    const source = newFolder()
    for (const name of ['a', 'b', 'c']) writeFileSync(`${source}/${name}`, bytesOf(name))
    const repository = await TestRepository.create()
    await commitFolder(repository, source)
    for (const wrong of [bytesOf('x'), Buffer.alloc(3), Buffer.alloc(60_001)]) {
      const target = newFolder()
      const events: ExtractEvent[] = []
      const onEvent = (event: ExtractEvent): void => {
        events.push(event)
        if (event.type === 'entry' && event.path === 'b') writeFileSync(path.join(target, 'b'), wrong)
      }
      await assert.rejects(repository.extract({ target, onEvent, verify: true }), {
        code: 'TARGET_FAILED',
        message: /1 file reads back differently, the first is b/,
      })
      assert.deepEqual(issuesOf(events), ['DIFFERENT b'])
    }
    const { issues } = await repository.extract({ verify: true })
    assert.equal(issues, 0)
  })
})
